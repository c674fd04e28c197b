"""Validation of judged units on held-out speech: every loss, and whether the codes live."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, cast

import torch

from uslm_recipes.loop import Validation
from uslm_recipes.loop.pictures import draw_codebooks
from uslm_recipes.loop.validation import codebook_perplexity
from uslm_recipes.train.judged.stages import JudgedTraining
from uslm_tokenizer.objectives.speech_judges import PhonemeCTC
from uslm_tokenizer.sequence.edit_distance import edit_distance

if TYPE_CHECKING:
    from uslm_recipes.train.judged_units import Batch

ROWS = 16


@torch.no_grad()
def validate(
    model: JudgedTraining,
    read: Callable[[Sequence[int]], Batch],
    indices: list[int],
    device: torch.device,
    samples: int,
) -> Validation:
    """Means of the losses; codes in use; the share of units that repeat the one before.

    Beside a language model's `likelihood` stands `predictability`: what it lies below the entropy
    of the units by themselves. Units that repeat are predictable, and say less.
    """
    tokenizer = model.tokenizer
    counts = torch.zeros(tokenizer.codebook_size)
    sums: dict[str, float] = {}
    frames, repeats, pairs, errors, symbols = 0, 0, 0, 0, 0
    for start in range(0, len(indices), ROWS):
        batch = read(indices[start : start + ROWS]).to(device)
        made, found = model(batch.waveforms, batch.lengths, batch.references)
        units, mask = made.quantized.codes[:, 0], made.mask
        real = int(mask.sum())
        for name, loss in found.losses.items():
            sums[name] = sums.get(name, 0.0) + float(loss) * real
        frames += real
        counts += torch.bincount(units[mask], minlength=len(counts)).cpu()
        both = mask[:, 1:]
        repeats += int((units[:, 1:] == units[:, :-1])[both].sum())
        pairs += int(both.sum())
        texts = batch.references.phonemes
        if "ctc" in found.losses and texts is not None:
            logits = cast(PhonemeCTC, model.objectives["ctc"]).logits(made)
            for ids, length, row in zip(
                texts.ids, texts.lengths.tolist(), texts.rows.tolist(), strict=True
            ):
                path = torch.unique_consecutive(logits[row][mask[row]].argmax(-1))
                errors += edit_distance(path[path > 0].tolist(), ids[:length].tolist())
                symbols += length
    values = {name: total / frames for name, total in sums.items()}
    share = counts.double() / counts.sum()
    entropy = float(-torch.special.xlogy(share, share).sum())
    values |= {
        "codebook_perplexity": codebook_perplexity(counts),
        "codes_used": float((counts > 0).sum()),
        "repeats": repeats / max(pairs, 1),
    }
    if "likelihood" in values:
        values["predictability"] = entropy - values["likelihood"]
    if symbols:
        values["phoneme_error_rate"] = errors / symbols
    pictures = {"codebook": draw_codebooks({"units": counts})} if samples else {}
    return Validation(values=values, pictures=pictures)
