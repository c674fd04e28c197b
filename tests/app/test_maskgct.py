"""MaskGCT from its folder, through the commands: it speaks, and refuses what it cannot do."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import soundfile

from uslm.systems.maskgct.tiny import save_tiny_maskgct

Uslm = Callable[..., Any]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny_maskgct(tmp_path_factory.mktemp("maskgct"))


def test_it_speaks(uslm: Uslm, tiny_files: Path, folder: Path, tmp_path: Path) -> None:
    prompt = ("--prompt", tiny_files / "prompt.wav", "--prompt-text", "This is a test.")
    arguments = ("say", "--text", "Hi.", *prompt, "--seed", 1, "--model", folder, "--json")
    results = [uslm(*arguments, "--out", f"{name}.wav") for name in "ab"]
    assert results[0].code == 0, results[0].stderr
    assert json.loads(results[0].out)["model"] == "maskgct"
    assert soundfile.info(tmp_path / "a.wav").samplerate == 24_000
    assert (tmp_path / "a.wav").read_bytes() == (tmp_path / "b.wav").read_bytes()


def test_what_it_cannot_do_is_refused(uslm: Uslm, tiny_files: Path, folder: Path) -> None:
    prompt = ("--prompt", tiny_files / "prompt.wav", "--out", "a.wav", "--model", folder)
    uslm("convert", "--source", tiny_files / "prompt.wav", *prompt).assert_refused(1, "maskgct")
    uslm("say", "--text", "Hi.", "--language", "cmn", *prompt).assert_refused(
        1, "read as Chinese", "English and French and German"
    )
