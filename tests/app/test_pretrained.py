"""A converted folder of a pretrained system is a model like any other to the commands."""

# ruff: noqa: RUF001 (phonemes look like letters)

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from uslm.systems.valle.tiny import save_tiny_uslm, tiny_uslm

Uslm = Callable[..., Any]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny_uslm(tiny_uslm(), tmp_path_factory.mktemp("published"))


def test_it_speaks_with_a_prompt(
    uslm: Uslm, folder: Path, tiny_files: Path, tmp_path: Path
) -> None:
    prompt = ("--prompt", tiny_files / "prompt.wav", "--prompt-text", "Some words.")
    said = uslm("say", "--text", "Hi.", *prompt, "--model", folder, "--seed", 1, "--out", "a.wav")
    assert said.code == 0, said.stderr
    assert (tmp_path / "a.wav").stat().st_size > 1000


def test_what_would_be_said_is_shown_without_weights(
    uslm: Uslm, folder: Path, tiny_files: Path, tmp_path: Path
) -> None:
    said = uslm(
        "say", "--text", "It is 5 pm.", "--prompt", tiny_files / "prompt.wav", "--model", folder,
        "--dry-run", "--out", "a.wav",
    )  # fmt: skip
    assert said.code == 0, said.stderr
    assert "model   uslm" in said.out
    assert "five" in said.out
    assert "faɪv" in said.out


def test_a_dry_run_knows_that_a_voice_is_not_of_this_model(
    uslm: Uslm, folder: Path, tiny_files: Path
) -> None:
    voice = ("--voice", tiny_files / "babble.safetensors", "--model", folder)
    run = uslm("say", "--text", "Hi.", *voice, "--out", "a.wav")
    dry = uslm("say", "--text", "Hi.", *voice, "--out", "a.wav", "--dry-run")
    run.assert_refused(1, "voice 'babble' was made with the tokenizer of model 'tiny'")
    assert (dry.code, dry.stderr) == (run.code, run.stderr)


def test_it_converts_no_voices(uslm: Uslm, folder: Path, tiny_files: Path) -> None:
    prompt = tiny_files / "prompt.wav"
    uslm(
        "convert", "--source", prompt, "--prompt", prompt, "--model", folder, "--out", "a.wav"
    ).assert_refused(1, "converts no voices")
