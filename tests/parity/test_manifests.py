"""Every tensor of the full pretrained checkpoints is accounted for, at its full size."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch

from uslm.systems.catalogue import KEY_MAPPINGS
from uslm_tokenizer.pretrained.catalogue import pretrained_config
from uslm_tokenizer.pretrained.key_mapping import convert
from uslm_tokenizer.pretrained.mappings import expect, key_mapping_of_system


def test_the_manifest_is_accounted_for(manifest: tuple[Path, dict[str, Any]]) -> None:
    folder, entry = manifest
    shapes = json.loads((folder / entry["file"]).read_text("utf-8"))
    state = {
        name: torch.empty(shape, dtype=getattr(torch, dtype), device="meta")
        for name, (shape, dtype) in shapes.items()
    }
    key_mapping = key_mapping_of_system(entry["system"], KEY_MAPPINGS)
    expect(key_mapping, state, KEY_MAPPINGS)
    converted = convert(key_mapping, state, key_mapping.read_config(entry["config"]))
    assert {*converted.used, *converted.tied, *converted.ignored} == set(state)
    assert all(converted.ignored.values())
    for one, other in entry["tied"]:
        assert (
            one in converted.tied
            or other in converted.tied
            or (converted.used[one] == converted.used[other])
        )


def test_the_config_is_kept_beside_its_key_mapping(manifest: tuple[Path, dict[str, Any]]) -> None:
    _, entry = manifest
    key_mapping = key_mapping_of_system(entry["system"], KEY_MAPPINGS)
    name = Path(entry["file"]).stem
    assert pretrained_config(KEY_MAPPINGS[key_mapping.name], name) == entry["config"]
