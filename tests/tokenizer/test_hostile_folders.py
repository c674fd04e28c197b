"""Model folders, indexes and checkpoints of others: read, or refused in a line, and soon."""

from __future__ import annotations

import copy
import io
import json
import math
import pickle
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file

from uslm_tokenizer.codecs.unit_codec.model import UnitCodec
from uslm_tokenizer.codecs.unit_tokenizer.model import UnitTokenizer
from uslm_tokenizer.errors import ConfigError, UserError
from uslm_tokenizer.pretrained.checkpoint import read_checkpoint
from uslm_tokenizer.registry import load_tokenizer

BOUNDED = settings(
    max_examples=60,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
ODD = st.one_of(
    st.none(),
    st.booleans(),
    st.sampled_from([-1, 0, 1, 3, 10**8, 10**12, 2**63, 10**400, 0.5, math.nan, math.inf]),
    st.sampled_from(["", "x", "../..", "a" * 10_000, "\ud800"]),
    st.lists(st.integers(-1, 10**8), max_size=3),
    st.dictionaries(st.text(max_size=4), st.integers(), max_size=2),
)


def places(node: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Of every value inside a JSON value."""
    yield path
    if isinstance(node, list):
        node = dict(enumerate(node))
    if isinstance(node, dict):
        for key, inner in node.items():
            yield from places(inner, (*path, key))


def put(node: Any, path: tuple[Any, ...], value: Any) -> Any:
    """A copy with another value there."""
    if not path:
        return value
    node = copy.deepcopy(node)
    inner = node
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = value
    return node


@pytest.fixture(scope="module", params=[UnitCodec, UnitTokenizer])
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    kind = request.param
    saved: Path = kind(kind.tiny_config()).save_pretrained(tmp_path_factory.mktemp("model") / "it")
    return saved


@pytest.fixture
def copied(folder: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(folder, tmp_path / "copy"))


def load(folder: Path) -> None:
    try:
        load_tokenizer(folder)
    except UserError as problem:
        assert len(str(problem)) < 2000


@BOUNDED
@given(data=st.data(), value=ODD)
def test_odd_configs(folder: Path, copied: Path, data: st.DataObject, value: Any) -> None:
    config = json.loads((folder / "config.json").read_text())
    place = data.draw(st.sampled_from(list(places(config))))
    (copied / "config.json").write_text(json.dumps(put(config, place, value)))
    load(copied)


def test_sizes_beyond_the_weights_are_refused_before_anything_is_made(
    folder: Path, copied: Path
) -> None:
    """Each takes gigabytes, or minutes, where it is built first and compared afterwards."""
    config = json.loads((folder / "config.json").read_text())
    sizes = [
        path
        for path in places(config)
        if path[-1:]
        and path[-1]
        in (
            "dim",
            "num_layers",
            "num_decoder_layers",
            "codebook_size",
            "num_symbols",
            "teacher_dim",
        )
    ]
    assert len(sizes) >= 4
    for place in sizes:
        (copied / "config.json").write_text(json.dumps(put(config, place, 10**8)))
        with pytest.raises(ConfigError):
            load_tokenizer(copied)


@pytest.mark.parametrize(
    ("value", "words"),
    [("a" * 101, "at most 100 characters"), ("a" * 100, "no tokenizer named 'aaa")],
)
def test_a_kind_has_a_short_name(folder: Path, copied: Path, value: str, words: str) -> None:
    config = json.loads((folder / "config.json").read_text())
    (copied / "config.json").write_text(json.dumps(config | {"model_type": value}))
    with pytest.raises(UserError, match=words):
        load_tokenizer(copied)


@BOUNDED
@example(text="[" * 100_000)
@example(text='{"a":' * 999)
@example(text="9" * 5000)
@given(text=st.text(max_size=30))
def test_configs_that_are_none(copied: Path, text: str) -> None:
    (copied / "config.json").write_bytes(text.encode("utf-8", "surrogatepass"))
    load(copied)


@BOUNDED
@given(place=st.integers(0, 3000), byte=st.integers(0, 255), cut=st.integers(0, 5000))
def test_damaged_weights(folder: Path, copied: Path, place: int, byte: int, cut: int) -> None:
    data = bytearray((folder / "model.safetensors").read_bytes())
    data[place] = byte
    (copied / "model.safetensors").write_bytes(data[: cut or None])
    load(copied)


@pytest.mark.parametrize("kind", ["nan", "inf", "int64", "complex64", "bool"])
def test_weights_that_are_no_numbers_to_compute_with_are_refused(copied: Path, kind: str) -> None:
    weights = load_file(copied / "model.safetensors")
    name = next(name for name, tensor in weights.items() if tensor.is_floating_point())
    if kind in ("nan", "inf"):
        weights[name] = weights[name].clone()
        weights[name].flatten()[-1] = float(kind)
    else:
        weights[name] = weights[name].to(getattr(torch, kind))
    save_file(weights, copied / "model.safetensors")
    with pytest.raises(ConfigError, match=name):
        load_tokenizer(copied)


# ---- indexes of weights


@BOUNDED
@example(name="..")
@example(name=".")
@example(name="")
@example(name="../secret.safetensors")
@example(name="model.safetensors.index.json")
@example(name="a\0b")
@example(name="a" * 5000)
@given(name=ODD | st.text(max_size=6))
def test_an_index_names_files_beside_it(tmp_path: Path, name: Any) -> None:
    (tmp_path / "in").mkdir(exist_ok=True)
    for place in ("secret.safetensors", "model.safetensors", "in/1.safetensors"):
        save_file({"secret": torch.zeros(1)}, tmp_path / place)
    index = tmp_path / "in" / "model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": {"a": name, "b": "1.safetensors"}}))
    try:
        assert name == "1.safetensors" or not read_checkpoint(index)
    except UserError as problem:
        assert len(str(problem)) < 2000


@BOUNDED
@given(value=ODD, text=st.none() | st.text(max_size=20) | st.just("[" * 100_000))
def test_odd_indexes(tmp_path: Path, value: Any, text: str | None) -> None:
    index = tmp_path / "model.safetensors.index.json"
    content = json.dumps({"weight_map": value}) if text is None else text
    index.write_bytes(content.encode("utf-8", "surrogatepass"))
    try:
        read_checkpoint(index)
    except UserError as problem:
        assert len(str(problem)) < 2000


# ---- checkpoints


def zipped() -> bytes:
    file = io.BytesIO()
    torch.save({"state_dict": {"a": torch.arange(6.0), "b": torch.zeros(2, 2)}}, file)
    return file.getvalue()


SAVED = zipped()
PICKLED = pickle.dumps({"state_dict": {"a": [1, 2], "b": (3.0, None)}}, protocol=2)


@BOUNDED
@given(
    content=st.sampled_from([SAVED, PICKLED]),
    changes=st.dictionaries(st.integers(0, len(SAVED)), st.integers(0, 255), max_size=4),
    cut=st.integers(0, len(SAVED)),
)
def test_damaged_checkpoints(
    tmp_path: Path, content: bytes, changes: dict[int, int], cut: int
) -> None:
    data = bytearray(content)
    for place, byte in changes.items():
        data[place % len(data)] = byte
    path = tmp_path / "weights.pt"
    path.write_bytes(data[: cut or None])
    try:
        read_checkpoint(path)
    except UserError as problem:
        assert len(str(problem)) < 2000


@BOUNDED
@given(content=st.binary(max_size=60), start=st.sampled_from([b"", b"PK", b"\x80\x02", b"\0" * 8]))
def test_bytes_that_are_no_checkpoint(tmp_path: Path, content: bytes, start: bytes) -> None:
    path = tmp_path / "weights.pt"
    path.write_bytes(start + content)
    with pytest.raises(UserError):
        read_checkpoint(path)
