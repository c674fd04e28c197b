"""Facts of a model that need no measurement."""

from typing import Any

from torch import nn

from uslm.synthesis.protocols import VoiceMaker
from uslm.systems.two_stage.bundle import Bundle

PARTS = ("tokenizer", "semantic", "acoustic")


def describe_model(model: VoiceMaker) -> dict[str, Any]:
    """Name and hash; of a model of ours also its sizes."""
    facts: dict[str, Any] = {"name": model.settings.name, "hash": model.hash}
    if not isinstance(model, Bundle):
        return facts
    counts = {f"{part}_parameters": _count(getattr(model, part)) for part in PARTS}
    facts |= {**counts, "parameters": sum(counts.values())}
    if model.folder is not None:
        files = model.folder.rglob("*.safetensors")
        facts["megabytes"] = round(sum(file.stat().st_size for file in files) / 1e6, 1)
    return facts


def _count(part: nn.Module) -> int:
    return sum(parameter.numel() for parameter in part.parameters())
