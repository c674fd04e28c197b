"""From a recording to its text, a part at a time: who is spoken by whom, and what each is given."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import pytest
import torch
from torch import Tensor

from uslm.evaluation.metrics.scores import Judges
from uslm.evaluation.suites.codec import resynthesize
from uslm.evaluation.suites.sections import Scorer
from uslm.models.base import AcousticRow
from uslm.systems.two_stage.conversion import units_and_pitches
from uslm.systems.two_stage.tiny import (
    speech_like,
    tiny_bundle,
    tiny_pitched_bundle,
    tiny_voice,
)
from uslm.systems.two_stage.voice_row import median_pitch
from uslm.tts import ZeroShotTTS
from uslm_recipes.data.recording import Recording
from uslm_recipes.evaluating import own_voice
from uslm_recipes.evaluating.held_out import read_recordings
from uslm_recipes.evaluating.stage_errors import drawn_pitches, stage2_alone
from uslm_tokenizer.audio.write import write_audio
from uslm_tokenizer.codecs.source_filter.model import SourceFilterCodec

TEXTS = ("The first of all the sentences.", "And here comes the other one.", "Yes.")


@pytest.fixture(scope="module")
def recordings(tmp_path_factory: pytest.TempPathFactory) -> list[Recording]:
    """Two held-out speakers with three recordings each, one who has a single one, one of training;
    the first two say the same sentences."""
    folder = tmp_path_factory.mktemp("speech")
    said = [(s, t, "test") for s in ("kokoro/a", "kokoro/b") for t in TEXTS]
    said += [("kokoro/c", TEXTS[0], "test"), *[("kokoro/d", t, "train") for t in TEXTS]]
    lines = []
    for i, (speaker, text, split) in enumerate(said):
        speech = speech_like(2.2, seed=i)
        write_audio(folder / f"{i}.wav", speech.waveform, speech.sample_rate)
        line = {"audio": f"{i}.wav", "speaker": speaker, "text": text, "language": "en"}
        lines.append(json.dumps({**line, "split": split}) + "\n")
    path = folder / "manifest.jsonl"
    path.write_text("".join(lines), "utf-8")
    return read_recordings([path])


def chosen(recordings: list[Recording], seed: int = 0) -> list[tuple[Recording, Recording]]:
    draw = torch.Generator().manual_seed(seed)
    return own_voice.choose_pairs(recordings, 4, sources=None, generator=draw)


def test_prompts_are_other_recordings_of_held_out_speakers(recordings: list[Recording]) -> None:
    for seed in range(4):
        pairs = chosen(recordings, seed)
        for spoken, prompt in pairs:
            assert spoken.speaker == prompt.speaker in {"kokoro/a", "kokoro/b"}
            assert spoken.audio != prompt.audio
        texts = [spoken.text for spoken, _ in pairs]
        assert sorted(texts) == sorted(TEXTS[:2]), "each sentence once, and none of a word"
    assert not own_voice.choose_pairs(
        recordings, 4, sources=["ls"], generator=torch.Generator().manual_seed(0)
    )


def scorer() -> Scorer:
    judges = Judges(
        recognizer=lambda waveforms: ["the first of"] * len(waveforms),
        normalize=str.lower,
        speaker_model=lambda waveform: torch.fft.rfft(waveform, 64).abs() + 1e-3,
    )
    return Scorer(judges, torch.Generator().manual_seed(0))


@pytest.mark.parametrize("make", [tiny_bundle, tiny_pitched_bundle])
def test_rows_are_those_that_the_model_can_have(make: Any, recordings: list[Recording]) -> None:
    tts, pairs = ZeroShotTTS(make()), chosen(recordings)
    section = own_voice.own_voice_section(tts, pairs, scorer(), 0)
    rows = [own_voice.RECORDINGS, own_voice.CODES, own_voice.PITCHES, own_voice.TEXT]
    if make is tiny_pitched_bundle:
        rows.insert(1, own_voice.VECTORS)
        rows.insert(4, own_voice.UNITS)
    assert list(section.rows) == rows
    assert section.rows[own_voice.TEXT]["wer"].count == len(pairs)
    assert "cosine" not in section.rows[own_voice.RECORDINGS]
    assert all("cosine" in section.rows[row] for row in rows[1:])
    assert "2 held-out recordings" in section.note


def test_every_way_says_the_recording_in_the_voice_of_the_prompt(
    recordings: list[Recording], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What stage 2 is given: true units and melody, then another melody, and one voice in all."""
    tts = ZeroShotTTS(tiny_pitched_bundle())
    bundle: Any = tts.synthesizer
    given: list[tuple[Tensor, Tensor, Tensor]] = []

    def seen(*arguments: Any) -> Tensor:
        _, waveform, _, voice, _, *pitches = arguments
        units, melody = units_and_pitches(bundle, waveform, voice)
        given.append((units, pitches[0] if pitches else melody, voice.codes))
        return stage2_alone(*arguments)

    monkeypatch.setattr(own_voice, "stage2_alone", seen)
    pairs = chosen(recordings)[:1]
    own_voice.own_voice_section(tts, pairs, scorer(), 0)
    (units, melody, voice), (same_units, drawn, same_voice) = given
    prompt = tts.create_voice(pairs[0][1].audio, pairs[0][1].text)
    assert torch.equal(units, same_units)
    assert torch.equal(voice, same_voice) and torch.equal(voice, prompt.codes)
    assert not torch.equal(melody, drawn)


def test_pitches_are_drawn_by_stage_1_at_the_height_of_the_voice() -> None:
    bundle = tiny_pitched_bundle()
    voice, waveform = tiny_voice(bundle), speech_like(1.0).waveform
    codebook = bundle.pitch_codebook
    model: Any = bundle.semantic
    assert codebook is not None
    text_ids = bundle.vocab.encode("hɛloʊ")
    units, _ = units_and_pitches(bundle, waveform, voice)
    asked: list[int] = []
    score = model.score_pitch

    def third_above(unit: Tensor, cache: object) -> Tensor:
        asked.extend(unit.tolist())
        logits = torch.full_like(score(unit, cache), -1e4)
        logits[:, model.config.pitch_reach + 1 + 3] = 0
        return logits

    model.score_pitch = third_above
    drawn = drawn_pitches(bundle, waveform, text_ids, voice, torch.Generator().manual_seed(0))
    assert asked == units.tolist(), "the units are the recording's"
    height = min(median_pitch(voice.codes[codebook]) + 3, bundle.tokenizer.num_pitches - 1)
    assert drawn.tolist() == [height] * len(units)


def test_pitches_that_are_given_take_the_place_of_the_melody(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    bundle = tiny_pitched_bundle()
    voice, waveform, codebook = tiny_voice(bundle), speech_like(1.0).waveform, bundle.pitch_codebook
    assert codebook is not None
    units, _ = units_and_pitches(bundle, waveform, voice)
    given: list[int] = []
    fill = type(bundle).fill

    def seen(self: object, rows: Sequence[AcousticRow], generators: object) -> list[Tensor]:
        for row in rows:
            given.extend(row.codes[codebook, row.num_context :].tolist())
        return fill(self, rows, generators)  # type: ignore[arg-type]

    monkeypatch.setattr(type(bundle), "fill", seen)
    wanted = torch.arange(len(units)) % 9 + 1
    draw = torch.Generator().manual_seed(0)
    stage2_alone(bundle, waveform, bundle.vocab.encode("hɛloʊ"), voice, draw, wanted)
    assert given == wanted.tolist()


def test_true_vectors_pass_no_codebook() -> None:
    """Codebooks of zeros silence what comes from codes, and change nothing of what does not."""
    torch.manual_seed(0)
    codec = SourceFilterCodec(SourceFilterCodec.tiny_config()).eval()
    waveform = speech_like(1.0).waveform
    before, coded = own_voice.from_vectors(codec, waveform), resynthesize(codec, waveform)
    assert before.shape == waveform.shape
    with torch.no_grad():
        for parameter in codec.quantizer.state_dict().values():
            if parameter.is_floating_point():
                parameter.zero_()
    assert torch.equal(own_voice.from_vectors(codec, waveform), before)
    assert not torch.allclose(resynthesize(codec, waveform), coded)
