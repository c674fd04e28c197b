"""`uslm enhance`, and voices of poor recordings: what is written, and mistakes in one line."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch

from uslm import VoicePrompt
from uslm.enhancement import SpeechEnhancer
from uslm.systems.gense.tiny import save_tiny_gense
from uslm.systems.two_stage.tiny import speech_like
from uslm.tts import ZeroShotTTS
from uslm_tokenizer.audio.read import Audio, read_audio
from uslm_tokenizer.errors import UserError

Uslm = Callable[..., Any]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny_gense(tmp_path_factory.mktemp("gense"))


def test_a_recording_is_enhanced_as_the_library_does(
    uslm: Uslm, tiny_files: Path, model: Path, tmp_path: Path
) -> None:
    noisy = tiny_files / "prompt.wav"
    given = ("--audio", noisy, "--model", model, "--seed", 3, "--format", "wav-float", "--json")
    result = uslm("enhance", *given, "--out", "clean.wav", "--sidecar")
    assert result.code == 0, result.stderr
    record = json.loads(result.out)
    assert record["seed"] == 3 and record["model"] == "gense"
    assert json.loads((tmp_path / "clean.wav.json").read_text()) == record
    samples, rate = soundfile.read(tmp_path / "clean.wav", dtype="float32")
    enhancer = SpeechEnhancer.from_pretrained(model)
    speech = enhancer.enhance(noisy, seed=3)
    assert rate == speech.sample_rate
    assert np.array_equal(samples, speech.waveform[0].numpy())
    assert abs(speech.seconds - soundfile.info(noisy).duration) < 1e-3


def test_a_voice_is_made_of_what_is_left_of_a_poor_recording(
    uslm: Uslm, tiny_files: Path, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Random weights leave a hum, which is no voice: another recording stands for a clean one."""
    given: list[Audio] = []

    def cleaned(self: SpeechEnhancer, audio: Any, **_: Any) -> Audio:
        given.append(audio if isinstance(audio, Audio) else read_audio(audio))
        return speech_like(3.0, seed=4)

    monkeypatch.setattr(SpeechEnhancer, "clean_prompt", cleaned)
    prompt, folder = tiny_files / "prompt.wav", tiny_files / "model"
    words = ("--prompt", prompt, "--prompt-text", "Hello there.", "--model", folder)
    assert uslm("voice", "create", *words, "--out", "plain.safetensors").code == 0
    assert not given
    more = ("--enhance", model, "--out", "enhanced.safetensors")
    assert uslm("voice", "create", *words, *more).code == 0
    plain, enhanced = (
        VoicePrompt.load(tmp_path / f"{name}.safetensors") for name in ("plain", "enhanced")
    )
    tts, enhancer = ZeroShotTTS.from_pretrained(folder), SpeechEnhancer.from_pretrained(model)
    wanted = tts.create_voice(speech_like(3.0, seed=4), "Hello there.")
    assert torch.equal(enhanced.codes, wanted.codes)
    assert not torch.equal(enhanced.codes, plain.codes)
    again = tts.create_voice(prompt, "Hello there.", clean=enhancer.clean_prompt)
    assert torch.equal(again.codes, wanted.codes)
    recording = read_audio(prompt).waveform
    assert len(given) == 2 and all(torch.allclose(g.waveform, recording) for g in given)


def test_mistakes_are_one_line(uslm: Uslm, tiny_files: Path, model: Path, tmp_path: Path) -> None:
    out = ("--out", "clean.wav")
    uslm("enhance", "--audio", "gone.wav", "--model", model, *out).assert_refused(2, "recording")
    audio = ("--audio", tiny_files / "prompt.wav")
    refused = uslm("enhance", *audio, "--model", tiny_files / "model", *out)
    refused.assert_refused(1, "takes no noise away; train one that does with train_gense")
    soundfile.write(tmp_path / "silent.wav", np.zeros(16_000), 16_000)
    refused = uslm("enhance", "--audio", "silent.wav", "--model", model, *out)
    refused.assert_refused(1, "the recording is silent")
    assert not (tmp_path / "clean.wav").exists()
    with pytest.raises(UserError, match="takes no noise away"):
        SpeechEnhancer.from_pretrained(tiny_files / "model")
