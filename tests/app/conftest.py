"""What the tests of the command line share: a tiny model on disk, a prompt, and a way to run."""

from __future__ import annotations

import io
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
import soundfile

from uslm.generate.length import LengthConfig
from uslm.systems.two_stage.bundle import save_bundle
from uslm.systems.two_stage.config import BundleConfig
from uslm.systems.two_stage.tiny import speech_like, tiny_bundle, tiny_voice
from uslm_app.cli import main


@dataclass(frozen=True)
class Result:
    """What a run of `uslm` left behind."""

    code: int
    stdout: bytes
    stderr: str

    @property
    def out(self) -> str:
        return self.stdout.decode()

    def assert_refused(self, code: int, *words: str) -> None:
        """The exit code, and nothing but one line on stderr with all of these words."""
        assert self.code == code, self.stderr
        assert self.stdout == b""
        assert self.stderr.startswith("uslm: error: ") and self.stderr.count("\n") == 1
        assert self.stderr.removesuffix("\n").isprintable()
        for word in words:
            assert word in self.stderr


Uslm = Callable[..., Result]


@pytest.fixture(scope="session")
def tiny_files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a model, a prompt and a voice. Read only."""
    folder = tmp_path_factory.mktemp("tiny_files")
    # It speaks much faster than people, so that tests are short.
    hasty = LengthConfig(min_frames_per_symbol=0.5, max_frames_per_symbol=1.0, margin_frames=15)
    bundle = tiny_bundle(BundleConfig(name="tiny", length=hasty))
    save_bundle(bundle, folder / "model")
    tiny_voice(bundle).save(folder / "babble.safetensors")
    audio = speech_like()
    soundfile.write(folder / "prompt.wav", audio.waveform[0].numpy(), audio.sample_rate)
    return folder


@pytest.fixture
def uslm(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfdbinary: pytest.CaptureFixture[bytes],
) -> Uslm:
    """Runs a command in an empty folder."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments: object, stdin: bytes | None = b"") -> Result:
        pipe = None if stdin is None else io.TextIOWrapper(io.BytesIO(stdin))
        monkeypatch.setattr(sys, "stdin", pipe)
        code = main([str(argument) for argument in arguments])
        captured = capfdbinary.readouterr()
        return Result(code, captured.out, captured.err.decode())

    return run


@pytest.fixture
def say(uslm: Uslm, tiny_files: Path) -> Uslm:
    """Runs `uslm say` with the tiny model, its voice and a seed, unless the arguments name others.

    Random weights say nothing but silence now and then; with this seed they speak.
    """

    def run(*arguments: object, stdin: bytes | None = b"", seed: int | None = 1) -> Result:
        given = [str(argument) for argument in arguments]
        if "--prompt" not in given and "--voice" not in given:
            given += ["--voice", str(tiny_files / "babble.safetensors")]
        if "--model" not in given:
            given += ["--model", str(tiny_files / "model")]
        if "--seed" not in given and seed is not None:
            given += ["--seed", str(seed)]
        return uslm("say", *given, stdin=stdin)

    return run
