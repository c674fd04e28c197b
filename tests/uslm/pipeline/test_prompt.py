"""A voice is made of any recording, kept in a file, and says what was odd about it."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from uslm.pipeline.bundle import Bundle
from uslm.pipeline.phonemes import PHONEMES
from uslm.pipeline.prompt import PromptConfig, VoicePrompt
from uslm.pipeline.testing import TINY, speech_like, tiny_bundle
from uslm.pipeline.tts import ZeroShotTTS
from uslm_tokenizer.audio import Audio
from uslm_tokenizer.audio_write import write_audio
from uslm_tokenizer.errors import AudioError, ConfigError, MissingResource, TextError, UserError


@pytest.fixture(scope="module")
def made(tts: ZeroShotTTS) -> VoicePrompt:
    return tts.create_voice(speech_like(4.0), "Some words.", name="Ada")


def test_a_voice_holds_codes_and_text(made: VoicePrompt, bundle: Bundle) -> None:
    assert made.codes.shape == (4, 200)
    assert made.text_ids.tolist() == bundle.vocab.encode(made.phonemes)
    assert made.transcript == "Some words."
    assert (made.num_spoken_frames, made.seconds) == (200, pytest.approx(4.0, abs=0.02))


def test_a_saved_voice_comes_back_quickly(made: VoicePrompt, tmp_path: Path) -> None:
    path = made.save(tmp_path / "ada.safetensors")
    seconds = []
    for _ in range(5):
        start = time.perf_counter()
        loaded = VoicePrompt.load(path)
        seconds.append(time.perf_counter() - start)
    assert min(seconds) < 0.05
    assert torch.equal(loaded.codes, made.codes)
    assert torch.equal(loaded.text_ids, made.text_ids)
    for name in ("name", "phonemes", "transcript", "seconds", "tokenizer_hash", "findings"):
        assert getattr(loaded, name) == getattr(made, name)


def test_a_loaded_voice_speaks_as_the_made_one(
    tts: ZeroShotTTS, made: VoicePrompt, tmp_path: Path
) -> None:
    loaded = VoicePrompt.load(made.save(tmp_path / "ada.safetensors"))
    one, other = (tts.generate("Hello.", voice, seed=1).waveform for voice in (made, loaded))
    assert torch.equal(one, other)


def test_a_voice_file_is_replaced_only_by_force(made: VoicePrompt, tmp_path: Path) -> None:
    path = made.save(tmp_path / "ada.safetensors")
    with pytest.raises(UserError, match="exists"):
        made.save(path)
    made.save(path, force=True)
    assert [file.name for file in tmp_path.iterdir()] == ["ada.safetensors"]
    with pytest.raises(MissingResource, match="no folder"):
        made.save(tmp_path / "nowhere" / "ada.safetensors")


def test_what_is_no_voice_is_refused(tmp_path: Path) -> None:
    with pytest.raises(MissingResource):
        VoicePrompt.load(tmp_path / "none.safetensors")
    for name, content in (("empty", b""), ("text", b"hello" * 50)):
        path = tmp_path / name
        path.write_bytes(content)
        with pytest.raises(ConfigError, match="not a voice file"):
            VoicePrompt.load(path)
    save_file({"codes": torch.zeros(2)}, tmp_path / "other")
    with pytest.raises(ConfigError, match="not a voice file"):
        VoicePrompt.load(tmp_path / "other")


def test_without_a_transcript_phonemes_are_recognised(tts: ZeroShotTTS, bundle: Bundle) -> None:
    voice = tts.create_voice(speech_like(3.0))
    assert voice.transcript is None
    assert voice.text_ids.tolist() == bundle.tokenizer.units.recognize(voice.units)
    assert voice.phonemes == PHONEMES.decode(voice.text_ids.tolist())


def test_a_transcript_that_does_not_match_is_warned_of(
    tts: ZeroShotTTS, bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    audio, text = speech_like(4.0), "These words are not said."
    assert "transcript_mismatch" in {f.code for f in tts.create_voice(audio, text).findings}
    said = bundle.vocab.encode(tts.frontend(text).phonemes)
    monkeypatch.setattr(type(bundle.tokenizer.units), "recognize", lambda self, units: said)
    assert not tts.create_voice(audio, text).findings


def test_a_long_prompt_is_cut_and_said_so(tts: ZeroShotTTS) -> None:
    voice = tts.create_voice(speech_like(20.0))
    assert voice.codes.shape[1] <= 225
    assert "cut" in {finding.code for finding in voice.findings}
    assert tts.create_voice(speech_like(20.0), max_seconds=2.0).codes.shape[1] <= 100


def test_the_transcript_is_cut_with_the_audio(tts: ZeroShotTTS) -> None:
    words = "one two three four five six seven eight nine ten " * 4
    voice = tts.create_voice(speech_like(20.0), words)
    assert voice.transcript is not None
    assert words.startswith(voice.transcript)
    assert len(voice.transcript) < len(words)


def test_stage_1_gets_the_words_of_its_frames_only() -> None:
    short = PromptConfig(semantic_frames=80, acoustic_frames=225)
    tts = ZeroShotTTS(tiny_bundle(replace(TINY, prompt=short)))
    words = "one two three four five six"
    voice = tts.create_voice(speech_like(4.0), words)
    assert voice.codes.shape[1] == 200
    assert len(voice.units) == voice.num_spoken_frames == 80
    everything = tts.frontend(words).phonemes
    assert everything.startswith(voice.phonemes)
    assert len(voice.phonemes) < len(everything)


def test_a_damaged_voice_is_refused(tts: ZeroShotTTS, made: VoicePrompt) -> None:
    for damage in ({"codes": made.codes + 40}, {"text_ids": made.text_ids + 60}):
        with pytest.raises(UserError, match=r"codes must lie in|cannot read"):
            tts.stream("Hello.", replace(made, **damage))


@pytest.mark.parametrize(("rate", "channels"), [(8000, 1), (44_100, 2), (48_000, 6)])
def test_any_rate_and_channel_count_will_do(
    tts: ZeroShotTTS, tmp_path: Path, rate: int, channels: int
) -> None:
    import soundfile

    samples = speech_like(3.0, rate).waveform.expand(channels, -1).T.numpy()
    soundfile.write(tmp_path / "ada.flac", samples, rate)
    voice = tts.create_voice(tmp_path / "ada.flac")
    assert voice.name == "ada"
    assert 140 <= voice.codes.shape[1] <= 150


@pytest.mark.parametrize(
    "audio",
    [
        Audio(torch.zeros(1, 48_000), 16_000),
        Audio(speech_like(3.0).waveform[:, :1600], 16_000),
        Audio(torch.full((1, 48_000), float("nan")), 16_000),
        Audio(torch.zeros(1, 0), 16_000),
    ],
    ids=["silent", "0.1 s", "NaN", "empty"],
)
def test_an_unusable_prompt_is_refused(tts: ZeroShotTTS, audio: Audio) -> None:
    with pytest.raises(AudioError):
        tts.create_voice(audio)


def test_wrong_arguments_are_refused(tts: ZeroShotTTS, tmp_path: Path) -> None:
    with pytest.raises(MissingResource):
        tts.create_voice(tmp_path / "none.wav")
    with pytest.raises(TextError):
        tts.create_voice(speech_like(3.0), "?!")
    with pytest.raises(UserError, match="max_seconds"):
        tts.create_voice(speech_like(3.0), max_seconds=0.0)


def test_the_file_name_names_the_voice(tts: ZeroShotTTS, tmp_path: Path) -> None:
    audio = speech_like(3.0)
    write_audio(tmp_path / "grace.wav", audio.waveform, audio.sample_rate)
    assert tts.create_voice(tmp_path / "grace.wav").name == "grace"
    assert tts.create_voice(str(tmp_path / "grace.wav"), name="G").name == "G"
    assert tts.create_voice((tmp_path / "grace.wav").read_bytes()).name == "voice"
