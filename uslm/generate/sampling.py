"""Choosing a token: pure functions of logits, one generator a row.

Every row draws a single uniform number and walks the cumulative distribution; so a row gives the
same token whether it stands alone or in a batch.
"""

from collections.abc import Sequence

import torch
from jaxtyping import Float, Int
from torch import Tensor

from uslm.generate.sampling_config import Sampling as Sampling


def filter_top_k(logits: Float[Tensor, "b v"], k: int) -> Float[Tensor, "b v"]:
    """-inf for all but the `k` largest logits of each row; k = 0 changes nothing."""
    if k <= 0 or k >= logits.shape[-1]:
        return logits
    smallest = logits.topk(k, dim=-1).values[..., -1:]
    return logits.masked_fill(logits < smallest, float("-inf"))


def filter_top_p(logits: Float[Tensor, "b v"], p: float) -> Float[Tensor, "b v"]:
    """-inf for all but the smallest set of tokens whose probability reaches `p` (nucleus)."""
    if p >= 1:
        return logits
    ordered, order = logits.sort(dim=-1, descending=True)
    probabilities = ordered.softmax(dim=-1)
    # A token stays if those before it have not reached p: the likeliest one always does.
    dropped = probabilities.cumsum(dim=-1) - probabilities >= p
    return logits.masked_fill(dropped.scatter(-1, order, dropped), float("-inf"))


def penalize_repetition(
    logits: Float[Tensor, "b v"], recent: Sequence[Sequence[int]], penalty: float
) -> Float[Tensor, "b v"]:
    """Make each row's recent tokens less likely (Keskar et al. 2019, CTRL, section 4.1)."""
    if penalty == 1 or not any(recent):
        return logits
    logits = logits.clone()
    for row, tokens in enumerate(recent):
        if tokens:
            index = torch.tensor(sorted(set(tokens)), device=logits.device)
            chosen = logits[row, index]
            logits[row, index] = torch.where(chosen > 0, chosen / penalty, chosen * penalty)
    return logits


def draw(
    logits: Float[Tensor, "b v"],
    temperature: float = 1.0,
    generator: torch.Generator | None = None,
) -> Int[Tensor, " b"]:
    """One token a row from softmax(logits / temperature), by one uniform number a row."""
    if temperature == 0:
        return logits.argmax(dim=-1)
    uniform = _uniform(len(logits), logits.device if generator is None else generator)
    return _token_at(uniform, logits.double() / temperature)


def _uniform(count: int, source: torch.Generator | torch.device) -> Float[Tensor, "b 1"]:
    generator = source if isinstance(source, torch.Generator) else None
    device = source.device if isinstance(source, torch.Generator) else source
    return torch.rand(count, 1, dtype=torch.float64, generator=generator, device=device)


def _token_at(uniform: Float[Tensor, "b 1"], logits: Float[Tensor, "b v"]) -> Int[Tensor, " b"]:
    """The token where the cumulative distribution passes a number; all in float64, as the sum
    must not fall short of it."""
    cumulative = logits.softmax(dim=-1).cumsum(dim=-1)
    index = (cumulative <= uniform.to(logits.device) * cumulative[:, -1:]).sum(dim=-1)
    return index.clamp(max=logits.shape[-1] - 1)


def sample(
    logits: Float[Tensor, "b v"],
    sampling: Sampling,
    generators: Sequence[torch.Generator],
    recent: Sequence[Sequence[int]] = (),
) -> Int[Tensor, " b"]:
    """One token for each row, row i from generator i; `recent` are each row's latest tokens."""
    assert len(generators) == len(logits)
    logits = penalize_repetition(logits, recent, sampling.repetition_penalty)
    if sampling.temperature == 0:
        return logits.argmax(dim=-1)
    logits = filter_top_k(logits, sampling.top_k)
    logits = filter_top_p(logits / sampling.temperature, sampling.top_p)
    return draw_rows(logits, generators)


def sample_pitch(
    logits: Float[Tensor, "b p"], sampling: Sampling, generators: Sequence[torch.Generator]
) -> Int[Tensor, " b"]:
    """One pitch for each row, row i from generator i."""
    if sampling.pitch_temperature == 0:
        return logits.argmax(dim=-1)
    return draw_rows(logits / sampling.pitch_temperature, generators)


def draw_rows(
    logits: Float[Tensor, "b v"], generators: Sequence[torch.Generator]
) -> Int[Tensor, " b"]:
    """One token for each row from its softmax, row i by one uniform number of generator i."""
    uniform = torch.cat([_uniform(1, generator) for generator in generators])
    return _token_at(uniform, logits.double())
