"""Rows of speech and text as tokens of one table, with the patch of each."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from jaxtyping import Int
from torch import Tensor

from uslm.models.spans import Span
from uslm.models.speech_lm import SpeechTextBatch
from uslm.models.teacher_forcing import NOT_PREDICTED
from uslm_tokenizer.errors import UserError
from uslm_tokenizer.nn.padding import pad_right
from uslm_tokenizer.sequence.patches import static_patches

if TYPE_CHECKING:
    from uslm.systems.lst.model import PatchLM


def make_batch(
    model: PatchLM,
    rows: Sequence[Sequence[Span]],
    predict_from: Sequence[int] | None = None,
    *,
    whole: bool = True,
) -> SpeechTextBatch:
    """As `SpeechLM.batch`; not `whole`, a row without the end, whose targets nobody reads."""
    made = []
    for number, row in enumerate(rows):
        known = 0 if predict_from is None else predict_from[number]
        made.append(_row(model, row, known, whole))
    tokens, patches, targets = (
        pad_right([each[i] for each in made], fill)[0]
        for i, fill in enumerate((0, -1, NOT_PREDICTED))
    )
    device = model.device
    return SpeechTextBatch(
        tokens=tokens.to(device),
        patches=patches.to(device),
        targets=targets.to(device),
        is_speech=((targets >= 0) & (targets < model.num_speech_tokens)).to(device),
    )


def _row(
    model: PatchLM, row: Sequence[Span], known: int, whole: bool
) -> tuple[Int[Tensor, " l"], Int[Tensor, " l"], Int[Tensor, " l"]]:
    """Tokens, patches and targets."""
    tokens: list[Tensor] = []
    patches: list[Tensor] = []
    first_predicted, number = 0, 0
    for place, span in enumerate(row):
        _check(model, span)
        speech = span.kind == "speech"
        if place == 0 or row[place - 1].kind != span.kind:
            tokens.append(torch.tensor([model.speech_id if speech else model.text_id]))
            patches.append(torch.tensor([number]))
            number += 1
        if place == known and place:  # a mark before it is given too: it is no guess
            first_predicted = sum(len(each) for each in tokens) - 1
        ids = span.ids.cpu().long()
        ids = model.bpe.encode(ids) if speech else ids + model.num_speech_tokens
        tokens.append(ids)
        own = _patches(span, len(ids), model.config.patch_size)
        patches.append(own + number)
        number += int(own[-1]) + 1 if len(own) else 0
    sequence = torch.cat([*tokens, torch.tensor([model.end_id] if whole else [0])])
    targets = sequence[1:].clone()
    targets[:first_predicted] = NOT_PREDICTED
    return sequence[:-1], torch.cat(patches) if patches else sequence[:-1], targets


def _patches(span: Span, count: int, size: int) -> Int[Tensor, " n"]:
    if span.kind == "text":
        return torch.arange(count)
    return static_patches(count, size) if span.patches is None else span.patches.cpu()


def _check(model: PatchLM, span: Span) -> None:
    span.check_kind(("speech", "text"))
    size = model.codebook_size if span.kind == "speech" else model.text_vocab_size
    name = "units" if span.kind == "speech" else "text ids"
    if len(span.ids) and (int(span.ids.min()) < 0 or int(span.ids.max()) >= size):
        raise UserError(
            f"{name} must lie in [0, {size}), those of the model, but reach from "
            f"{int(span.ids.min())} to {int(span.ids.max())}"
        )
    if span.patches is None:
        return
    if span.kind == "text":
        raise UserError("patches are of speech, but were given for text, whose tokens stand alone")
    if model.config.merges:
        raise UserError(
            "patches number units, but this model merges units into tokens, which it cuts by itself"
        )
    steps = span.patches.diff()
    covers = len(span.patches) == len(span.ids) and (not len(span.ids) or int(span.patches[0]) == 0)
    if not covers or bool(((steps < 0) | (steps > 1)).any()):
        raise UserError(
            f"patches must number each of {len(span.ids)} units from 0 on, without a gap, but are "
            f"{span.patches.tolist()[:20]} ({len(span.patches)} numbers)"
        )
