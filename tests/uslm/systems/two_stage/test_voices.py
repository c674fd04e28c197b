"""What a voice holds reaches what is spoken: its text and units stage 1, its codes stage 2."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from uslm.conversion import VoiceConverter
from uslm.systems.two_stage.bundle import Bundle
from uslm.systems.two_stage.tiny import speech_like, tiny_bundle, tiny_voice
from uslm.tts import ZeroShotTTS
from uslm.voices.prompt import VoicePrompt

TEXT = "The dog ran home at nine."


@pytest.fixture(scope="module")
def bundle() -> Bundle:
    return tiny_bundle()


@pytest.fixture(scope="module")
def voice(bundle: Bundle) -> VoicePrompt:
    return tiny_voice(bundle)


def with_other_codebooks(voice: VoicePrompt) -> VoicePrompt:
    """Somebody else who says the same: equal units, other codes."""
    codes = voice.codes.clone()
    codes[1:] = (codes[1:] + 7) % 32
    return replace(voice, codes=codes)


def test_the_voices_codes_colour_what_is_spoken(bundle: Bundle, voice: VoicePrompt) -> None:
    tts = ZeroShotTTS(bundle)
    spoken = [tts.generate(TEXT, each, seed=1) for each in (voice, with_other_codebooks(voice))]
    assert torch.equal(spoken[0].units, spoken[1].units)
    assert not torch.equal(spoken[0].waveform, spoken[1].waveform)


def test_the_voices_codes_colour_what_is_converted(bundle: Bundle, voice: VoicePrompt) -> None:
    converter, source = VoiceConverter(bundle), speech_like(1.5)
    made = [converter.convert(source, each) for each in (voice, with_other_codebooks(voice))]
    assert torch.equal(made[0].codes[0], made[1].codes[0])
    assert not torch.equal(made[0].waveform, made[1].waveform)


def test_the_voices_units_change_what_stage_1_says(bundle: Bundle, voice: VoicePrompt) -> None:
    """Its way of speaking."""
    other = replace(voice, codes=(voice.codes + 7) % 32)
    tts = ZeroShotTTS(bundle)
    spoken = [tts.generate(TEXT, each, seed=1).units for each in (voice, other)]
    assert not torch.equal(*spoken)
