"""encode and decode work with every tokenizer of the table, at its own sample rate."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from uslm_tokenizer.base import AudioTokenizer
from uslm_tokenizer.registry import TOKENIZERS, tokenizer_class

Uslm = Callable[..., Any]


def build(name: str) -> AudioTokenizer:
    found = tokenizer_class(name)
    return found(found.tiny_config()).eval()


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    """0.3 s of stereo noise, at a rate that no tokenizer has."""
    samples = 0.1 * np.random.default_rng(0).standard_normal((3300, 2))
    soundfile.write(tmp_path / "it.wav", samples, 11_000)
    return tmp_path / "it.wav"


@pytest.mark.parametrize("name", TOKENIZERS)
def test_a_recording_goes_through(name: str, recording: Path, uslm: Uslm, tmp_path: Path) -> None:
    tokenizer = build(name)
    option = ("--tokenizer", tokenizer.save_pretrained(tmp_path / "tokenizer"))
    encoded = uslm("encode", "--audio", recording, "--out", "c.safetensors", "--json", *option)
    assert encoded.code == 0, encoded.stderr
    record = json.loads(encoded.out)
    num_samples = round(0.3 * tokenizer.sample_rate)
    assert record["num_samples"] == num_samples and record["tokenizer"] == name
    assert record["num_codebooks"] == tokenizer.num_codebooks
    assert record["num_frames"] == -(-num_samples // tokenizer.hop_length)
    result = uslm("decode", "--codes", "c.safetensors", "--out", "a.wav", *option)
    if tokenizer.can_decode:
        assert result.code == 0, result.stderr
        found = soundfile.info(tmp_path / "a.wav")
        assert (found.samplerate, found.frames) == (tokenizer.sample_rate, num_samples)
    else:
        result.assert_refused(1, name, "cannot decode")
        assert not (tmp_path / "a.wav").exists()


def test_fewer_codebooks_are_asked_for_once(recording: Path, uslm: Uslm, tmp_path: Path) -> None:
    tokenizer = build("dac")
    option = ("--tokenizer", tokenizer.save_pretrained(tmp_path / "tokenizer"))
    for count in (4, 2):
        out = f"{count}.safetensors"
        chosen = ("--codebooks", count, "--out", out)
        result = uslm("encode", "--audio", recording, *chosen, *option)
        assert result.code == 0 and f"{count} x 15 codes" in result.stderr
    some, every = (load_file(tmp_path / f"{count}.safetensors")["codes"] for count in (2, 4))
    assert torch.equal(some, every[:2])
    assert uslm("decode", "--codes", "2.safetensors", "--out", "a.wav", *option).code == 0
    tokenizer.use_codebooks(2)
    wanted = tokenizer.decode(some[None].long())[0, 0, :4800]
    samples, _ = soundfile.read(tmp_path / "a.wav", dtype="float32")
    np.testing.assert_allclose(samples, wanted.numpy(), atol=1e-4)


@pytest.mark.parametrize(("name", "count", "words"), [
    ("dac", 5, "must be from 1 to 4, but is 5"),
    ("language_codec", 2, "must be from 3 to 5, but is 2"),
    ("unit_codec", 5, "must be from 1 to 4, but is 5"),
])  # fmt: skip
def test_codebooks_that_are_not_there_are_refused(
    name: str, count: int, words: str, recording: Path, uslm: Uslm, tmp_path: Path
) -> None:
    option = ("--tokenizer", build(name).save_pretrained(tmp_path / "tokenizer"))
    chosen = ("--codebooks", count, "--out", "c.safetensors")
    uslm("encode", "--audio", recording, *chosen, *option).assert_refused(1, words)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda codes: torch.cat([codes, codes]), "must be from 1 to 4, but is 8"),
        (lambda codes: codes + 16, "codes must lie in [0, 16), but reach from"),
        (lambda codes: -1 - codes, "codes must lie in [0, 16), but reach from -16"),
    ],
    ids=["too many codebooks", "too large", "negative"],
)
def test_spoilt_codes_are_refused(
    change: Callable[[torch.Tensor], torch.Tensor],
    words: str,
    recording: Path,
    uslm: Uslm,
    tmp_path: Path,
) -> None:
    option = ("--tokenizer", build("dac").save_pretrained(tmp_path / "tokenizer"))
    uslm("encode", "--audio", recording, "--out", "c.safetensors", *option)
    path = tmp_path / "c.safetensors"
    with safe_open(path, "pt") as file:
        metadata = file.metadata()
    save_file({"codes": change(load_file(path)["codes"])}, path, metadata)
    result = uslm("decode", "--codes", path, "--out", "a.wav", *option)
    result.assert_refused(1, words)


def test_a_folder_of_transformers_is_read(recording: Path, uslm: Uslm, tmp_path: Path) -> None:
    codec: Any = build("encodec")
    codec.backbone.save_pretrained(tmp_path / "theirs")
    codec.save_pretrained(tmp_path / "ours")
    for name in ("theirs", "ours"):
        out = ("--out", f"{name}.safetensors")
        result = uslm("encode", "--audio", recording, *out, "--tokenizer", tmp_path / name)
        assert result.code == 0
        # Saving, above, showed a bar of its own; loading shows none.
        assert result.stderr.endswith(
            f"uslm: {name}.safetensors: 3 x 23 codes, 75 frames per second\n"
        )
        assert "Loading" not in result.stderr
    theirs, ours = ((tmp_path / f"{name}.safetensors").read_bytes() for name in ("theirs", "ours"))
    assert theirs == ours
