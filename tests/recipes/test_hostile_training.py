"""Configs and checkpoints of others, or slips of typing: refused in a line, or used."""

from __future__ import annotations

import json
import math
import re
import shutil
from collections.abc import Iterator
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from uslm_recipes.config import load_config
from uslm_recipes.loop import LoopConfig
from uslm_recipes.loop.atomic_dir import write_checksums
from uslm_recipes.loop.checkpoint import list_checkpoints
from uslm_recipes.loop.testing import toy_run, train_toy
from uslm_recipes.train.ar import ARRecipe
from uslm_tokenizer.config import from_dict, to_dict
from uslm_tokenizer.errors import ConfigError, UserError

BOUNDED = settings(
    max_examples=60,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
ODD = st.one_of(
    st.none(),
    st.booleans(),
    st.sampled_from([-1, 0, 1, 10**12, 10**400, 0.5, -0.5, math.nan, math.inf, -math.inf]),
    st.sampled_from(["", "x", "a" * 10_000]),
    st.lists(st.integers(-1, 3), max_size=3),
    st.dictionaries(st.text(max_size=4), st.integers(), max_size=2),
)
LOOP = LoopConfig(steps=3, warmup_steps=1, save_every_minutes=1e-9, samples=0)


# ---- configs

NUMBERS = [each.name for each in fields(LoopConfig) if "int" in each.type or "float" in each.type]


def test_no_number_of_a_loop_is_nan_or_negative() -> None:
    assert len(NUMBERS) > 15
    for name in NUMBERS:
        default = getattr(LoopConfig(), name)
        for value in (math.nan, -1.0, math.inf, -math.inf):
            wrong = (value, value) if isinstance(default, tuple) else value
            with pytest.raises(ConfigError, match=name):
                LoopConfig(**{name: wrong})


@BOUNDED
@given(name=st.sampled_from([each.name for each in fields(LoopConfig)]), value=ODD)
def test_odd_loops(name: str, value: Any) -> None:
    try:
        config = from_dict(LoopConfig, {**to_dict(LOOP), name: value})
    except UserError as problem:
        assert name in str(problem) and len(str(problem)) < 2000
    else:
        assert all(math.isfinite(x) for x in vars(config).values() if isinstance(x, float))


@BOUNDED
@example(text="a: &a [*a]")
@example(text="\ud800")
@example(text="[" * 20_000)
@example(text="loop: {steps: .nan}")
@example(text="loop: {? [1]: 2}")
@example(text="? {a: 1}\n: 2")
@example(text="loop: !!python/object:os.system {}")
@example(text="loop: {steps: " + "9" * 5000 + "}")
@example(text="loop: {steps: 2026-13-45}")
@given(text=st.text(max_size=30) | st.text("[]{}:,&*!?- \n'\"ab01", max_size=30))
def test_odd_files(tmp_path: Path, text: str) -> None:
    path = tmp_path / "odd.yaml"
    path.write_bytes(text.encode("utf-8", "surrogatepass"))
    try:
        load_config(ARRecipe, path)
    except UserError as problem:
        assert len(str(problem)) < 3000


@BOUNDED
@given(text=st.text("abloopstes.=[]{}:,0129-", max_size=20) | st.text(max_size=12))
def test_odd_overrides(text: str) -> None:
    try:
        load_config(ARRecipe, "tiny", [text], recipe="train_ar")
    except UserError as problem:
        assert len(str(problem)) < 3000


# ---- checkpoints


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("trained")
    train_toy(replace(LOOP, keep_last=1), out)
    return out


def places(node: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Of every value inside nested dicts."""
    yield path
    if isinstance(node, dict):
        for key, inner in node.items():
            yield from places(inner, (*path, key))


def put(node: Any, path: tuple[Any, ...], value: Any) -> Any:
    """A copy with another value there."""
    if not path:
        return value
    return {**node, path[0]: put(node[path[0]], path[1:], value)}


def resume(trained: Path, out: Path, name: str, write: Any) -> UserError | None:
    """Go on from a checkpoint one of whose files was replaced, and that was checksummed again; why
    that was refused, if it was."""
    shutil.rmtree(out, ignore_errors=True)
    shutil.copytree(trained, out)
    [checkpoint] = list_checkpoints(out / "checkpoints")
    (checkpoint / "complete.json").unlink()
    write(checkpoint / name)
    write_checksums(checkpoint)
    try:
        with toy_run(replace(LOOP, steps=4), out, resume=True):
            pass
    except UserError as problem:
        assert len(str(problem)) < 3000
        return problem
    return None


@settings(BOUNDED, max_examples=40)
@given(data=st.data(), value=ODD)
def test_odd_states(trained: Path, tmp_path: Path, data: st.DataObject, value: Any) -> None:
    [checkpoint] = list_checkpoints(trained / "checkpoints")
    state = json.loads((checkpoint / "state.json").read_text())
    text = json.dumps(put(state, data.draw(st.sampled_from(list(places(state)))), value))
    resume(trained, tmp_path / "odd", "state.json", lambda path: path.write_text(text))


@pytest.mark.parametrize(
    ("place", "value", "words"),
    [
        (("progress", "step"), 10**400, "no run has done so much"),
        (("progress", "audio_seconds"), -1.0, "no run has done so much"),
        (("progress", "skipped_steps"), 10**400, "no run has done so much"),
        (("config", "loop", "warmup_steps"), "a" * 10_000, r"'aaa.*\.\.\., but now it is 1"),
    ],
)
def test_states_that_once_were_not_refused(
    trained: Path, tmp_path: Path, place: tuple[str, ...], value: Any, words: str
) -> None:
    [checkpoint] = list_checkpoints(trained / "checkpoints")
    text = json.dumps(put(json.loads((checkpoint / "state.json").read_text()), place, value))
    refused = resume(trained, tmp_path / "odd", "state.json", lambda path: path.write_text(text))
    assert refused is not None and re.search(words, str(refused))


@settings(BOUNDED, max_examples=25)
@given(data=st.data(), value=ODD, name=st.sampled_from(["optimizer-model.pt", "random-0.pt"]))
def test_odd_tensors(
    trained: Path, tmp_path: Path, data: st.DataObject, value: Any, name: str
) -> None:
    [checkpoint] = list_checkpoints(trained / "checkpoints")
    saved = torch.load(checkpoint / name, weights_only=True)
    odd = put(saved, data.draw(st.sampled_from(list(places(saved)))), value)
    resume(trained, tmp_path / "odd", name, lambda path: torch.save(odd, path))
    resume(trained, tmp_path / "odd", name, lambda path: path.write_bytes(b"PK\x03\x04 nothing"))
