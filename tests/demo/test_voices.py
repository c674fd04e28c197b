"""The voice that is asked for: kept, recorded, or neither."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from uslm.systems.two_stage.tiny import speech_like
from uslm.voices.prompt import VoicePrompt
from uslm.voices.stock import stock_voices
from uslm.voices.store import VoiceStore
from uslm_demo.model import Model
from uslm_demo.voices import (
    PreparedVoice,
    VoiceChoice,
    check_recording,
    describe,
    facts,
    find_voice,
    import_voice,
    listen,
    make_voice,
    voice_names,
)
from uslm_tokenizer.audio.write import write_audio
from uslm_tokenizer.errors import AudioError, ConfigError, MissingResource, UserError


@pytest.fixture
def store(tmp_path: Path) -> VoiceStore:
    return VoiceStore(tmp_path / "voices")


def test_a_recording_is_listened_to_once(model: Model, store: VoiceStore, recording: Path) -> None:
    choice = VoiceChoice(recording=str(recording))
    voice = find_voice(model, store, choice)
    assert voice.name == "prompt"
    assert voice.phonemes and voice.phonemes not in describe(voice)
    assert describe(voice).startswith("Uses 4.0 s.")
    prepared = PreparedVoice(choice=choice, voice=voice)
    assert find_voice(model, store, choice, prepared) is voice
    other = replace(choice, transcript="Hello there.")
    assert find_voice(model, store, other, prepared).transcript == "Hello there."


def test_fields_that_were_never_shown_say_nothing() -> None:
    assert VoiceChoice.asked(None, "a.wav", None) == VoiceChoice(recording="a.wav")
    assert VoiceChoice.asked("", None, " a ") == VoiceChoice(transcript="a")


def test_a_kept_voice_is_found_by_name(
    model: Model, store: VoiceStore, voice: VoicePrompt, recording: Path
) -> None:
    store.save(voice)
    found = find_voice(model, store, VoiceChoice(kept="anna", recording=str(recording)))
    assert torch.equal(found.codes, voice.codes)
    with pytest.raises(MissingResource, match="no voice 'bob'"):
        find_voice(model, store, VoiceChoice(kept="bob"))
    store.save(replace(voice, name="old", tokenizer_hash="0" * 16))
    with pytest.raises(ConfigError, match="'old' was made with the tokenizer"):
        find_voice(model, store, VoiceChoice(kept="old"))


def test_a_stock_voice_needs_nothing(model: Model, store: VoiceStore, voice: VoicePrompt) -> None:
    assert voice_names(store) == list(stock_voices())
    stock = find_voice(model, store, VoiceChoice(kept="ada"))
    model.tts().synthesizer.check_voice(stock)
    assert stock.name == "ada" and stock.transcript
    assert stock_voices()["ada"].transcript.startswith(stock.transcript)
    store.save(replace(voice, name="ada"))
    assert torch.equal(find_voice(model, store, VoiceChoice(kept="ada")).codes, voice.codes)
    assert sorted(voice_names(store)) == sorted(stock_voices())


def test_only_who_agreed_is_kept(model: Model, recording: Path) -> None:
    choice = VoiceChoice(recording=str(recording))
    with pytest.raises(UserError, match="agreed"):
        make_voice(model, choice, "anna", consent="  ")
    voice = make_voice(model, choice, " anna ", consent=" my own ", licence="CC0-1.0")
    assert (voice.name, voice.consent, voice.licence) == ("anna", "my own", "CC0-1.0")
    assert dict(facts(voice))["Consent"] == "my own"


def test_a_voice_travels_as_a_file(
    model: Model, store: VoiceStore, voice: VoicePrompt, tmp_path: Path
) -> None:
    path = voice.save(tmp_path / "cara.safetensors")
    assert import_voice(model, store, str(path)).name == "cara"
    assert store.names() == ["cara"]
    with pytest.raises(UserError, match="already"):
        import_voice(model, store, str(path))
    path.write_bytes(b"no voice")
    with pytest.raises(ConfigError):
        import_voice(model, store, str(path))


def test_a_voice_can_be_heard(model: Model, voice: VoicePrompt) -> None:
    audio = listen(model, voice)
    assert audio.seconds == pytest.approx(voice.seconds, abs=0.05)


def test_a_long_silence_before_the_voice_does_not_count(
    model: Model, store: VoiceStore, tmp_path: Path
) -> None:
    path, speech = tmp_path / "late.wav", speech_like(4.0)
    silence = torch.zeros(1, 70 * speech.sample_rate)
    write_audio(path, torch.cat([silence, speech.waveform], dim=1), speech.sample_rate)
    check_recording(str(path))
    voice = find_voice(model, store, VoiceChoice(recording=str(path)))
    assert 3 < voice.seconds < 5


def test_mistakes_are_named_without_the_folder(tmp_path: Path) -> None:
    with pytest.raises(AudioError, match="recording of the voice"):
        check_recording(None)
    path = tmp_path / "notes.wav"
    path.write_bytes(b"this is no sound at all")
    with pytest.raises(AudioError, match=r"notes\.wav") as raised:
        check_recording(str(path))
    assert str(tmp_path) not in str(raised.value)
