"""Stage 2 at work: fill the acoustic codebooks of a batch of rows, lowest codebook first."""

from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from uslm.generate.sampling import draw
from uslm.models.base import AcousticModel, AcousticRow, CodeModel, VectorModel


@torch.no_grad()
def fill_codebooks(
    model: AcousticModel,
    rows: Sequence[AcousticRow],
    *,
    temperature: float = 0.0,
    generators: Sequence[torch.Generator] | None = None,
    vectors: Float[Tensor, "codebooks v e"] | None = None,
) -> list[Int[Tensor, "k _"]]:
    """All codebooks of each row's target frames; those that the model is given (the units at least)
    must be there, the others are overwritten.

    Temperature 0 takes the likeliest code; otherwise row i draws from generator i. With `vectors`,
    what the codes of codebooks 1 and up add to the decoder's input, the codes of a pass are those
    that come nearest to the *expected* input: the least squared error there is (minimum Bayes
    risk), where the likeliest codes of several codebooks need not fit together. A model that
    predicts vectors always does the latter, and draws nothing.
    """
    assert temperature == 0 or (generators is not None and len(generators) == len(rows))
    batch = model.batch(rows)
    if isinstance(model, VectorModel):
        return _fill_from_vectors(model, batch)
    assert isinstance(model, CodeModel)
    codebook = 1
    for group in model.codebook_groups:
        num_known = torch.full((len(rows),), codebook, device=batch.codes.device)
        hidden = model(batch, num_known)
        for i in range(len(rows)):
            target = batch.is_target[i]
            filled = range(codebook, codebook + group)
            if vectors is not None:
                codes = _nearest_to_expected(model, hidden[i, target], filled, vectors)
                batch.codes[i, codebook : codebook + group, target] = codes
                continue
            for each in filled:
                logits = model.logits(hidden[i, target], each)
                generator = generators[i] if generators is not None else None
                batch.codes[i, each, target] = draw(logits, temperature, generator)
        codebook += group
    return [batch.codes[i][:, batch.is_target[i]] for i in range(len(rows))]


def _nearest_to_expected(
    model: CodeModel,
    hidden: Float[Tensor, "t d"],
    codebooks: range,
    vectors: Float[Tensor, "codebooks v e"],
) -> Int[Tensor, "g t"]:
    """Codes of `codebooks` whose vectors add up to nearly the expected ones, chosen codebook by
    codebook."""
    tables = [vectors[codebook - 1] for codebook in codebooks]
    probabilities = [model.logits(hidden, codebook).softmax(dim=-1) for codebook in codebooks]
    expected = sum(p @ table for p, table in zip(probabilities, tables, strict=True))
    assert isinstance(expected, Tensor)
    return nearest_codes(expected, tables)


def _fill_from_vectors(model: VectorModel, batch: Any) -> list[Int[Tensor, "k _"]]:
    """One pass: the codes nearest to the prediction."""
    predicted, given = model.predict(batch), model.num_given_codebooks
    filled = []
    for codes, vectors, target in zip(batch.codes, predicted, batch.is_target, strict=True):
        codebooks = nearest_codes(vectors[target], list(model.vectors.float()))
        filled.append(torch.cat([codes[:given, target], codebooks]))
    return filled


def nearest_codes(
    wanted: Float[Tensor, "t e"], tables: Sequence[Float[Tensor, "v e"]]
) -> Int[Tensor, "g t"]:
    """Codes whose vectors add up to nearly the wanted ones, chosen codebook by codebook."""
    remainder, codes = wanted, []
    for table in tables:
        code = (remainder @ table.T - 0.5 * table.square().sum(dim=1)).argmax(dim=-1)
        remainder = remainder - table[code]
        codes.append(code)
    return torch.stack(codes)
