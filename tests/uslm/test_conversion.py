"""Conversion keeps what is said and how long it takes, and speaks with the voice given."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from uslm.conversion import VoiceConverter
from uslm.systems.two_stage.bundle import Bundle
from uslm.systems.two_stage.config import BundleConfig
from uslm.systems.two_stage.conversion import encode_units
from uslm.systems.two_stage.tiny import TINY, speech_like, tiny_bundle, tiny_voice
from uslm.voices.prompt import VoicePrompt
from uslm_tokenizer.audio.read import Audio
from uslm_tokenizer.errors import AudioError, ConfigError


@pytest.fixture(scope="module")
def converter(bundle: Bundle) -> VoiceConverter:
    return VoiceConverter(bundle)


def test_length_and_units_are_those_of_the_source(
    converter: VoiceConverter, bundle: Bundle, voice: VoicePrompt
) -> None:
    source = speech_like(2.345)
    speech = converter.convert(source, voice, seed=1)
    assert speech.waveform.shape == source.waveform.shape
    assert torch.equal(speech.units, bundle.tokenizer.encode(source.waveform[None])[0, 0])
    assert torch.equal(speech.codes[0], speech.units)
    assert (speech.text, speech.voice) == ("", "babble")


def test_another_rate_gives_the_same_length(converter: VoiceConverter, voice: VoicePrompt) -> None:
    speech = converter.convert(speech_like(2.0, 44_100), voice)
    assert speech.seconds == pytest.approx(2.0, abs=1e-3)


def test_blocks_decode_to_the_same_samples_as_the_whole(
    converter: VoiceConverter, bundle: Bundle, voice: VoicePrompt
) -> None:
    speech = converter.convert(speech_like(15.0), voice)
    assert speech.codes.shape[1] > bundle.config.blocks.max_frames
    whole = bundle.tokenizer.decode(speech.codes[None])[0].clamp(-1, 1)
    torch.testing.assert_close(speech.waveform, whole, atol=1e-5, rtol=1e-4)


def test_the_seed_matters_only_where_something_is_drawn(voice: VoicePrompt) -> None:
    source = speech_like(1.5)
    for temperature, same in ((0.0, True), (1.0, False)):
        drawing = tiny_bundle(replace(TINY, acoustic_temperature=temperature))
        converter = VoiceConverter(drawing)
        one, again, other = (converter.convert(source, voice, seed=s).codes for s in (1, 1, 2))
        assert torch.equal(one, again)
        assert torch.equal(one, other) == same


def test_long_audio_is_encoded_in_windows(bundle: Bundle) -> None:
    source = speech_like(25.01).waveform
    units = encode_units(bundle.tokenizer, source)
    assert len(units) == -(-source.shape[1] // 320)
    beginning = encode_units(bundle.tokenizer, source[:, : 22 * 16_000])
    assert torch.equal(units[:1000], beginning[:1000])


def test_wrong_input_is_refused(converter: VoiceConverter, voice: VoicePrompt) -> None:
    with pytest.raises(AudioError, match="empty"):
        converter.convert(Audio(torch.zeros(1, 0), 16_000), voice)
    with pytest.raises(AudioError, match="NaN"):
        converter.convert(Audio(torch.full((1, 9000), float("nan")), 16_000), voice)
    other = tiny_voice(tiny_bundle(BundleConfig(name="other"), seed=9))
    with pytest.raises(ConfigError, match="'other'"):
        converter.convert(speech_like(1.0), other)
