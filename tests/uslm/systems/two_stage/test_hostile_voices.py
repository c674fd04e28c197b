"""A voice file need not be trusted: whatever it holds, it is read or refused in a line."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file
from torch import Tensor

from uslm.systems.two_stage.bundle import Bundle
from uslm.systems.two_stage.tiny import tiny_bundle, tiny_voice
from uslm.voices.prompt import REPEATED, VoicePrompt
from uslm_tokenizer.errors import ConfigError, UserError

BOUNDED = settings(
    max_examples=60,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
ODD = st.one_of(
    st.none(),
    st.booleans(),
    st.sampled_from([-1, 0, 1, 10**8, 2**63, 10**400, 0.5, -1.0, math.nan, math.inf, 1e308]),
    st.text(max_size=8),
    st.sampled_from(["\x1b[2J", "\ud800", "\0", "../x", "a" * 100_000]),
    st.lists(st.integers(), max_size=3),
    st.dictionaries(st.text(max_size=4), st.integers(), max_size=2),
)


@pytest.fixture(scope="module")
def bundle() -> Bundle:
    return tiny_bundle()


@pytest.fixture(scope="module")
def file(bundle: Bundle, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_voice(bundle).save(tmp_path_factory.mktemp("voice") / "babble.safetensors")


def use(path: Path, bundle: Bundle) -> None:
    """All that is done with a voice that somebody else made."""
    try:
        voice = VoicePrompt.load(path)
        voice.save(path.with_name("again.safetensors"), force=True)
        bundle.check_voice(voice)
    except UserError as problem:
        assert len(str(problem)) < 2000


@BOUNDED
@given(name=st.sampled_from(sorted(VoicePrompt.__dataclass_fields__)), value=ODD)
def test_odd_facts(bundle: Bundle, file: Path, name: str, value: Any) -> None:
    facts = {"format": 2, **VoicePrompt.load(file).facts(), name: value}
    path = file.with_name("odd.safetensors")
    try:
        save_file(load_file(file), path, metadata={"voice": json.dumps(facts)})
    except UnicodeEncodeError:
        return
    use(path, bundle)


@pytest.mark.parametrize("name", REPEATED)
def test_words_that_messages_repeat_are_short(file: Path, name: str) -> None:
    facts = {"format": 2, **VoicePrompt.load(file).facts(), name: "a" * 201}
    path = file.with_name("odd.safetensors")
    save_file(load_file(file), path, metadata={"voice": json.dumps(facts)})
    with pytest.raises(ConfigError, match=f"{name} must have at most 200 characters, not 201"):
        VoicePrompt.load(path)


DTYPES = [torch.int16, torch.int64, torch.uint8, torch.bool, torch.float32, torch.float16,
          torch.complex64]  # fmt: skip


@st.composite
def tensors(draw: st.DrawFn) -> Tensor:
    """Of few numbers, of any kind and shape."""
    shape = draw(st.lists(st.integers(0, 5), max_size=4))
    value = draw(st.sampled_from([0, 1, -1, 3, 100, 30_000, math.nan, math.inf]))
    dtype = draw(st.sampled_from(DTYPES))
    is_whole = dtype in DTYPES[:4] and not math.isfinite(value)
    return torch.full(shape, 0 if is_whole else value, dtype=torch.float64).to(dtype)


@BOUNDED
@given(
    name=st.sampled_from(
        ["codes", "text_ids", "speaker_embedding", "extras.mel", "extras.", "other", ""]
    ),
    tensor=tensors(),
)
def test_odd_tensors(bundle: Bundle, file: Path, name: str, tensor: Tensor) -> None:
    path = file.with_name("odd.safetensors")
    facts = {"format": 2, **VoicePrompt.load(file).facts()}
    odd = {**load_file(file), name: tensor}
    save_file(odd, path, metadata={"voice": json.dumps(facts)})
    use(path, bundle)


@BOUNDED
@given(place=st.integers(0, 2000), byte=st.integers(0, 255), cut=st.integers(0, 3000))
def test_damaged_bytes(bundle: Bundle, file: Path, place: int, byte: int, cut: int) -> None:
    data = bytearray(file.read_bytes())
    data[place % len(data)] = byte
    path = file.with_name("odd.safetensors")
    path.write_bytes(data[: cut or None])
    use(path, bundle)


@BOUNDED
@given(
    text=st.one_of(st.text(max_size=40), st.sampled_from(["[" * 100_000, "{}", "[]", "1" * 5000]))
)
def test_facts_that_are_none(bundle: Bundle, file: Path, text: str) -> None:
    path = file.with_name("odd.safetensors")
    save_file(load_file(file), path, metadata={"voice": text})
    use(path, bundle)
