"""Plays samples: through the package `sounddevice`, or else with a player of the system."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

from jaxtyping import Float
from torch import Tensor

from uslm_tokenizer.audio.write import write_audio
from uslm_tokenizer.errors import EnvironmentProblem

Player = Callable[[Float[Tensor, "1 n"], int], None]
"""Plays samples of a rate, and returns when they were heard."""

PROGRAMS = (
    ("pw-play",),
    ("paplay",),
    ("aplay", "-q"),
    ("afplay",),
    ("play", "-q"),
    ("ffplay", "-nodisp", "-autoexit", "-loglevel", "error"),
)
"""Players of sound servers, ALSA, macOS, SoX and FFmpeg; the file's name comes last."""


def find_player() -> Player:
    """The first way to play that is there. EnvironmentProblem if there is none."""
    if (module := _sounddevice()) is not None:
        return lambda waveform, rate: _play_by_module(module, waveform, rate)
    for program, *arguments in PROGRAMS:
        if (path := shutil.which(program)) is not None:
            command = [path, *arguments]
            return lambda waveform, rate: _play_by_program(command, waveform, rate)
    raise EnvironmentProblem(
        "nothing here plays sound: pip install 'uslm[play]' (sounddevice), or install one of "
        f"{', '.join(program for program, *_ in PROGRAMS)}; or write a file: uslm voice export"
    )


def _sounddevice() -> Any:
    """The package, where it is installed and finds PortAudio and a device to play on."""
    try:
        module = import_module("sounddevice")
        module.check_output_settings()
    except (ImportError, OSError, ValueError):
        return None
    except Exception as problem:
        if type(problem).__name__ != "PortAudioError":  # no device
            raise
        return None
    return module


def _play_by_module(module: Any, waveform: Float[Tensor, "1 n"], rate: int) -> None:
    module.play(waveform[0].numpy(), rate)
    module.wait()


def _play_by_program(command: list[str], waveform: Float[Tensor, "1 n"], rate: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "voice.wav"
        write_audio(path, waveform, rate)
        done = subprocess.run([*command, str(path)], capture_output=True, text=True)
    if done.returncode != 0:
        reason = " ".join(done.stderr.split()) or f"exit code {done.returncode}"
        raise EnvironmentProblem(f"{Path(command[0]).name} could not play: {reason}")
