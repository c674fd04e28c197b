"""Whatever a codes file holds: it is read, or refused in one line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.torch import save

from uslm_app.actions.codes_file import CodesFile
from uslm_tokenizer.errors import ConfigError

FACTS: dict[str, Any] = {
    "format": 1, "tokenizer": "unit_codec", "tokenizer_hash": "0" * 16, "sample_rate": 16_000,
    "frame_rate": 50.0, "codebook_size": 8, "num_samples": 960, "source": "a.wav",
}  # fmt: skip
CODES = torch.zeros(2, 3, dtype=torch.int32)
quick = settings(
    max_examples=150, 
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)  # fmt: skip

values: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=5,
)
facts = st.fixed_dictionaries(
    {}, optional={name: st.just(value) | values for name, value in FACTS.items()} | {"x": values}
).map(lambda drawn: FACTS | drawn)
texts = facts.map(json.dumps) | values.map(json.dumps) | st.text(max_size=20).map(
    lambda text: text.replace("\0", "")
)  # fmt: skip
kinds = [torch.int32, torch.uint8, torch.int64, torch.float32, torch.float16, torch.bool,
         torch.bfloat16, torch.complex64]  # fmt: skip
tensors = st.builds(
    lambda shape, kind: torch.zeros(shape, dtype=kind),
    st.lists(st.integers(0, 4), max_size=4),
    st.sampled_from(kinds),
)


def check(path: Path) -> None:
    """Load it; what is read can be decoded."""
    try:
        file = CodesFile.load(str(path))
    except ConfigError as problem:
        assert str(path) in str(problem)
    else:
        assert file.codes.dtype == torch.long and file.codes.numel() and file.codes.ndim == 2
        assert type(file.info.num_samples) is int and file.info.num_samples > 0


@quick
@given(text=texts, codes=tensors, name=st.sampled_from(["codes", "codes", "codes", "kodes"]))
def test_codes_files(tmp_path: Path, text: str, codes: torch.Tensor, name: str) -> None:
    path = tmp_path / "x.safetensors"
    path.write_bytes(save({name: codes}, {name: text}))
    check(path)


@quick
@given(place=st.integers(0, 600), new=st.binary(max_size=8), cut=st.integers(0, 8))
def test_damaged_codes_files(tmp_path: Path, place: int, new: bytes, cut: int) -> None:
    path = tmp_path / "x.safetensors"
    whole = save({"codes": CODES}, {"codes": json.dumps(FACTS)})
    path.write_bytes(whole[:place] + new + whole[place + cut :])
    check(path)


@pytest.mark.parametrize(
    ("changed", "codes", "words"),
    [
        ({}, CODES[:, :0], "at least one"),
        ({}, CODES.float(), "whole numbers"),
        ({}, CODES[0], "codebooks, frames"),
        ({"num_samples": -1}, CODES, "num_samples must be above 0"),
        ({"num_samples": "9"}, CODES, "num_samples must be int"),
        ({"frame_rate": float("nan")}, CODES, "frame_rate must be a finite number"),
        ({"format": None}, CODES, "which format"),
        ({"format": 9}, CODES, "format 9"),
        ({"colour": 1}, CODES, "no key 'codes.colour'"),
    ],
)
def test_each_kind_is_named(
    tmp_path: Path, changed: dict[str, Any], codes: torch.Tensor, words: str
) -> None:
    path = tmp_path / "x.safetensors"
    path.write_bytes(save({"codes": codes.contiguous()}, {"codes": json.dumps(FACTS | changed)}))
    with pytest.raises(ConfigError, match=words):
        CodesFile.load(str(path))


@pytest.mark.parametrize("text", ["[" * 100_000, "9" * 5000, "null", "[]", '"x"'])
def test_metadata_that_is_no_object(tmp_path: Path, text: str) -> None:
    path = tmp_path / "x.safetensors"
    path.write_bytes(save({"codes": CODES}, {"codes": text}))
    with pytest.raises(ConfigError, match="not a codes file"):
        CodesFile.load(str(path))
