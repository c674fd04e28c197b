"""Make-A-Voice, whole: the same stage speaks, converts and sings; parts that do not fit."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from uslm import MakeAVoice, Score, VoicePrompt
from uslm.generate.cascade import Stage
from uslm.synthesis.seeds import generator
from uslm.synthesis.timer import StageTimer
from uslm.systems.make_a_voice import speaking
from uslm.systems.make_a_voice.model import PITCH, PROMPT, TEXT, UNITS, acoustic_kinds
from uslm.systems.make_a_voice.pipeline import VoiceCascade
from uslm.systems.make_a_voice.settings import MakeAVoiceSettings
from uslm.systems.make_a_voice.sung import frames_of, stretched, sung_units
from uslm.systems.make_a_voice.tiny import save_tiny_make_a_voice, tiny_parts
from uslm.systems.make_a_voice.vocoder import CodeVocoder
from uslm.systems.model_parts import Parts
from uslm.systems.two_stage.bundle import Bundle
from uslm.systems.two_stage.tiny import speech_like
from uslm.text.score import Note
from uslm_tokenizer.audio.read import Audio
from uslm_tokenizer.codecs.pitch_tokens.model import PitchTokens, PitchTokensConfig
from uslm_tokenizer.errors import AudioError, ConfigError, UserError
from uslm_tokenizer.sequence.flat_codes import flatten_codes


def cascade(settings: MakeAVoiceSettings | None = None, **others: Any) -> VoiceCascade:
    return VoiceCascade(Parts({**tiny_parts(), **others}), settings)


@pytest.fixture(scope="module")
def model() -> MakeAVoice:
    return MakeAVoice(cascade())


@pytest.fixture(scope="module")
def speaker(model: MakeAVoice) -> VoicePrompt:
    return model.create_voice(speech_like(2.0), "This is a test.", name="somebody")


def song() -> Score:
    """Half a second each of C4 and E4, a rest of 0.3 s, and G4."""
    times = ((0.0, 60.0), (0.5, 64.0), (1.3, 67.0))
    notes = [Note(start_seconds=at, seconds=0.5, number=number) for at, number in times]
    return Score(tuple(notes)).with_lyrics("Twin-kle star")


def test_a_folder_speaks_converts_and_sings(tmp_path: Path, speaker: VoicePrompt) -> None:
    found = MakeAVoice.from_pretrained(save_tiny_make_a_voice(tmp_path))
    for again in (False, True):
        made = [
            found.speak("Hello.", speaker, seed=1),
            found.convert(speech_like(1.03), speaker, seed=1),
            found.sing(song(), speaker, seed=1),
        ]
        if again:
            assert all(
                torch.equal(a.waveform, b.waveform) for a, b in zip(made, first, strict=True)
            )
        first = made
    assert first[1].seconds == 1.03 and first[2].seconds == pytest.approx(1.8)
    assert first[2].text == "Twinkle star" and first[2].voice == "somebody"
    other = found.sing(song(), speaker, seed=2)
    assert not torch.equal(other.waveform, first[2].waveform)


def test_all_tasks_end_in_one_stage_and_read_their_kinds(
    model: MakeAVoice, speaker: VoicePrompt, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The prompt's codes go to it in every task, the pitch where one sings only."""
    seen: list[tuple[Stage, dict[str, Tensor]]] = []
    run = speaking.run_stages

    def watched(stages: Any, known: dict[str, Tensor], **more: Any) -> dict[str, Tensor]:
        seen.append((stages[-1], dict(known)))
        return run(stages, known, **more)

    monkeypatch.setattr(speaking, "run_stages", watched)
    cascade_: Any = model.model
    prompt = flatten_codes(speaker.codes, cascade_.codec.codebook_size)
    recording = speech_like(1.0)
    model.speak("Hello.", speaker, seed=1)
    (_, text), (_, spoken) = seen
    assert text.keys() == {TEXT} and spoken.keys() == {UNITS, PROMPT}
    model.convert(recording, speaker, seed=1)
    stage, converted = seen[-1]
    assert torch.equal(converted[UNITS], cascade_.units.encode(recording.waveform[None])[0, 0])
    model.sing(song(), speaker, seed=1)
    sung_stage, sung = seen[-1]
    assert sung.keys() == {UNITS, PROMPT, PITCH} and len(sung[PITCH]) == len(sung[UNITS]) == 90
    f0 = cascade_.pitch.f0(sung[PITCH])
    assert (f0[:25] / song().notes[0].hertz).log2().abs().max() * 12 < 0.15
    assert (f0[50:65] == 0).all() and (f0[65:] > 380).all()
    assert sung_stage.model is stage.model is cascade_.acoustic
    assert all(torch.equal(given[PROMPT], prompt) for given in (spoken, converted, sung))


def test_long_speech_goes_in_windows_and_loses_nothing(speaker: VoicePrompt) -> None:
    whole = cascade(MakeAVoiceSettings(window_seconds=1.0))
    made = MakeAVoice(whole).convert(speech_like(3.7), speaker, seed=1)
    assert made.seconds == 3.7 and made.codes.shape == (2, 185)
    units = whole.units.encode(speech_like(3.7).waveform[None])[0, 0]
    both = [
        whole._spoken("convert", given, speaker, generator(1, "acoustic"), StageTimer()).codes
        for given in (units, units[:50])
    ]
    assert torch.equal(both[0], made.codes) and torch.equal(both[0][:, :50], both[1])


@pytest.mark.parametrize(("strides", "frames"), [((4, 5, 8), 104), ((8, 8, 10), 26)])
def test_units_and_frames_of_other_rates_keep_step(strides: tuple[int, ...], frames: int) -> None:
    """Two frames of codes for each unit, or two units for each frame, the last one held."""
    model = MakeAVoice(VoiceCascade(Parts(tiny_parts(strides=strides))))
    voice = model.create_voice(speech_like(2.0), "This is a test.")
    made = model.convert(speech_like(1.03), voice, seed=1)
    assert made.codes.shape == (2, frames) and made.seconds == 1.03
    assert model.sing(song(), voice, seed=1).seconds == pytest.approx(1.8)


def test_words_are_stretched_to_their_notes() -> None:
    units = tiny_parts()["units"]
    said = {"Twinkle": torch.tensor([1, 1, 2, 3]), "star": torch.tensor([4])}
    found, f0 = sung_units(song(), units, lambda word: said[word])  # type: ignore[arg-type]
    assert found[:50].unique_consecutive().tolist() == [1, 2, 3]
    assert (found[:25] == 1).all() and (found[65:] == 4).all()
    assert len(found[50:65].unique()) == 1 and (f0[50:65] == 0).all()
    assert f0[25:50].unique().tolist() == pytest.approx([song().notes[1].hertz])
    assert stretched(torch.tensor([1, 2, 3, 4]), 2).tolist() == [1, 3]
    with pytest.raises(UserError, match=r"E4 at 0.50 s lasts 0.001 s, less than a unit"):
        frames_of(Note(start_seconds=0.5, seconds=0.001, number=64.0), 50.0)


def test_what_cannot_be_sung_or_converted_is_refused(
    model: MakeAVoice, speaker: VoicePrompt
) -> None:
    with pytest.raises(UserError, match="goes from 50 to 1"):
        model.sing(song(), speaker, transpose=30.0)
    late = Note(start_seconds=0.0, seconds=1e9, number=60.0, syllable="la")
    with pytest.raises(UserError, match="at most 600 s, but lasts 1000000000 s"):
        model.sing(Score((late,)), speaker)
    with pytest.raises(UserError, match="nothing to sing"):
        model.sing(Score((Note(start_seconds=0.0, seconds=1.0, number=60.0),)), speaker)
    with pytest.raises(AudioError, match="is empty"):
        model.convert(Audio(torch.zeros(1, 0), 16_000), speaker)
    with pytest.raises(AudioError, match="NaN"):
        model.convert(Audio(torch.full((1, 800), torch.nan), 16_000), speaker)


def test_a_prompt_of_another_codec_is_refused(speaker: VoicePrompt) -> None:
    other = MakeAVoice(cascade(codec=tiny_parts(seed=1)["codec"]))
    for task in (
        lambda: other.speak("Hello.", speaker),
        lambda: other.convert(speech_like(1.0), speaker),
        lambda: other.sing(song(), speaker),
    ):
        with pytest.raises(ConfigError, match="create it again"):
            task()


def test_a_model_that_does_not_sing_is_refused(bundle: Bundle) -> None:
    with pytest.raises(UserError, match="does not sing"):
        MakeAVoice(bundle)


def test_parts_that_do_not_fit_are_named() -> None:
    parts: Any = tiny_parts()
    pitch = PitchTokens(PitchTokensConfig(hop_length=400))
    with pytest.raises(ConfigError, match="40 pitches and 50 units per second"):
        cascade(pitch=pitch)
    config = parts["vocoder"].config
    with pytest.raises(ConfigError, match="vocoder decodes 4 codebooks, but codec gives 3"):
        cascade(vocoder=CodeVocoder(replace(config, num_codebooks=4)))
    with pytest.raises(ConfigError, match="vocoder was made for 9 codes"):
        cascade(vocoder=CodeVocoder(replace(config, codebook_size=9)))
    with pytest.raises(ConfigError, match="acoustic was made for 32 prompt codes of 100 Hz"):
        cascade(vocoder=CodeVocoder(replace(config, num_codebooks=3)))
    with pytest.raises(UserError, match="no kind of token 'text'"):
        cascade(semantic=parts["acoustic"])
    sizes = {"num_units": 9, "num_pitches": 9, "num_codebooks": 2, "codebook_size": 9}
    with pytest.raises(ConfigError, match="there are 50 units and 75 frames of codes per second"):
        acoustic_kinds(unit_rate=50.0, frame_rate=75.0, **sizes)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="window_seconds must be above 0"):
        MakeAVoiceSettings(window_seconds=0.0)


def test_a_vocoder_refuses_codes_of_another_codec() -> None:
    vocoder: Any = tiny_parts()["vocoder"]
    assert vocoder.decode(torch.zeros(1, 2, 5, dtype=torch.long)).shape == (1, 1, 1600)
    with pytest.raises(UserError, match="of 2 codebooks, but are of 3"):
        vocoder.decode(torch.zeros(1, 3, 5, dtype=torch.long))
    with pytest.raises(UserError, match=r"lie in \[0, 16\), but reach from 0 to 16"):
        vocoder.decode(torch.tensor([[[0], [16]]]))
