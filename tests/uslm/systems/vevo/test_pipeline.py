"""Vevo's whole pipeline, with random weights: seeds, long texts, batches, conversion, voices."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from uslm import VoiceConverter, ZeroShotTTS
from uslm.synthesis.protocols import Converter, Synthesizer
from uslm.systems.loading import read_frontend, read_imitates, read_settings
from uslm.systems.model_parts import Parts
from uslm.systems.two_stage.tiny import speech_like
from uslm.systems.vevo import steps as vevo_parts
from uslm.systems.vevo.pipeline import Vevo
from uslm.systems.vevo.settings import VevoSettings
from uslm.systems.vevo.tiny import SETTINGS, save_tiny_vevo, tiny_parts, tiny_vevo
from uslm.text.vocab import PhonemeVocab
from uslm.voices.prompt import VoicePrompt
from uslm_tokenizer.audio.read import Audio
from uslm_tokenizer.errors import AudioError, ConfigError, MissingResource, UserError

TEXT = "Hello there. This is a second sentence, and it is longer. The end."


@pytest.fixture(scope="module")
def vevo() -> Vevo:
    return tiny_vevo()


@pytest.fixture(scope="module")
def tts(vevo: Vevo) -> ZeroShotTTS:
    return ZeroShotTTS(vevo)


@pytest.fixture(scope="module")
def voice(tts: ZeroShotTTS) -> VoicePrompt:
    return tts.create_voice(speech_like(2.0), "This is a test.", name="somebody")


def test_it_is_a_speaker_and_a_converter(vevo: Vevo) -> None:
    assert isinstance(vevo, Synthesizer) and isinstance(vevo, Converter)
    assert vevo.sample_rate == 24_000


def test_a_voice_keeps_units_frames_and_words(vevo: Vevo, voice: VoicePrompt) -> None:
    frames = voice.codes.shape[1]
    assert voice.codes.shape == (1, frames)
    assert frames == (round(voice.seconds * 16_000) - 400) // 320 + 1
    assert voice.extras["mel"].shape == (frames, 8)
    assert voice.extras["content"].shape == (frames,)
    assert vevo.vocab.decode(voice.text_ids.tolist()) == voice.phonemes
    assert voice.transcript == "This is a test."
    vevo.check_voice(voice)


def test_a_saved_voice_speaks_the_same(
    tts: ZeroShotTTS, voice: VoicePrompt, tmp_path: Path
) -> None:
    loaded = VoicePrompt.load(voice.save(tmp_path / "voice.safetensors"))
    speech = [tts.generate("Hello.", each, seed=3).waveform for each in (voice, loaded)]
    assert torch.equal(*speech)


def test_without_a_transcript_the_ear_reads_the_prompt(tts: ZeroShotTTS, vevo: Vevo) -> None:
    voice = tts.create_voice(speech_like(2.0))
    assert voice.transcript is None
    assert voice.text_ids.tolist() == vevo.vocab.encode(voice.phonemes)
    vevo.check_voice(voice)


def test_the_same_seed_gives_the_same_bytes(tts: ZeroShotTTS, voice: VoicePrompt) -> None:
    first = tts.generate(TEXT, voice, seed=5)
    assert torch.equal(first.waveform, tts.generate(TEXT, voice, seed=5).waveform)
    other = tts.generate(TEXT, voice, seed=6)
    assert not torch.equal(first.units, other.units)
    assert len(first.segments) == 2
    assert first.waveform.abs().max() <= 1


def test_the_joined_stream_is_the_whole(tts: ZeroShotTTS, voice: VoicePrompt) -> None:
    chunks = list(tts.stream(TEXT, voice, seed=5))
    assert sum(chunk.waveform.numel() > 0 for chunk in chunks) >= 2
    joined = torch.cat([chunk.waveform for chunk in chunks], dim=1)
    assert torch.equal(joined, tts.generate(TEXT, voice, seed=5).waveform)


def test_a_row_of_a_batch_is_the_text_alone(tts: ZeroShotTTS, voice: VoicePrompt) -> None:
    texts = [TEXT, "Good morning.", "It is late, and I have to go."]
    for text, speech in zip(texts, tts.generate_batch(texts, voice, [1, 2, 3]), strict=True):
        assert torch.equal(
            speech.waveform, tts.generate(text, voice, seed=texts.index(text) + 1).waveform
        )


def test_speech_is_as_long_as_its_units(tts: ZeroShotTTS, voice: VoicePrompt) -> None:
    speech = tts.generate("Hello there.", voice, seed=5)
    [report] = speech.segments
    symbols = len(tts.frontend("Hello there.").text_ids)
    assert symbols <= len(speech.units) <= 1.5 * symbols + 5
    assert report.stop_reason in ("end", "length")
    assert bool((speech.units < 32).all())


def test_verification_draws_again_by_the_default_models_ear(
    tts: ZeroShotTTS, voice: VoicePrompt
) -> None:
    speech = tts.generate("Hello.", voice, seed=1, verify=True, retries=1)
    [report] = speech.segments
    assert report.attempts == 2 and report.phoneme_error_rate is not None


@pytest.mark.parametrize("imitate", ["timbre", "style", "both"])
def test_conversion_says_the_source(vevo: Vevo, voice: VoicePrompt, imitate: str) -> None:
    converter, source = VoiceConverter(vevo), speech_like(1.5, seed=4)
    made = converter.convert(source, voice, imitate=imitate, seed=2)
    again = converter.convert(source, voice, imitate=imitate, seed=2)
    assert torch.equal(made.waveform, again.waveform)
    assert made.settings == {"imitate": imitate}
    assert bool(made.waveform.isfinite().all())
    if imitate == "timbre":
        assert made.waveform.shape == (1, 36_000)
        assert torch.equal(made.units, vevo.parts.units(source).style)
    else:
        assert made.waveform.shape[-1] == 480 * len(made.units)


def test_what_is_imitated_is_heard(vevo: Vevo, voice: VoicePrompt) -> None:
    converter, source = VoiceConverter(vevo), speech_like(1.5, seed=4)
    both = converter.convert(source, voice, imitate="both", seed=2)
    style = converter.convert(source, voice, imitate="style", seed=2)
    assert torch.equal(both.units, style.units)
    assert not torch.equal(both.waveform, style.waveform)


def test_a_long_recording_is_converted_segment_by_segment(
    voice: VoicePrompt, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(vevo_parts, "BLOCK_FRAMES", 40)
    monkeypatch.setattr(vevo_parts, "TAIL_FRAMES", 10)
    vevo = tiny_vevo(settings=replace(SETTINGS, segment_seconds=1.0))
    source = speech_like(3.3, seed=4)
    timbre = VoiceConverter(vevo).convert(source, voice, seed=2)
    assert timbre.waveform.shape == (1, round(3.3 * 24_000))
    both = VoiceConverter(vevo).convert(source, voice, imitate="both", seed=2)
    num_content = len(vevo.parts.units(source).style)
    assert len(both.units) >= num_content // 2 - 5  # of all segments, not of the first alone


def test_a_model_without_content_units_imitates_timbre_only(voice: VoicePrompt) -> None:
    vevo = tiny_vevo(converts=False)
    with pytest.raises(UserError, match=r"imitate must be one of \['timbre'\]"):
        VoiceConverter(vevo).convert(speech_like(1.0), voice, imitate="both")
    made = VoiceConverter(vevo).convert(speech_like(1.0), voice)
    assert made.waveform.shape == (1, 24_000)
    plain = VoiceConverter(vevo).create_voice(speech_like(1.5), "Hello there.")
    with pytest.raises(ConfigError, match="has no content units"):
        VoiceConverter(tiny_vevo()).convert(speech_like(1.0), plain, imitate="style")


def test_units_of_windows_are_units_of_the_whole(
    vevo: Vevo, monkeypatch: pytest.MonkeyPatch
) -> None:
    recording = speech_like(3.0)
    assert len(vevo.parts.units(recording).style) == (48_000 - 400) // 320 + 1
    monkeypatch.setattr(vevo_parts, "WINDOW_SECONDS", 1.0)
    monkeypatch.setattr(vevo_parts, "MARGIN_SECONDS", 3.0)  # enough to see all
    in_windows, whole = vevo.parts.units(recording), tiny_vevo().parts.units(recording)
    assert torch.equal(in_windows.style, whole.style)


def test_samples_of_windows_are_samples_of_the_whole(
    vevo: Vevo, monkeypatch: pytest.MonkeyPatch
) -> None:
    frames = torch.randn(60, 8, generator=torch.Generator().manual_seed(1))
    whole = vevo.parts.waveform(frames)
    monkeypatch.setattr(vevo_parts, "VOCODER_FRAMES", 13)
    torch.testing.assert_close(vevo.parts.waveform(frames), whole, atol=1e-5, rtol=1e-4)


def test_a_short_recording_has_a_unit_and_an_empty_one_is_refused(
    vevo: Vevo, voice: VoicePrompt
) -> None:
    assert len(vevo.parts.units(Audio(torch.zeros(1, 10), 16_000)).style) == 1
    with pytest.raises(AudioError, match="empty"):
        VoiceConverter(vevo).convert(Audio(torch.zeros(1, 0), 16_000), voice)


def test_parts_of_a_folder_are_loaded_when_they_are_needed(tmp_path: Path) -> None:
    folder = Parts(folder=save_tiny_vevo(tmp_path))
    loaded = Vevo(folder, PhonemeVocab(), SETTINGS)
    built = tiny_vevo()
    assert loaded.hash == built.hash and loaded.tokenizer_hash == built.tokenizer_hash
    assert loaded.imitates == ("timbre", "style", "both")
    assert "phone_lm" not in folder._models
    voice = ZeroShotTTS(built).create_voice(speech_like(1.5))
    speech = [ZeroShotTTS(each).generate("Hello.", voice, seed=1) for each in (loaded, built)]
    assert torch.equal(speech[0].waveform, speech[1].waveform)
    assert "phone_lm" in folder._models and "content_lm" not in folder._models


def test_a_converted_folder_speaks_and_converts(tmp_path: Path) -> None:
    save_tiny_vevo(tmp_path)
    tts = ZeroShotTTS.from_pretrained(tmp_path)
    assert isinstance(tts.synthesizer, Vevo)
    assert tts.synthesizer.settings == VevoSettings() == read_settings(tmp_path)
    assert tts.synthesizer.imitates == read_imitates(tmp_path)
    text = "Wait, what?"
    assert tts.frontend(text) == read_frontend(tmp_path)(text)
    assert "," in tts.frontend(text).phonemes and tts.frontend(text).phonemes[-1] == "?"
    voice = tts.create_voice(speech_like(1.5), "This is a test.")
    made = VoiceConverter.from_pretrained(tmp_path).convert(speech_like(1.0), voice, seed=1)
    assert made.waveform.shape == (1, 24_000)
    halved = ZeroShotTTS.from_pretrained(tmp_path, dtype="bfloat16")
    assert halved.synthesizer.hash == tts.synthesizer.hash
    speech = halved.generate("Hello.", voice, seed=1)
    assert speech.waveform.dtype == torch.float32 and bool(speech.waveform.isfinite().all())


def test_more_symbols_than_the_model_knows_are_refused(voice: VoicePrompt) -> None:
    parts = tiny_parts()
    config = replace(parts["phone_lm"].config, text_vocab_size=10)
    parts["phone_lm"] = type(parts["phone_lm"])(config).eval()
    tts = ZeroShotTTS(Vevo(Parts(parts), PhonemeVocab()))
    with pytest.raises(ConfigError, match="53 symbols, but phone_lm knows 10"):
        tts.generate("Hello.", voice)


def test_parts_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    parts = tiny_parts()
    del parts["vocoder"]
    with pytest.raises(MissingResource, match="no part 'vocoder'"):
        Vevo(Parts(parts), PhonemeVocab())
    parts = tiny_parts()
    config = replace(parts["phone_lm"].config, codebook_size=40)
    parts["phone_lm"] = type(parts["phone_lm"])(config).eval()
    with pytest.raises(ConfigError, match="phone_lm was made for 40 units"):
        Vevo(Parts(parts), PhonemeVocab()).parts.phone_lm  # noqa: B018


def test_a_damaged_voice_is_refused(vevo: Vevo, voice: VoicePrompt) -> None:
    with pytest.raises(ConfigError, match="frames of 8 mel bands"):
        vevo.check_voice(replace(voice, extras={}))
    with pytest.raises(UserError, match="codes must lie in"):
        vevo.check_voice(replace(voice, codes=voice.codes + 32))
    with pytest.raises(ConfigError, match="was made with the tokenizer of"):
        tiny_vevo(seed=1).check_voice(voice)
    with pytest.raises(ConfigError, match="cannot read"):
        vevo.check_voice(replace(voice, text_ids=voice.text_ids + 1000))
