"""Scripts with several voices: who speaks after which mark, and what is refused."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from uslm.systems.two_stage.bundle import load_bundle
from uslm.tts import ZeroShotTTS
from uslm.voices.prompt import VoicePrompt

Say = Callable[..., Any]
OTHERS = "So it began. [anna] Who is there? [bob] Me."
TEXT = "So it began. [anna] Who is there? [ben] Me. [pause:0.5] [anna] Come in."


@pytest.fixture(autouse=True)
def kept(tmp_path: Path, tiny_files: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of voices, with Anna in it."""
    folder = tmp_path / "kept"
    folder.mkdir()
    shutil.copy(tiny_files / "babble.safetensors", folder / "anna.safetensors")
    monkeypatch.setenv("USLM_VOICES", str(folder))
    return folder


def speakers(result: Any) -> list[str]:
    assert result.code == 0, result.stderr
    return [segment["voice"] for segment in json.loads(result.out)["segments"] if "text" in segment]


def test_each_mark_has_its_voice(say: Say, tiny_files: Path) -> None:
    ben = tiny_files / "prompt.wav"
    cast = ("--voice-for", f"ben={ben}")
    out = ("--out", "a.wav", "--format", "wav-float", "--json", "--seed", 3)
    assert speakers(say("--text", TEXT, *cast, *out)) == ["babble", "anna", "ben", "anna"]

    tts = ZeroShotTTS(load_bundle(tiny_files / "model"))
    babble = VoicePrompt.load(tiny_files / "babble.safetensors")
    voices = {"anna": babble, "ben": tts.create_voice(str(ben))}
    speech = tts.generate(TEXT, babble, voices=voices, seed=3)
    samples, _ = soundfile.read("a.wav", dtype="float32")
    np.testing.assert_array_equal(samples, speech.waveform[0].numpy())


def test_a_plain_text_has_no_marks(say: Say) -> None:
    result = say("--text", "See [anna] below.", "--out", "a.wav", "--json")
    assert speakers(result) == [""]


@pytest.mark.parametrize("suffix", ["wav", "safetensors"])
def test_the_voice_of_the_text_takes_over_again_by_its_name(
    say: Say, tiny_files: Path, suffix: str, tmp_path: Path
) -> None:
    source = "prompt.wav" if suffix == "wav" else "babble.safetensors"
    shutil.copy(tiny_files / source, f"me.{suffix}")
    voice = ("--prompt" if suffix == "wav" else "--voice", f"me.{suffix}")
    script = ("--text", "[anna] One. [me] Two.", "--script", *voice, "--out", "a.wav")
    assert speakers(say(*script, "--dry-run", "--json")) == ["anna", "me"]
    assert "by      anna\ntext    One." in say(*script, "--dry-run").out
    result = say(*script, "--json")
    assert speakers(result) == ["anna", "me"]


def test_a_recording_becomes_a_voice_once(
    say: Say, tiny_files: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[Any] = []
    create = ZeroShotTTS.create_voice

    def counted(self: ZeroShotTTS, *arguments: Any, **options: Any) -> VoicePrompt:
        made.append(arguments)
        return create(self, *arguments, **options)

    monkeypatch.setattr(ZeroShotTTS, "create_voice", counted)
    prompt = tiny_files / "prompt.wav"
    text = ("--text", "One. [ben] Two. [me] Three.")
    cast = ("--voice-for", f"ben={prompt}", "--voice-for", f"me={prompt}")
    assert speakers(say(*text, "--prompt", prompt, *cast, "--out", "a.wav", "--json"))
    assert len(made) == 1


def test_the_first_who_speaks_is_voice_enough(uslm: Say, tiny_files: Path) -> None:
    say = ("say", "--model", tiny_files / "model", "--seed", 1, "--out", "a.wav", "--json")
    marked = ("--text", "[ben] One thing. [anna] And another.")
    for ben in (tiny_files / "prompt.wav", tiny_files / "babble.safetensors", "anna"):
        result = uslm(*say, *marked, "--voice-for", f"ben={ben}", "--force")
        assert speakers(result) == ["ben", "anna"]
    unmarked = ("--text", "Well. [anna] And another.", "--script", "--force")
    assert speakers(uslm(*say, *unmarked)) == ["ada", "anna"]


def test_stock_voices_need_not_be_given(say: Say) -> None:
    script = ("--text", "[ada] One thing. [ben] And another.", "--script", "--out", "a.wav")
    assert speakers(say(*script, "--json")) == ["ada", "ben"]


def test_what_makes_no_cast_is_refused(say: Say, tiny_files: Path, tmp_path: Path) -> None:
    def refused(code: int, *words: str, text: str = OTHERS, given: tuple[str, ...] = ()) -> None:
        cast = [part for each in given for part in ("--voice-for", each)]
        result = say("--text", text, "--script", *cast, "--out", "a.wav")
        result.assert_refused(code, *words)
        assert not (tmp_path / "a.wav").exists()

    refused(1, "[bob]", "the voices given: ada, anna, babble", "--voice-for")
    refused(1, "nothing follows", text="[anna] [pause:1]")
    refused(1, "NAME=VOICE", given=("bob",))
    refused(1, "NAME=VOICE", given=("a b=anna",))
    refused(1, "given twice", given=("bob=anna", "bob=anna"))
    refused(2, "no voice 'bem'", given=("bob=bem",))
    refused(2, "the voice for [bob] 'bob.wav' is not there", given=("bob=bob.wav",))
    (tmp_path / "bob.wav").write_bytes(b"nothing that sounds")
    refused(1, "bob.wav", given=("bob=bob.wav",))
    (tmp_path / "bob.safetensors").write_bytes(b"no voice at all")
    refused(1, "not a voice file", given=("bob=bob.safetensors",))


def test_no_voice_of_the_cast_is_written_over(say: Say, tiny_files: Path, tmp_path: Path) -> None:
    shutil.copy(tiny_files / "prompt.wav", "ben.wav")
    result = say("--text", TEXT, "--voice-for", "ben=ben.wav", "--out", "ben.wav", "--force")
    result.assert_refused(1, "is also an input")
