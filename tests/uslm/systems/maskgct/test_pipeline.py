"""MaskGCT's whole pipeline, with random weights: seeds, long texts, batches, voices, folders."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from uslm import ZeroShotTTS
from uslm.synthesis.protocols import Synthesizer
from uslm.systems.loading import read_frontend, read_imitates, read_settings
from uslm.systems.maskgct.pipeline import MaskGCT, load_maskgct
from uslm.systems.maskgct.stages import STAGES
from uslm.systems.maskgct.tiny import save_tiny_maskgct, tiny_maskgct, tiny_parts
from uslm.systems.model_parts import Parts
from uslm.systems.two_stage.tiny import speech_like
from uslm.text.vocab import PhonemeVocab
from uslm.voices.prompt import VoicePrompt
from uslm_tokenizer.errors import ConfigError, UserError
from uslm_tokenizer.hub import PretrainedModel

TEXT = "Hello there. This is a second sentence, and it is longer. The end."


@pytest.fixture(scope="module")
def system() -> MaskGCT:
    return tiny_maskgct()


@pytest.fixture(scope="module")
def tts(system: MaskGCT) -> ZeroShotTTS:
    return ZeroShotTTS(system)


@pytest.fixture(scope="module")
def voice(tts: ZeroShotTTS) -> VoicePrompt:
    return tts.create_voice(speech_like(2.0), "This is a test.", name="somebody")


def test_a_voice_keeps_units_and_codes_of_one_length(system: MaskGCT, voice: VoicePrompt) -> None:
    assert isinstance(system, Synthesizer) and system.sample_rate == 24_000
    frames = -(-round(voice.seconds * 24_000) // 480)
    assert voice.codes.shape == (3, frames) and voice.extras["units"].shape == (frames,)
    assert system.vocab.decode(voice.text_ids.tolist()) == voice.phonemes
    assert voice.transcript == "This is a test."
    system.check_voice(voice)


def test_a_saved_voice_speaks_the_same(
    tts: ZeroShotTTS, voice: VoicePrompt, tmp_path: Path
) -> None:
    loaded = VoicePrompt.load(voice.save(tmp_path / "voice.safetensors"))
    speech = [tts.generate("Hello.", each, seed=3).waveform for each in (voice, loaded)]
    assert torch.equal(*speech)


def test_without_a_transcript_the_ear_reads_the_prompt(tts: ZeroShotTTS, system: MaskGCT) -> None:
    voice = tts.create_voice(speech_like(2.0))
    assert voice.transcript is None
    assert voice.text_ids.tolist() == system.vocab.encode(voice.phonemes)
    assert tts.generate("Hello.", voice, seed=1).seconds > 0


def test_the_same_seed_gives_the_same_bytes(tts: ZeroShotTTS, voice: VoicePrompt) -> None:
    first = tts.generate(TEXT, voice, seed=5)
    assert torch.equal(first.waveform, tts.generate(TEXT, voice, seed=5).waveform)
    assert not torch.equal(first.codes, tts.generate(TEXT, voice, seed=6).codes)
    assert len(first.segments) > 1 and {chunk.stop_reason for chunk in first.segments} == {"end"}
    assert first.waveform.abs().max() <= 1


def test_the_joined_stream_is_the_whole(tts: ZeroShotTTS, voice: VoicePrompt) -> None:
    chunks = list(tts.stream(TEXT, voice, seed=5))
    assert sum(chunk.waveform.numel() > 0 for chunk in chunks) > 1
    joined = torch.cat([chunk.waveform for chunk in chunks], dim=1)
    assert torch.equal(joined, tts.generate(TEXT, voice, seed=5).waveform)


def test_a_row_of_a_batch_is_the_text_alone(tts: ZeroShotTTS, voice: VoicePrompt) -> None:
    texts = [TEXT, "Good morning.", "It is late, and I have to go."]
    for seed, (text, speech) in enumerate(
        zip(texts, tts.generate_batch(texts, voice, [0, 1, 2]), strict=True)
    ):
        assert torch.equal(speech.waveform, tts.generate(text, voice, seed=seed).waveform)


def test_speech_has_the_pace_of_the_prompt(system: MaskGCT, voice: VoicePrompt) -> None:
    rule = system.settings.duration
    tts = ZeroShotTTS(system)
    symbols = len(tts.frontend("Hello there.").text_ids)
    expected = rule.num_frames(symbols, len(voice.text_ids), voice.seconds * 50)
    assert tts.generate("Hello there.", voice, seed=1).codes.shape == (3, expected)


def test_prompt_text_and_temperature_are_heard(tts: ZeroShotTTS, voice: VoicePrompt) -> None:
    spoken = tts.generate("Hello.", voice, seed=1).codes
    others = [
        tts.generate(
            "Hello.", replace(voice, extras={"units": 31 - voice.extras["units"]}), seed=1
        ),
        tts.generate("Hello.", replace(voice, codes=31 - voice.codes), seed=1),
        tts.generate("Hello.", voice, seed=1, temperature=5.0),
        tts.generate("Hello.", voice, seed=1, top_k=1),
        tts.generate("Yellow.", voice, seed=1),
    ]
    assert not any(torch.equal(spoken, other.codes) for other in others)
    with pytest.raises(UserError, match="top_p must be 1"):
        tts.generate("Hello.", voice, top_p=0.5)


def test_verification_draws_again_by_the_default_models_ear(
    tts: ZeroShotTTS, voice: VoicePrompt
) -> None:
    [report] = tts.generate("Hello.", voice, seed=1, verify=True, retries=1).segments
    assert report.attempts == 2 and report.phoneme_error_rate is not None


def test_voices_of_another_model_and_damaged_ones_are_refused(
    system: MaskGCT, voice: VoicePrompt
) -> None:
    with pytest.raises(ConfigError, match="create it again"):
        tiny_maskgct(seed=1).check_voice(voice)
    for extras in ({}, {"units": voice.extras["units"][1:]}, {"units": voice.extras["units"] + 32}):
        with pytest.raises(ConfigError, match="must hold a unit from 0 to 31"):
            system.check_voice(replace(voice, extras=extras))
    with pytest.raises(UserError, match="codes must"):
        system.check_voice(replace(voice, codes=voice.codes + 32))
    with pytest.raises(ConfigError, match="cannot read"):
        system.check_voice(replace(voice, text_ids=voice.text_ids + 99))


def test_parts_that_do_not_fit_are_refused() -> None:
    parts = tiny_parts()
    with pytest.raises(ConfigError, match="s2a_first was made for 1 codebooks below its own, but"):
        MaskGCT(Parts(parts | {"s2a_first": parts["s2a_rest"]}), PhonemeVocab())


def test_a_folder_speaks_by_its_name(voice: VoicePrompt, tmp_path: Path, system: MaskGCT) -> None:
    save_tiny_maskgct(tmp_path)
    assert read_settings(tmp_path).name == "maskgct" and read_imitates(tmp_path) == ()
    frontend = read_frontend(tmp_path)
    assert frontend("Is it?").phonemes == "ɪz ɪt?"  # noqa: RUF001
    loaded = load_maskgct(tmp_path)
    loaded.check_voice(voice)  # the same weights, so the same codes
    assert loaded.hash == system.hash
    assert loaded.frontend()("Is it?").text_ids == frontend("Is it?").text_ids
    half = load_maskgct(tmp_path, dtype="bfloat16")
    assert half.hash == system.hash and half.tokenizer.dtype == torch.float32
    assert {half.parts.get(name, PretrainedModel).dtype for name in STAGES} == {torch.bfloat16}
    speech = ZeroShotTTS.from_pretrained(tmp_path, dtype="bfloat16").generate("Is it?", voice)
    assert speech.model == "maskgct" and bool(speech.waveform.isfinite().all())
