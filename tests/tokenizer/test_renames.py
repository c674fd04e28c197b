"""Names of before are read, in configs, tensors, files and command lines, and never written."""

from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from uslm.systems.two_stage.monotonic import MonotonicLM
from uslm_recipes.config import apply_override
from uslm_tokenizer.config import from_dict, to_dict
from uslm_tokenizer.errors import ConfigError
from uslm_tokenizer.hub import WEIGHTS_FILE
from uslm_tokenizer.quantize.factorized import FactorizedQuantizerConfig
from uslm_tokenizer.renames import TENSOR_NAMES, current_arguments, stored_file
from uslm_tokenizer.weight_hash import weight_hash


def earlier_name(name: str) -> str:
    table = {new: old for old, new in TENSOR_NAMES["monotonic_lm"].items()}
    return ".".join(table.get(part, part) for part in name.split("."))


def test_tensors_of_before_are_loaded_and_have_the_hash_of_before(tmp_path: Path) -> None:
    model = MonotonicLM(MonotonicLM.tiny_config())
    model.save_pretrained(tmp_path)
    weights, found = tmp_path / WEIGHTS_FILE, weight_hash(model=model)
    assert weight_hash(model=weights) == found
    today = load_file(weights)
    earlier = {earlier_name(name): tensor for name, tensor in today.items()}
    assert len(earlier.keys() - today.keys()) > 5
    save_file(earlier, weights)
    loaded = MonotonicLM.from_pretrained(tmp_path)
    for name, tensor in model.state_dict().items():
        assert torch.equal(loaded.state_dict()[name], tensor)
    assert weight_hash(model=loaded) == weight_hash(model=weights) == found


def test_keys_of_before_are_those_of_the_class_and_its_bases() -> None:
    config = from_dict(FactorizedQuantizerConfig, {"dim": 4, "code_dim": 2, "late_start": True})
    assert config.delayed_init and "late_start" not in to_dict(config)

    @dataclass(frozen=True, kw_only=True)
    class Other:
        delayed_init: bool = False

    with pytest.raises(ConfigError, match="no key 'late_start'"):
        from_dict(Other, {"late_start": True})


@pytest.mark.parametrize("stored", ["discriminator", "adversary"])
@pytest.mark.parametrize("typed", ["discriminator.start_fraction", "adversary.joins_at"])
def test_an_override_changes_one_value_under_either_name(stored: str, typed: str) -> None:
    data = {stored: {"joins_at": 0.5, "filters": 4}}
    apply_override(data, f"{typed}=0.25")
    assert data == {stored: {"joins_at": 0.25, "filters": 4}}


def test_an_option_of_before_is_read_and_values_stay() -> None:
    typed = ["--piece-minutes", "5", "--piece-minutes=7", "--out", "--piece"]
    assert current_arguments(typed) == [
        "--stop-after-minutes", "5", "--stop-after-minutes=7", "--out", "--piece",
    ]  # fmt: skip


def test_a_file_of_before_is_found_and_a_new_one_goes_first(tmp_path: Path) -> None:
    assert stored_file(tmp_path, "pretrained.json") == tmp_path / "pretrained.json"
    (tmp_path / "published.json").touch()
    assert stored_file(tmp_path, "pretrained.json") == tmp_path / "published.json"
    (tmp_path / "pretrained.json").touch()
    assert stored_file(tmp_path, "pretrained.json") == tmp_path / "pretrained.json"
