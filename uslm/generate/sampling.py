"""Choosing a token: pure functions of logits, one generator a row.

Every row draws a single uniform number and walks the cumulative distribution; so a row gives the
same token whether it stands alone or in a batch.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from uslm_tokenizer.errors import UserError


@dataclass(frozen=True, kw_only=True)
class Sampling:
    """Settings of sampling; the defaults are those that the default model speaks best with."""

    temperature: float = 0.8
    """Sharpens (< 1) or flattens (> 1) the distribution; 0 always takes the likeliest token."""
    top_k: int = 40
    """Only this many of the likeliest tokens may be drawn; 0 means all."""
    top_p: float = 0.95
    """Only the likeliest tokens that together reach this probability may be drawn; 1 means all."""
    repetition_window: int = 10
    """Tokens looked back at for repetition."""
    repetition_penalty: float = 1.0
    """Logits of tokens in the window are divided by this (if positive) or multiplied by it."""
    pitch_temperature: float = 0.7
    """The temperature of pitches, where the model draws them; the rest is of units only."""

    def __post_init__(self) -> None:
        if not 0 <= self.temperature <= 5:
            raise UserError(f"temperature must be between 0 and 5, but is {self.temperature}")
        if not 0 <= self.pitch_temperature <= 5:
            raise UserError(
                f"pitch_temperature must be between 0 and 5, but is {self.pitch_temperature}"
            )
        if self.top_k < 0:
            raise UserError(f"top_k must be 0 (all) or more, but is {self.top_k}")
        if not 0 < self.top_p <= 1:
            raise UserError(f"top_p must be above 0 and at most 1, but is {self.top_p}")
        if self.repetition_window < 0:
            raise UserError(f"repetition_window must be 0 or more, but is {self.repetition_window}")
        if not 1 <= self.repetition_penalty <= 10:
            raise UserError(
                f"repetition_penalty must be between 1 and 10, but is {self.repetition_penalty}"
            )


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
