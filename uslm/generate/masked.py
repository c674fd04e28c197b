"""Masked models at work: all codes of an utterance at once, in steps, the surest ones first.

Reverse diffusion of MaskGCT (Wang et al. 2025, section 3.1). At each step every masked code is
drawn, and those the model is least sure of are masked again, fewer and fewer of them:

    step 0   . . . . . .      all masked
    step 1   . 7 . . 4 .      two are kept
    step 2   3 7 . 1 4 .
    step 3   3 7 9 1 4 2

Conditional and unconditional hidden states come from one pass; the guidance between them is each
row's own.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from uslm.generate.guidance import guide
from uslm.models.masked import MaskedBatch, MaskedModel, MaskedRow
from uslm_tokenizer.errors import UserError

Uniform = Callable[[int, tuple[int, ...]], Tensor]
"""Gives the next uniform numbers in [0, 1) of a row: its index and the shape wanted."""


@dataclass(frozen=True, kw_only=True)
class Unmasking:
    """Settings of the filling of masked codes."""

    steps: tuple[int, ...] = (25,)
    """Steps of each codebook that is filled, lowest first; more speak better, and longer."""
    temperature: float = 0.9
    """How freely codes are drawn at the first step; it falls with the share that is masked."""
    filter_threshold: float = 0.98
    """This share of the codes, the unlikeliest of a frame, is never drawn for it."""
    top_k: int | None = None
    """Instead of that: only so many of the likeliest codes may be drawn; 0 means all."""
    order_temperature: float = 1.0
    """How freely the order is drawn in which codes are kept; it falls in the same way."""
    guidance: float = 2.5
    """How far the hidden states are driven away from those without prompt; 0 saves half of the
    work."""
    rescale: float = 0.75
    """How much of their growth is taken back."""
    whole_batch: bool = False
    """Whether the growth is measured over all rows together, as the published code does. A row
    then depends on those beside it; only for comparison with that code."""

    def __post_init__(self) -> None:
        if not self.steps or min(self.steps) < 1:
            raise UserError(f"steps must be 1 or more for each codebook, but are {self.steps}")
        for name in ("temperature", "order_temperature", "guidance"):
            if not getattr(self, name) >= 0:
                raise UserError(f"{name} must be 0 or more, but is {getattr(self, name)}")
        if not 0 <= self.filter_threshold < 1:
            raise UserError(
                f"filter_threshold must be from 0 to below 1, but is {self.filter_threshold}"
            )
        if self.top_k is not None and self.top_k < 0:
            raise UserError(f"top_k must be 0 (all) or more, but is {self.top_k}")
        if not 0 <= self.rescale <= 1:
            raise UserError(f"rescale must be in [0, 1], but is {self.rescale}")

    def num_kept(self, codebook_size: int) -> int:
        """Number of codes that may be drawn, of so many."""
        if self.top_k is None:
            return math.ceil((1 - self.filter_threshold) * codebook_size)
        return min(self.top_k or codebook_size, codebook_size)


@dataclass(frozen=True, eq=False)
class RowStep:
    """Outcome of one step for the target frames of one row."""

    row: int
    codebook: int
    is_masked: Bool[Tensor, " t"]
    """Before the step."""
    hidden: "RowHidden"
    drawn: "RowDrawn"
    codes: Int[Tensor, " t"]
    """Behind the step; what is masked again holds what was drawn for it."""


@dataclass(frozen=True, kw_only=True, eq=False)
class RowHidden:
    """Hidden states of the target frames of one row."""

    conditional: Float[Tensor, "t d"]
    unconditional: Float[Tensor, "t d"] | None
    """Without prompt; None without guidance."""
    guided: Float[Tensor, "t d"]


@dataclass(frozen=True, kw_only=True, eq=False)
class RowDrawn:
    """Codes drawn for the target frames of one row."""

    logits: Float[Tensor, "t v"]
    """-inf where a code may not be drawn."""
    codes: Int[Tensor, " t"]
    """One for each frame, also where it is known."""
    confidence: Float[Tensor, " t"]
    """The probability of that code."""


@dataclass(frozen=True)
class _Moment:
    """The place of a step in the diffusion of a codebook."""

    codebook: int
    step: int
    steps: int

    @property
    def time(self) -> float:
        """From 1, all masked, down to 0."""
        return 1.0 - self.step / self.steps

    @property
    def is_last(self) -> bool:
        return self.step + 1 == self.steps

    def num_masked_next(self, num_frames: int) -> int:
        """Number of frames that the next step finds masked, of so many."""
        time = torch.tensor(1 - (self.step + 1) / self.steps)
        return int((time * math.pi / 2).sin() * num_frames)


def generators_uniform(generators: Sequence[torch.Generator]) -> Uniform:
    """Row i draws from generator i."""

    def draw(row: int, shape: tuple[int, ...]) -> Tensor:
        generator = generators[row]
        return torch.rand(shape, generator=generator, device=generator.device)

    return draw


@torch.no_grad()
def fill_masked(
    model: MaskedModel,
    rows: Sequence[MaskedRow],
    unmasking: Unmasking,
    *,
    generators: Sequence[torch.Generator],
) -> list[Int[Tensor, "k _"]]:
    """The codes of each row's target, all codebooks, on the CPU.

    Row i draws from generator i only and is guided by itself, so what it becomes does not depend on
    the rows beside it, but for rounding.
    """
    batch = model.batch(rows)
    for _ in unmask(model, batch, unmasking, generators_uniform(generators)):
        pass
    pairs = zip(batch.codes, batch.is_target, strict=True)
    return [codes[:, target].cpu() for codes, target in pairs]


@torch.no_grad()
def unmask(
    model: MaskedModel,
    batch: MaskedBatch,
    unmasking: Unmasking,
    uniform: Uniform,
    *,
    first_codebook: int | None = None,
) -> Iterator[list[RowStep]]:
    """Fill the target in `batch.codes`, in place; yields what each step did to each row.

    A row of which nothing is masked any more rests until the next codebook. `uniform` is asked for
    all rows' numbers of one kind, then for those of the next. Codebooks below `first_codebook` are
    given; it is the model's unless stated.
    """
    begin = model.first_codebook if first_codebook is None else first_codebook
    codebooks = range(begin, model.num_codebooks)
    if len(unmasking.steps) != len(codebooks):
        raise UserError(
            f"steps must be {len(codebooks)} numbers, one for each codebook that is filled, "
            f"but are {unmasking.steps}"
        )
    for codebook, steps in zip(codebooks, unmasking.steps, strict=True):
        is_masked = batch.is_target.clone()
        for step in range(steps):
            now = _Moment(codebook, step, steps)
            going = [i for i, row in enumerate(is_masked) if bool(row.any())]
            if not going:
                break
            hidden = _hidden(model, batch, is_masked, now, unmasking)
            drawn = {
                i: _draw(model.logits(hidden[i].guided, codebook), now, unmasking, uniform, i)
                for i in going
            }
            done = []
            for i in going:
                target = batch.is_target[i]
                was_masked = is_masked[i, target]
                codes = torch.where(was_masked, drawn[i].codes, batch.codes[i, codebook, target])
                batch.codes[i, codebook, target] = codes
                is_masked[i, target] = _mask_again(drawn[i], was_masked, now, unmasking, uniform, i)
                done.append(RowStep(i, codebook, was_masked, hidden[i], drawn[i], codes))
            yield done


def _hidden(
    model: MaskedModel,
    batch: MaskedBatch,
    is_masked: Bool[Tensor, "b t"],
    now: _Moment,
    unmasking: Unmasking,
) -> list[RowHidden]:
    """Hidden states of each row's target; those with and without prompt from one pass."""
    b, guided = len(is_masked), unmasking.guidance > 0
    conditional = torch.ones_like(is_masked[:, 0])
    seen, masked = batch, is_masked
    if guided:
        seen, masked = batch.duplicated(), torch.cat([is_masked, is_masked])
        conditional = torch.cat([conditional, ~conditional])
    hidden = model(seen, masked, now.time, codebook=now.codebook, conditional=conditional).float()
    given = [hidden[i, batch.is_target[i]] for i in range(b)]
    if not guided:
        return [RowHidden(conditional=row, unconditional=None, guided=row) for row in given]
    free = [hidden[b + i, batch.is_target[i]] for i in range(b)]
    driven = guide(
        given, free, guidance=unmasking.guidance, rescale=unmasking.rescale,
        whole_batch=unmasking.whole_batch,
    )  # fmt: skip
    return [
        RowHidden(conditional=c, unconditional=u, guided=g)
        for c, u, g in zip(given, free, driven, strict=True)
    ]


def _draw(
    logits: Float[Tensor, "t v"], now: _Moment, unmasking: Unmasking, uniform: Uniform, row: int
) -> RowDrawn:
    """A code for each frame of one row, from its likeliest ones."""
    values, codes = logits.topk(unmasking.num_kept(logits.shape[-1]), dim=-1)
    kept = torch.full_like(logits, float("-inf")).scatter(-1, codes, values)
    if now.is_last and now.steps > 1:
        drawn = kept.argmax(dim=-1)
    else:
        # A single step is the last: little of its freedom is left.
        temperature = 0.2 if now.steps == 1 else max(unmasking.temperature * now.time, 1e-3)
        noise = _gumbel(uniform(row, tuple(kept.shape)).to(kept))
        drawn = (kept / temperature + noise).argmax(dim=-1)
    confidence = kept.softmax(dim=-1).gather(-1, drawn[:, None])[:, 0]
    return RowDrawn(logits=kept, codes=drawn, confidence=confidence)


def _mask_again(
    drawn: RowDrawn,
    is_masked: Bool[Tensor, " t"],
    now: _Moment,
    unmasking: Unmasking,
    uniform: Uniform,
    row: int,
) -> Bool[Tensor, " t"]:
    """The masked frames of one row whose codes are the least sure, some chance added."""
    noise = _gumbel(uniform(row, tuple(is_masked.shape)).to(drawn.confidence))
    doubt = 1 - (drawn.confidence + unmasking.order_temperature * now.time * noise)
    doubt = doubt.masked_fill(~is_masked, -torch.finfo(doubt.dtype).max)
    again = doubt.topk(now.num_masked_next(len(doubt))).indices
    return torch.zeros_like(is_masked).scatter(0, again, True)


def _gumbel(uniform: Tensor) -> Tensor:
    """Noise whose arg-max over log probabilities is a draw from them."""
    return -(-(uniform + 1e-10).log() + 1e-10).log()
