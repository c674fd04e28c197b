"""A voice is made of any recording, kept in a file, and says what was odd about it."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

import uslm
from uslm.systems.two_stage.bundle import Bundle
from uslm.systems.two_stage.tiny import TINY, speech_like, tiny_bundle
from uslm.tts import ZeroShotTTS
from uslm.voices.phoneme_error_rate import PHONEMES
from uslm.voices.prompt import PromptConfig, VoicePrompt
from uslm_tokenizer.audio.read import Audio
from uslm_tokenizer.audio.write import write_audio
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
    assert torch.equal(loaded.speaker_embedding, made.speaker_embedding)
    assert loaded.facts() == made.facts()


def test_a_voice_says_where_it_came_from(tts: ZeroShotTTS, made: VoicePrompt) -> None:
    assert (made.model, made.model_hash) == ("tiny", tts.synthesizer.hash)
    assert made.origin.made_with == f"uslm {uslm.__version__}"
    assert made.origin.made_at.endswith("+00:00")
    assert made.speaker_embedding.shape == (24,) and "unit_codec" in made.speaker_model
    one, other = (
        tts.create_voice(speech_like(4.0, seed=seed)).speaker_embedding for seed in (0, 1)
    )
    assert torch.equal(one, made.speaker_embedding), "the voice of a recording, not of its text"
    assert not torch.equal(other, made.speaker_embedding)


def test_licence_consent_and_extras_are_kept(made: VoicePrompt, tmp_path: Path) -> None:
    mel, units = torch.randn(80, 7), torch.arange(70_000)
    voice = replace(
        made,
        licence="CC BY 4.0",
        consent="Ada agreed, in writing",
        speaker_embedding=None,
        extras={"mel": mel, "units": units},
        codes=made.codes + 40_000,
    )
    loaded = VoicePrompt.load(voice.save(tmp_path / "ada.safetensors"))
    assert loaded.facts() == voice.facts()
    assert loaded.speaker_embedding is None
    assert set(loaded.extras) == {"mel", "units"}
    assert torch.equal(loaded.extras["mel"], mel) and torch.equal(loaded.extras["units"], units)
    assert torch.equal(loaded.codes, voice.codes), "codes of a large codebook"


def test_a_file_of_the_first_format_is_read(made: VoicePrompt, tmp_path: Path) -> None:
    facts = made.facts()
    for new in ("model_hash", "speaker_model", "licence", "consent", "origin"):
        del facts[new]
    path = write_voice(tmp_path / "old.safetensors", made, {"format": 1, **facts})
    loaded = VoicePrompt.load(path)
    assert (loaded.name, loaded.licence, loaded.speaker_embedding) == ("Ada", None, None)
    assert torch.equal(loaded.codes, made.codes)


def write_voice(path: Path, voice: VoicePrompt, facts: object, **tensors: torch.Tensor) -> Path:
    """A voice file with any facts and tensors."""
    usual = {"codes": voice.codes.to(torch.int16), "text_ids": voice.text_ids.to(torch.int32)}
    save_file(usual | tensors, path, metadata={"voice": json.dumps(facts)})
    return path


@pytest.mark.parametrize(
    ("facts", "tensors", "words"),
    [
        ({"format": 5}, {}, "format 5, this version reads up to 4"),
        ({"format": None}, {}, "which format"),
        ({"name": 5}, {}, "name must be str"),
        ({"name": "An\nn"}, {}, "printable"),
        ({"seconds": float("nan")}, {}, "seconds must be a finite number"),
        ({"seconds": 0.0}, {}, "seconds must be above 0"),
        ({"num_spoken_frames": 201}, {}, "201 of 200 frames"),
        ({"pickle": "x"}, {}, "no key"),
        ({"codes": [1]}, {}, "must be tensors"),
        ({}, {"codes": torch.zeros(3, dtype=torch.int16)}, "codes must be"),
        ({}, {"codes": torch.zeros(4, 200)}, "codes must be"),
        ({}, {"mel": torch.zeros(3)}, "no key"),
        ({}, {"extras.mel": torch.full((3,), float("inf"))}, "finite"),
    ],
)
def test_a_file_that_is_not_what_it_says_is_refused(
    facts: dict[str, Any],
    tensors: dict[str, torch.Tensor],
    words: str,
    made: VoicePrompt,
    tmp_path: Path,
) -> None:
    path = write_voice(
        tmp_path / "odd.safetensors", made, {"format": 2, **made.facts(), **facts}, **tensors
    )
    with pytest.raises(ConfigError, match=words):
        VoicePrompt.load(path)


def test_another_models_voice_is_refused_by_name(made: VoicePrompt) -> None:
    other = ZeroShotTTS(tiny_bundle(replace(TINY, name="other"), seed=9))
    with pytest.raises(ConfigError, match=r"'Ada' was made .* of model 'tiny'.*'other'"):
        other.stream("Hello.", made)


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
    below = torch.cat([torch.tensor([-1]), made.text_ids])
    for damage in (
        {"codes": made.codes + 40},
        {"text_ids": made.text_ids + 60},
        {"text_ids": below},
    ):
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
