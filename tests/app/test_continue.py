"""`uslm continue`: the recording and what follows it, or that alone; mistakes in one line."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch

from uslm.systems.lst.model import PatchLM
from uslm_tokenizer.registry import load_tokenizer
from uslm_tokenizer.weight_hash import weight_hash

Uslm = Callable[..., Any]


@pytest.fixture(scope="module")
def lm(tiny_files: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A language model of the tiny model's units, with random weights."""
    tokenizer = load_tokenizer(tiny_files / "model" / "tokenizer")
    torch.manual_seed(0)
    config = replace(
        PatchLM.tiny_config(),
        codebook_size=tokenizer.codebook_size,
        tokenizer=weight_hash(tokenizer=tokenizer),
    )
    return PatchLM(config).save_pretrained(tmp_path_factory.mktemp("lm"))


def test_a_recording_goes_on(uslm: Uslm, tiny_files: Path, lm: Path, tmp_path: Path) -> None:
    prompt = tiny_files / "prompt.wav"
    given = ("--prompt", prompt, "--lm", lm, "--model", tiny_files / "model", "--seed", 3)
    more = ("--seconds", 0.6, "--format", "wav-float", "--json")
    result = uslm("continue", *given, *more, "--out", "a.wav", "--sidecar")
    assert result.code == 0, result.stderr
    record = json.loads(result.out)
    assert record["seed"] == 3 and 0 < record["seconds"] <= 0.6
    assert json.loads((tmp_path / "a.wav.json").read_text()) == record
    assert uslm("continue", *given, *more, "--out", "b.wav", "--only-new").code == 0
    whole, new = (soundfile.read(tmp_path / name)[0] for name in ("a.wav", "b.wav"))
    said = soundfile.read(prompt)[0]
    assert len(whole) == len(said) + len(new)
    assert np.allclose(whole[len(said) :], new) and np.allclose(whole[: len(said)], said, atol=1e-4)


def test_mistakes_are_one_line(uslm: Uslm, tiny_files: Path, lm: Path, tmp_path: Path) -> None:
    model = ("--model", tiny_files / "model", "--out", "a.wav")
    uslm("continue", "--prompt", "gone.wav", "--lm", lm, *model).assert_refused(2, "the prompt")
    prompt = ("--prompt", tiny_files / "prompt.wav")
    config = replace(PatchLM.from_pretrained(lm).config, tokenizer="0123")
    PatchLM(config).save_pretrained(tmp_path / "other")
    refused = uslm("continue", *prompt, "--lm", tmp_path / "other", *model)
    refused.assert_refused(1, "of the tokenizer 0123, but is given those of")
    refused = uslm("continue", *prompt, "--lm", tiny_files / "model" / "semantic", *model)
    refused.assert_refused(1, "must be a speech language model")
    assert not (tmp_path / "a.wav").exists()
