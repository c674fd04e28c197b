"""Each part of a model alone: stage 2 is told what it is told in speech."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
import torch
from torch import Tensor

from uslm.models.base import AcousticRow
from uslm.systems.two_stage.conversion import transposed
from uslm.systems.two_stage.tiny import (
    speech_like,
    tiny_bundle,
    tiny_pitched_bundle,
    tiny_voice,
)
from uslm.voices.alignment import align_ctc
from uslm.voices.verification import recognizer
from uslm_recipes.evaluating.stage_errors import stage2_alone


def test_stage_2_alone_knows_which_symbol_each_frame_is_of(monkeypatch: pytest.MonkeyPatch) -> None:
    bundle = tiny_bundle()
    voice, waveform = tiny_voice(bundle), speech_like(1.0).waveform
    text_ids = bundle.vocab.encode("hɛloʊ")
    reported: list[int] = []
    fill = type(bundle).fill

    def seen(self: object, rows: Sequence[AcousticRow], generators: object) -> list[Tensor]:
        for row in rows:
            assert row.text_positions is not None
            reported.extend(row.text_positions[row.num_context :].tolist())
        return fill(self, rows, generators)  # type: ignore[arg-type]

    monkeypatch.setattr(type(bundle), "fill", seen)
    stage2_alone(bundle, waveform, text_ids, voice, torch.Generator().manual_seed(0))
    phoneme_recognizer = recognizer(bundle.tokenizer)
    units = phoneme_recognizer.encode(waveform[None])[:, 0]
    starts = align_ctc(phoneme_recognizer.phoneme_logits(units)[0], text_ids)
    assert starts is not None
    wanted = [max(sum(start <= frame for start in starts) - 1, 0) for frame in range(len(units[0]))]
    assert reported == wanted


def test_a_text_that_does_not_fit_is_not_pointed_at() -> None:
    bundle = tiny_bundle()
    text_ids = bundle.vocab.encode("hɛloʊ") * 20
    args = bundle, speech_like(0.5).waveform, text_ids, tiny_voice(bundle)
    made = stage2_alone(*args, torch.Generator().manual_seed(0))
    assert made.shape[1] >= 8000


def test_stage_2_alone_is_given_the_melody_of_the_recording(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    bundle = tiny_pitched_bundle()
    voice, waveform = tiny_voice(bundle), speech_like(1.0).waveform
    codebook = bundle.pitch_codebook
    assert codebook is not None
    given: list[int] = []
    fill = type(bundle).fill

    def seen(self: object, rows: Sequence[AcousticRow], generators: object) -> list[Tensor]:
        for row in rows:
            given.extend(row.codes[codebook, row.num_context :].tolist())
        return fill(self, rows, generators)  # type: ignore[arg-type]

    monkeypatch.setattr(type(bundle), "fill", seen)
    text_ids = bundle.vocab.encode("hɛloʊ")
    stage2_alone(bundle, waveform, text_ids, voice, torch.Generator().manual_seed(0))
    spoken = bundle.tokenizer.encode(waveform[None])[0, codebook]
    wanted = transposed(spoken, voice.codes[codebook], bundle.tokenizer.num_pitches - 1)
    assert any(wanted.tolist())
    assert given == wanted.tolist()
