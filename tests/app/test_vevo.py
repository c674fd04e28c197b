"""A pretrained system from its folder, through the commands: it speaks, converts and imitates."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import soundfile
import torch

from uslm import VoiceImitation
from uslm.systems.two_stage.tiny import speech_like
from uslm.systems.vevo.tiny import save_tiny_vevo
from uslm_tokenizer.audio.read import read_audio

Uslm = Callable[..., Any]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, seconds in (("prompt", 2.0), ("source", 1.0)):
        audio = speech_like(seconds)
        soundfile.write(tmp_path / f"{name}.wav", audio.waveform[0].numpy(), audio.sample_rate)
    return save_tiny_vevo(tmp_path / "vevo")


def test_it_speaks(uslm: Uslm, folder: Path, tmp_path: Path) -> None:
    arguments = ("--text", "Hi.", "--prompt", "prompt.wav", "--prompt-text", "This is a test.")
    result = uslm("say", *arguments, "--out", "a.wav", "--seed", 1, "--model", folder)
    assert result.code == 0, result.stderr
    assert soundfile.info(tmp_path / "a.wav").samplerate == 24_000


@pytest.mark.parametrize("imitate", ["timbre", "both"])
def test_it_converts_what_is_asked_for(uslm: Uslm, folder: Path, imitate: str) -> None:
    arguments = ("--source", "source.wav", "--prompt", "prompt.wav", "--imitate", imitate)
    result = uslm("convert", *arguments, "--out", "a.wav", "--json", "--model", folder)
    assert result.code == 0, result.stderr
    record = json.loads(result.out)
    assert record["model"] == "vevo" and record["settings"] == {"imitate": imitate}
    if imitate == "timbre":
        assert record["seconds"] == pytest.approx(1.0)


def test_what_a_model_cannot_imitate_is_refused(uslm: Uslm, tiny_files: Path) -> None:
    arguments = (
        "--source",
        tiny_files / "prompt.wav",
        "--voice",
        tiny_files / "babble.safetensors",
    )
    result = uslm(
        "convert",
        *arguments,
        "--imitate",
        "style",
        "--out",
        "a.wav",
        "--model",
        tiny_files / "model",
    )
    result.assert_refused(1, "imitate must be one of ['timbre']", "'style'")


# ---- manner of one voice, timbre of another


@pytest.fixture
def two_voices(folder: Path, tmp_path: Path) -> Path:
    audio = speech_like(2.0, seed=7)
    soundfile.write(tmp_path / "other.wav", audio.waveform[0].numpy(), audio.sample_rate)
    return folder


MANNER = ("--manner", "other.wav", "--manner-text", "Words of another voice.")


def test_it_speaks_in_the_manner_of_one_voice_with_the_timbre_of_another(
    uslm: Uslm, two_voices: Path, tmp_path: Path
) -> None:
    """As from Python, sample for sample; and other than with either voice alone."""
    arguments = ("say", "--text", "Hi.", "--seed", 1, "--model", two_voices, "--json")
    anna = ("--prompt", "prompt.wav", "--prompt-text", "This is a test.")
    ben = ("--prompt", "other.wav", "--prompt-text", "Words of another voice.")
    for name, voices in (("mixed", (*anna, *MANNER)), ("anna", anna), ("ben", ben)):
        result = uslm(*arguments, *voices, "--out", f"{name}.wav", "--format", "wav-float")
        assert result.code == 0, result.stderr
        if name == "mixed":
            assert json.loads(result.out)["voice"] == "other as prompt"
    imitation = VoiceImitation.from_pretrained(two_voices)
    timbre, manner = (
        imitation.create_voice(str(tmp_path / f"{name}.wav"), text)
        for name, text in (("prompt", "This is a test."), ("other", "Words of another voice."))
    )
    wanted = imitation.imitate(text="Hi.", manner=manner, timbre=timbre, seed=1).waveform
    said = {
        name: read_audio(tmp_path / f"{name}.wav").waveform for name in ("mixed", "anna", "ben")
    }
    assert torch.equal(said["mixed"], wanted)
    for name in ("anna", "ben"):
        assert said[name].shape != wanted.shape or not torch.equal(said[name], wanted)


def test_it_converts_to_the_manner_of_one_voice_and_the_timbre_of_another(
    uslm: Uslm, two_voices: Path, tmp_path: Path
) -> None:
    voices = ("--prompt", "prompt.wav", "--prompt-text", "This is a test.", *MANNER)
    arguments = ("--source", "source.wav", "--imitate", "both", "--seed", 1, "--model", two_voices)
    result = uslm("convert", *arguments, *voices, "--out", "a.wav", "--format", "wav-float")
    assert result.code == 0, result.stderr
    imitation = VoiceImitation.from_pretrained(two_voices)
    timbre, manner = (
        imitation.create_voice(str(tmp_path / f"{name}.wav"), text)
        for name, text in (("prompt", "This is a test."), ("other", "Words of another voice."))
    )
    wanted = imitation.imitate(
        audio=str(tmp_path / "source.wav"), manner=manner, timbre=timbre, seed=1
    )
    assert torch.equal(read_audio(tmp_path / "a.wav").waveform, wanted.waveform)


def test_a_kept_voice_may_give_the_manner(
    uslm: Uslm, two_voices: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("USLM_VOICES", str(tmp_path / "voices"))
    made = uslm(
        "voice", "create", "--prompt", "other.wav", "--prompt-text", "Words of another voice.",
        "--name", "ben", "--model", two_voices,
    )  # fmt: skip
    assert made.code == 0, made.stderr
    say = ("say", "--text", "Hi.", "--prompt", "prompt.wav", "--prompt-text", "This is a test.")
    result = uslm(*say, "--manner", "ben", "--model", two_voices, "--dry-run", "--json")
    assert json.loads(result.out)["manner"] == "ben"
    plain = uslm(*say, "--manner", "ben", "--model", two_voices, "--dry-run")
    assert "manner  ben, 2.0 s" in plain.out


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        (("--imitate", "style", "--manner", "other.wav"), ("--imitate both", "--imitate style")),
        (("--manner", "other.wav"), ("--manner goes with --imitate both", "--imitate timbre")),
        (("--manner-text", "Words."), ("--manner-text goes with --manner",)),
        (("--imitate", "both", *MANNER[:3], " "), ("--manner-text must not be empty",)),
        (
            ("--imitate", "both", "--manner", "b.safetensors", "--manner-text", "Words."),
            ("a voice file has its own text",),
        ),
        (("--imitate", "both", "--manner", "gone.wav"), ("the voice of --manner 'gone.wav'",)),
    ],
)
def test_what_does_not_go_with_a_manner_is_refused(
    uslm: Uslm, two_voices: Path, tmp_path: Path, arguments: tuple[str, ...], parts: tuple[str, ...]
) -> None:
    (tmp_path / "b.safetensors").write_bytes(b"a voice")
    given = ("--source", "source.wav", "--prompt", "prompt.wav", "--out", "a.wav", *arguments)
    result = uslm("convert", *given, "--model", two_voices)
    result.assert_refused(2 if "gone.wav" in arguments else 1, *parts)


def test_a_model_of_one_voice_refuses_a_manner(uslm: Uslm, tiny_files: Path) -> None:
    """Ours: before it speaks, and in a dry run; and neither scripts nor ONNX know of it."""
    model, babble = tiny_files / "model", tiny_files / "babble.safetensors"
    say = ("say", "--text", "Hi.", "--voice", babble, "--manner", babble, "--model", model)
    for more in ((), ("--dry-run",)):
        result = uslm(*say, "--out", "a.wav", *more)
        result.assert_refused(1, "takes manner and timbre from one voice")
    convert = ("convert", "--source", tiny_files / "prompt.wav", "--voice", babble)
    result = uslm(
        *convert, "--manner", babble, "--imitate", "both", "--out", "a.wav", "--model", model
    )
    result.assert_refused(1, "takes manner and timbre from one voice")
    uslm(*say, "--script", "--out", "a.wav").assert_refused(1, "--manner", "--script")
    uslm(*say, "--backend", "onnx", "--out", "a.wav").assert_refused(1, "--manner does not go")
