"""USLM speaks as our own models do: seeds, streams, batches, verification, voices, folders."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from uslm.synthesis.protocols import Synthesizer
from uslm.systems.loading import as_converter, read_frontend, read_settings
from uslm.systems.two_stage.bundle import bundle_of
from uslm.systems.two_stage.tiny import speech_like
from uslm.systems.valle.pipeline import Uslm
from uslm.systems.valle.text import ValleVocab
from uslm.systems.valle.tiny import save_tiny_uslm, tiny_uslm
from uslm.tts import ZeroShotTTS
from uslm.voices.prompt import VoicePrompt
from uslm_tokenizer.errors import ConfigError, UserError

TEXT = "This one is the first of all. Here is the second one too. [pause:0.4] And a third."


@pytest.fixture(scope="module")
def synthesizer() -> Uslm:
    return tiny_uslm()


@pytest.fixture(scope="module")
def tts(synthesizer: Uslm) -> ZeroShotTTS:
    return ZeroShotTTS(synthesizer)


@pytest.fixture(scope="module")
def voice(tts: ZeroShotTTS) -> VoicePrompt:
    return tts.create_voice(speech_like(3.0), "Some words.", name="Ada")


def test_it_is_a_speaker_and_no_converter(synthesizer: Uslm) -> None:
    assert isinstance(synthesizer, Synthesizer)
    with pytest.raises(UserError, match="converts no voices"):
        as_converter(synthesizer)


def test_streamed_samples_are_the_whole_and_a_seed_repeats_them(
    tts: ZeroShotTTS, voice: VoicePrompt
) -> None:
    whole = tts.generate(TEXT, voice, seed=3)
    chunks = list(tts.stream(TEXT, voice, seed=3))
    assert torch.equal(torch.cat([chunk.waveform for chunk in chunks], dim=1), whole.waveform)
    assert sum(chunk.waveform.numel() > 0 for chunk in chunks) >= 3
    assert len(whole.segments) == 3
    assert whole.codes.shape[0] == tts.synthesizer.tokenizer.num_codebooks  # type: ignore[union-attr]
    other = tts.generate(TEXT, voice, seed=4)
    assert not torch.equal(other.units[:10], whole.units[:10])


def test_a_row_of_a_batch_is_what_it_is_alone(tts: ZeroShotTTS, voice: VoicePrompt) -> None:
    texts = ["One of them.", TEXT]
    together = tts.generate_batch(texts, voice, seeds=[5, 6])
    for text, seed, speech in zip(texts, (5, 6), together, strict=True):
        assert torch.equal(tts.generate(text, voice, seed=seed).codes, speech.codes)


def test_the_default_models_ear_listens(tts: ZeroShotTTS, voice: VoicePrompt) -> None:
    speech = tts.generate("Hello you.", voice, seed=1, verify=True, retries=1)
    [chunk] = speech.segments
    assert chunk.attempts == 2
    assert chunk.phoneme_error_rate is not None


def test_voices_are_read_by_id_or_by_ear(tts: ZeroShotTTS, voice: VoicePrompt) -> None:
    vocab = ValleVocab()
    assert voice.text_ids.tolist() == vocab.encode("s|ʌ|m_w|ɜː|d|z.")
    received = tts.create_voice(speech_like(3.0))
    assert received.transcript is None
    assert (int(received.text_ids[0]), int(received.text_ids[-1])) == (1, 2)
    assert tts.generate("Yes.", received, seed=1).waveform.numel()


def test_the_prompt_is_heard(tts: ZeroShotTTS, voice: VoicePrompt) -> None:
    other = replace(voice, codes=(voice.codes + 7) % 32)
    one, two = (tts.generate("Hello.", each, seed=1).units for each in (voice, other))
    assert not torch.equal(one, two)


def test_a_foreign_voice_is_refused(tts: ZeroShotTTS, voice: VoicePrompt, tmp_path: Path) -> None:
    loaded = VoicePrompt.load(voice.save(tmp_path / "ada.safetensors"))
    tts.generate("Yes.", loaded, seed=1)
    with pytest.raises(ConfigError, match="'uslm'"):
        ZeroShotTTS(tiny_uslm(seed=9)).generate("Yes.", loaded)


def test_a_folder_speaks_as_what_was_saved(
    synthesizer: Uslm, voice: VoicePrompt, tmp_path: Path
) -> None:
    folder = save_tiny_uslm(synthesizer, tmp_path / "uslm")
    loaded = ZeroShotTTS.from_pretrained(folder)
    assert loaded.synthesizer.hash == synthesizer.hash
    half = ZeroShotTTS.from_pretrained(folder, dtype="bfloat16")
    assert half.synthesizer.hash == synthesizer.hash  # of the weights, whatever the precision
    assert half.generate("Hi.", voice, seed=1).waveform.numel()
    assert read_settings(folder) == loaded.synthesizer.settings
    assert read_frontend(folder)("Hi.").text_ids == loaded.frontend("Hi.").text_ids
    with pytest.raises(UserError, match="models of ours only"):
        bundle_of(loaded.synthesizer)


def test_parts_that_do_not_fit_are_refused(synthesizer: Uslm) -> None:
    symbols = [f"x{i}" for i in range(200)]
    with pytest.raises(ConfigError, match="203 symbols"):
        Uslm(synthesizer.tokenizer, synthesizer.model, ValleVocab(symbols))
    fewer = tiny_uslm().tokenizer
    fewer.use_codebooks(2)
    with pytest.raises(ConfigError, match="2 codebooks"):
        Uslm(fewer, synthesizer.model)
