"""Samples of held-out utterances that validations show, common to several recipes."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float, Int
from torch import Tensor

from uslm.generate.autoregressive import StopRule, speak_units
from uslm.generate.sampling import Sampling
from uslm.models.base import SemanticModel
from uslm.text.vocab import PhonemeVocab
from uslm.voices.alignment import align_ctc, symbols_of
from uslm_recipes.loop.pictures import draw_alignment
from uslm_recipes.loop.validation import Validation
from uslm_tokenizer.codecs.unit_tokenizer.model import UnitTokenizer

TEMPERATURE = 0.3
MAX_FRAMES_PER_SYMBOL = 8


def phonemes(ids: Sequence[int]) -> str:
    """The phonemes of ids; ids of another vocabulary are told as numbers."""
    vocab = PhonemeVocab()
    return "".join(vocab.decode([i]) if 0 <= i < vocab.size else f"[{i}]" for i in ids)


def recognized_text(
    name: str, logits: Float[Tensor, "t v"], text_ids: Int[Tensor, " s"]
) -> Validation:
    """Frames where a recogniser finds each symbol of a text, and what it recognises instead."""
    ids = text_ids.tolist()
    logits = logits.float().cpu()
    best = torch.unique_consecutive(logits.argmax(-1))
    texts = {
        f"{name}_text": phonemes(ids),
        f"{name}_heard": phonemes([i for i in best.tolist() if i]),
    }
    starts = align_ctc(logits, ids) if ids else None
    if starts is None:  # too few frames for the text
        return Validation(values={}, texts=texts)
    scores = logits.softmax(-1)[:, ids].T
    path = symbols_of(torch.arange(len(logits)), torch.tensor(starts))
    picture = draw_alignment([phonemes([i]) for i in ids], {"best path": path}, scores)
    return Validation(values={}, texts=texts, pictures={f"{name}_alignment": picture})


@torch.no_grad()
def read_aloud(
    model: SemanticModel, text_ids: Int[Tensor, " s"], recognizer: UnitTokenizer, name: str
) -> Validation:
    """Let stage 1 read a text without a prompt, and the recogniser read its units."""
    most = MAX_FRAMES_PER_SYMBOL * (len(text_ids) + 1)
    rows = speak_units(
        model,
        [text_ids],
        [text_ids[:0]],
        [StopRule(min_frames=1, max_frames=most)],
        sampling=Sampling(temperature=TEMPERATURE),
        generators=[torch.Generator().manual_seed(0)],
    )
    *_, last = rows
    units = last[0].tensor().repeat_interleave(model.frames_per_unit)
    if not len(units):
        return Validation(values={}, texts={f"{name}_text": phonemes(text_ids.tolist())})
    logits = recognizer.phoneme_logits(units[None].to(recognizer.device))[0]
    return recognized_text(name, logits, text_ids)


def together(values: dict[str, float], shown: Sequence[Validation]) -> Validation:
    """Numbers, and the samples of several."""
    return Validation(
        values=values,
        sounds={k: v for each in shown for k, v in each.sounds.items()},
        pictures={k: v for each in shown for k, v in each.pictures.items()},
        texts={k: v for each in shown for k, v in each.texts.items()},
    )
