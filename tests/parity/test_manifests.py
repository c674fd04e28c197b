"""Every tensor of the full published checkpoints is accounted for, at its full size."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch

from uslm.systems.catalogue import LAYOUTS
from uslm_tokenizer.pretrained.layout import convert
from uslm_tokenizer.pretrained.registry import expect, layout_of_system


def test_the_manifest_is_accounted_for(manifest: tuple[Path, dict[str, Any]]) -> None:
    folder, entry = manifest
    shapes = json.loads((folder / entry["file"]).read_text("utf-8"))
    state = {
        name: torch.empty(shape, dtype=getattr(torch, dtype), device="meta")
        for name, (shape, dtype) in shapes.items()
    }
    layout = layout_of_system(entry["system"], LAYOUTS)
    expect(layout, state, LAYOUTS)
    converted = convert(layout, state, layout.read_config(entry["config"]))
    assert {*converted.used, *converted.tied, *converted.ignored} == set(state)
    assert all(converted.ignored.values())
    for one, other in entry["tied"]:
        assert (
            one in converted.tied
            or other in converted.tied
            or (converted.used[one] == converted.used[other])
        )
