"""`uslm sing`, and speaking and converting with the same folder: what is written, and mistakes."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import mido
import numpy as np
import pytest
import soundfile

from uslm import MakeAVoice
from uslm.systems.make_a_voice.tiny import save_tiny_make_a_voice
from uslm_tokenizer.audio.read import read_audio

Uslm = Callable[..., Any]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny_make_a_voice(tmp_path_factory.mktemp("make_a_voice"))


@pytest.fixture
def song(tmp_path: Path) -> Path:
    """C4, E4 and G4, half a second each."""
    track = mido.MidiTrack()
    for number in (60, 64, 67):
        track.append(mido.Message("note_on", note=number, time=0))
        track.append(mido.Message("note_off", note=number, time=480))
    mido.MidiFile(tracks=[track], ticks_per_beat=480).save(tmp_path / "song.mid")
    return tmp_path / "song.mid"


def test_a_score_is_sung_as_the_library_does(
    uslm: Uslm, tiny_files: Path, model: Path, song: Path, tmp_path: Path
) -> None:
    prompt = tiny_files / "prompt.wav"
    voice = ("--prompt", prompt, "--prompt-text", "Hello there.")
    given = ("--score", song, "--lyrics", "Twin-kle star", *voice, "--model", model, "--seed", 3)
    more = ("--transpose", -2, "--format", "wav-float", "--json", "--out", "song.wav", "--sidecar")
    result = uslm("sing", *given, *more)
    assert result.code == 0, result.stderr
    record = json.loads(result.out)
    assert record["seed"] == 3 and record["model"] == "make_a_voice"
    assert json.loads((tmp_path / "song.wav.json").read_text()) == record
    samples, rate = soundfile.read(tmp_path / "song.wav", dtype="float32")
    singer = MakeAVoice.from_pretrained(model)
    made = singer.create_voice(read_audio(prompt), "Hello there.")
    speech = singer.sing(song, made, lyrics="Twin-kle star", transpose=-2.0, seed=3)
    assert rate == speech.sample_rate and speech.seconds == 1.5
    assert np.array_equal(samples, speech.waveform[0].numpy())


def test_the_same_folder_speaks_and_converts(
    uslm: Uslm, tiny_files: Path, model: Path, tmp_path: Path
) -> None:
    prompt = tiny_files / "prompt.wav"
    voice = ("--prompt", prompt, "--prompt-text", "Hello there.", "--model", model, "--seed", 1)
    said = uslm("say", "Good morning.", *voice, "--out", "said.wav")
    assert said.code == 0, said.stderr
    converted = uslm("convert", "--source", prompt, *voice, "--out", "converted.wav")
    assert converted.code == 0, converted.stderr
    assert soundfile.info(tmp_path / "said.wav").duration > 0.1
    lengths = [soundfile.info(path).duration for path in (tmp_path / "converted.wav", prompt)]
    assert abs(lengths[0] - lengths[1]) < 1e-3


def test_mistakes_are_one_line(
    uslm: Uslm, tiny_files: Path, model: Path, song: Path, tmp_path: Path
) -> None:
    voice = ("--prompt", tiny_files / "prompt.wav", "--prompt-text", "Hello there.")
    rest = (*voice, "--model", model, "--out", "song.wav")
    uslm("sing", "--score", "gone.mid", *rest).assert_refused(2, "score")
    uslm("sing", "--score", song, *rest).assert_refused(1, "give the lyrics as well")
    few = uslm("sing", "--score", song, "--lyrics", "la la", *rest)
    few.assert_refused(1, "the lyrics have 2 syllables")
    high = uslm(
        "sing", "--score", song, "--lyrics", "la la la", "--transpose", 40, "--quiet", *rest
    )
    high.assert_refused(1, "transpose the score")
    rest = (*voice, "--model", tiny_files / "model", "--out", "song.wav")
    other = uslm("sing", "--score", song, "--lyrics", "la la la", *rest)
    other.assert_refused(1, "does not sing; train one that does with train_make_a_voice")
    assert not (tmp_path / "song.wav").exists()
