"""Golden vectors: inputs and outputs of an original implementation, to be equalled by ours."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class GoldenFile:
    """One small random model of a pretrained system, what went in and what came out."""

    path: Path
    metadata: Mapping[str, Any]
    """`system`, `config`, `calls`, `layout`, `numerics` and more, as the file states them; a
    golden text is all metadata."""
    weights: dict[str, Tensor] = field(default_factory=dict)
    """By the pretrained names."""
    inputs: dict[str, Tensor] = field(default_factory=dict)
    outputs: dict[str, Tensor] = field(default_factory=dict)
    compared: set[str] = field(default_factory=set)
    """Outputs that `compare` has seen; the harness asks for all of them."""

    @property
    def system(self) -> str:
        """The pretrained system, in the words of the golden files."""
        return str(self.metadata["system"])

    @property
    def config(self) -> Mapping[str, Any]:
        """Constructor arguments of the reference."""
        config: Mapping[str, Any] = self.metadata["config"]
        return config

    def tolerance(self, name: str) -> float:
        """Largest difference allowed in a floating-point output: rounding, and nothing else."""
        expected = self.outputs[name]
        finite = expected[expected.isfinite()]
        largest = float(finite.abs().max()) if finite.numel() else 0.0
        stated = self.metadata.get("numerics", {}).get("outputs", {}).get(name, {})
        measured: dict[str, float] = {"max_abs": largest, "f64_diff": 0.0, **stated}
        return max(1e-5 * max(1.0, measured["max_abs"]), 30 * measured["f64_diff"])

    def compare(self, name: str, ours: Tensor) -> None:
        """Raise AssertionError unless `ours` equals the output `name`; integers exactly."""
        expected = self.outputs[name]
        self.compared.add(name)
        where = f"{self.path.name}: output {name}"
        assert ours.shape == expected.shape, (
            f"{where} must have shape {list(expected.shape)}, but has {list(ours.shape)}"
        )
        if not expected.is_floating_point():
            assert not ours.is_floating_point(), f"{where} must be {expected.dtype}"
            wrong = int((ours != expected).sum())
            assert wrong == 0, f"{where}: {wrong} of {expected.numel()} entries differ"
            return
        assert ours.is_floating_point(), f"{where} must be {expected.dtype}"
        assert not ours.isnan().any(), f"{where} holds NaN"
        same_infinities = torch.equal(ours.isneginf(), expected.isneginf())
        assert same_infinities, f"{where}: -inf stands at other positions"
        finite = ~expected.isneginf()
        if not finite.any():
            return
        difference = float((ours[finite].double() - expected[finite].double()).abs().max())
        allowed = self.tolerance(name)
        assert difference <= allowed, f"{where} differs by {difference:.3g}, allowed {allowed:.3g}"


def golden_files(folder: Path) -> list[Path]:
    """The files under `folder` that say of themselves that they are golden, sorted."""
    return sorted(
        path
        for pattern in ("*.safetensors", "*.json")
        for path in folder.rglob(pattern)
        if read_metadata(path) is not None
    )


def read_metadata(path: Path) -> dict[str, Any] | None:
    """Metadata of a golden file; None if it is another kind of file."""
    if path.suffix == ".safetensors":
        with safe_open(path, "pt") as file:
            text = (file.metadata() or {}).get("golden", "null")
    else:
        text = path.read_text("utf-8")
    metadata = json.loads(text)
    is_golden = isinstance(metadata, dict) and str(metadata.get("format")).startswith("golden-")
    return metadata if is_golden else None


def read_golden(path: Path) -> GoldenFile:
    """The whole file."""
    metadata = read_metadata(path)
    assert metadata is not None, f"{path} is not a golden file"
    golden = GoldenFile(path=path, metadata=metadata)
    if path.suffix == ".safetensors":
        parts = {"weights": golden.weights, "inputs": golden.inputs, "outputs": golden.outputs}
        with safe_open(path, "pt") as file:
            for key in file.keys():  # noqa: SIM118 (a file is not a dict)
                part, _, name = key.partition("/")
                parts[part][name] = file.get_tensor(key)
    return golden
