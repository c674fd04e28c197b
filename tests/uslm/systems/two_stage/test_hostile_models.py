"""A speaking model that somebody else put together: it speaks, or says in a line why not."""

from __future__ import annotations

import copy
import json
import math
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from uslm.systems.loading import load_synthesizer, read_frontend
from uslm.systems.two_stage.bundle import save_bundle
from uslm.systems.two_stage.tiny import tiny_bundle
from uslm_tokenizer.errors import GenerationError, UserError

BOUNDED = settings(
    max_examples=40,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
ODD = st.one_of(
    st.none(),
    st.booleans(),
    st.sampled_from([-1, 0, 1, 3, 10**8, 10**12, 10**400, 0.5, -0.5, math.nan, math.inf]),
    st.sampled_from(["", "x", "../..", "a" * 10_000]),
    st.lists(st.integers(-1, 10**8), max_size=3),
    st.dictionaries(st.text(max_size=4), st.integers(), max_size=2),
)
FILES = ["bundle.json", "semantic/config.json", "acoustic/config.json", "pretrained.json"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_bundle(tiny_bundle(), tmp_path_factory.mktemp("model") / "it")


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


@BOUNDED
@given(data=st.data(), file=st.sampled_from(FILES[:3]), value=ODD)
def test_odd_descriptions(
    folder: Path, tmp_path: Path, data: st.DataObject, file: str, value: Any
) -> None:
    copied = tmp_path / "copy"
    shutil.rmtree(copied, ignore_errors=True)
    shutil.copytree(folder, copied)
    reported = json.loads((folder / file).read_text())
    place = data.draw(st.sampled_from(list(places(reported))))
    (copied / file).write_text(json.dumps(put(reported, place, value)))
    try:
        read_frontend(copied)("Hi.")
        load_synthesizer(copied)
    except (UserError, GenerationError) as problem:
        assert len(str(problem)) < 2000


@BOUNDED
@given(text=st.text(max_size=30) | st.sampled_from(["[" * 100_000, "{}", '{"system": []}']))
def test_files_that_are_none(folder: Path, tmp_path: Path, text: str) -> None:
    copied = tmp_path / "copy"
    shutil.rmtree(copied, ignore_errors=True)
    shutil.copytree(folder, copied)
    for file in FILES:
        (copied / file).write_text(text)
        with pytest.raises(UserError):
            load_synthesizer(copied)
        if (folder / file).is_file():
            shutil.copy(folder / file, copied / file)
        else:
            (copied / file).unlink()
