"""What every system that speaks from a folder keeps: nothing here names one."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from uslm import ZeroShotTTS
from uslm.synthesis.protocols import Synthesizer
from uslm.systems.loading import (
    load_synthesizer,
    outline_synthesizer,
    read_frontend,
    read_imitates,
    read_settings,
)
from uslm.systems.registry import ENTRIES
from uslm.systems.two_stage.bundle import Bundle
from uslm.systems.two_stage.tiny import speech_like, tiny_voice
from uslm.voices.prompt import VoicePrompt
from uslm_tokenizer import hub
from uslm_tokenizer.errors import ConfigError, TextError, UserError

SPEAKING = {
    name: entry.pipeline
    for name, entry in ENTRIES.items()
    if entry.pipeline and entry.pipeline.text
}
TEXT = "Hello there. This is a second sentence, and it is longer. The end."


@pytest.fixture(scope="module", params=SPEAKING)
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return SPEAKING[request.param].save_tiny(tmp_path_factory.mktemp(request.param))


@pytest.fixture(scope="module")
def tts(folder: Path) -> ZeroShotTTS:
    return ZeroShotTTS.from_pretrained(folder)


@pytest.fixture(scope="module")
def voice(tts: ZeroShotTTS) -> VoicePrompt:
    return tts.create_voice(speech_like(2.0), "This is a test.", name="somebody")


def test_a_folder_tells_of_itself_without_loading(folder: Path, tts: ZeroShotTTS) -> None:
    assert isinstance(tts.synthesizer, Synthesizer)
    settings = read_settings(folder)
    assert settings.name in SPEAKING and settings == tts.synthesizer.settings
    assert read_frontend(folder)("Is it?") == tts.frontend("Is it?")
    assert bool(read_imitates(folder)) == hasattr(tts.synthesizer, "convert")


def test_a_saved_voice_speaks_the_same_with_a_model_loaded_again(
    folder: Path, tts: ZeroShotTTS, voice: VoicePrompt, tmp_path: Path
) -> None:
    again = ZeroShotTTS(load_synthesizer(folder))
    assert again.synthesizer.hash == tts.synthesizer.hash
    loaded = VoicePrompt.load(voice.save(tmp_path / "voice.safetensors"))
    spoken = tts.generate("Hello.", voice, seed=3)
    assert spoken.seconds > 0.1 and float(spoken.waveform.abs().max()) <= 1
    assert torch.equal(again.generate("Hello.", loaded, seed=3).waveform, spoken.waveform)


def test_a_seed_decides(tts: ZeroShotTTS, voice: VoicePrompt) -> None:
    first, other = (tts.generate(TEXT, voice, seed=seed).waveform for seed in (5, 6))
    assert torch.equal(tts.generate(TEXT, voice, seed=5).waveform, first)
    assert first.shape != other.shape or not torch.equal(first, other)


def test_the_joined_stream_is_the_whole(tts: ZeroShotTTS, voice: VoicePrompt) -> None:
    chunks = list(tts.stream(TEXT, voice, seed=5))
    assert sum(chunk.waveform.numel() > 0 for chunk in chunks) > 1
    joined = torch.cat([chunk.waveform for chunk in chunks], dim=1)
    assert torch.equal(joined, tts.generate(TEXT, voice, seed=5).waveform)


def test_a_row_of_a_batch_is_the_text_alone(tts: ZeroShotTTS, voice: VoicePrompt) -> None:
    texts = [TEXT, "Good morning.", "It is late, and I have to go."]
    together = tts.generate_batch(texts, voice, [0, 1, 2])
    for seed, (text, speech) in enumerate(zip(texts, together, strict=True)):
        assert torch.equal(speech.waveform, tts.generate(text, voice, seed=seed).waveform)


def test_text_and_voice_are_heard(tts: ZeroShotTTS, voice: VoicePrompt) -> None:
    other = tts.create_voice(speech_like(2.0, seed=7), "Words of another voice.")
    here = tts.generate("Hello.", voice, seed=1).waveform
    for text, speaker in (("It is late, and I have to go.", voice), ("Hello.", other)):
        there = tts.generate(text, speaker, seed=1).waveform
        assert here.shape != there.shape or not torch.equal(here, there)


def test_what_does_not_fit_is_refused(tts: ZeroShotTTS, voice: VoicePrompt, bundle: Bundle) -> None:
    with pytest.raises(ConfigError, match="create it again"):
        tts.generate("Hello.", tiny_voice(bundle))
    with pytest.raises(TextError):
        tts.generate("\u2603", voice)


def test_an_outline_knows_which_voices_fit(
    folder: Path,
    tts: ZeroShotTTS,
    voice: VoicePrompt,
    bundle: Bundle,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("weights were read")

    monkeypatch.setattr(hub, "load_weights", refuse)
    outline, whole = outline_synthesizer(folder), tts.synthesizer
    assert (outline.hash, outline.settings) == (whole.hash, whole.settings)
    outline.check_voice(voice)
    for wrong in (tiny_voice(bundle), replace(voice, text_ids=voice.text_ids + 10_000)):
        with pytest.raises(ConfigError, match="create it again"):
            outline.check_voice(wrong)
    with pytest.raises(UserError, match="codes must"):
        outline.check_voice(replace(voice, codes=voice.codes + 10_000))
