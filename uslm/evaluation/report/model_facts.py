"""Facts of a model that need no measurement."""

from typing import Any

from torch import nn

from uslm.synthesis.protocols import VoiceMaker


def describe_model(model: VoiceMaker) -> dict[str, Any]:
    """Name, hash, and the sizes of the parts that it names."""
    facts: dict[str, Any] = {"name": model.settings.name, "hash": model.hash}
    counts = {f"{name}_parameters": _count(part) for name, part in model.networks.items()}
    if counts:
        facts |= {**counts, "parameters": sum(counts.values())}
    if model.folder is not None:
        files = model.folder.rglob("*.safetensors")
        facts["megabytes"] = round(sum(file.stat().st_size for file in files) / 1e6, 1)
    return facts


def _count(part: nn.Module) -> int:
    return sum(parameter.numel() for parameter in part.parameters())
