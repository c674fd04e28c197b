"""Stage 1 at work: prefill, step, stop. Rows go on side by side and each stops by itself."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import torch
from jaxtyping import Int
from torch import Tensor

from uslm.generate.sampling import Sampling, sample, sample_pitch
from uslm.models.base import PitchedModel, SemanticModel
from uslm_tokenizer.nn.attention import KVCache


@dataclass(frozen=True, kw_only=True)
class StopRule:
    """When a row may end, and when it must."""

    min_frames: int
    """The EOS token is not drawn before this many units."""
    max_frames: int
    """The row is cut here."""
    max_run: int = 25
    """A unit is not repeated more often than this in a row (silence that does not end)."""
    loop_length: int = 40
    """The row is cut when its last so many units repeat the so many before them."""
    end_if_likeliest: bool = False
    """Whether the EOS token need not be drawn: it is enough that nothing is likelier."""


@dataclass(eq=False)
class UnitRow:
    """Units of one row so far. Rows are told apart by identity: two may have said the same,
    as all have at their beginning."""

    units: list[int] = field(default_factory=list)
    text_positions: list[int] = field(default_factory=list)
    """Index of the symbol that each unit is of, in all that stage 1 reads; empty if it does not
    know."""
    pitches: list[int] = field(default_factory=list)
    """Pitch of each unit, relative to the voice; empty if stage 1 draws none."""
    stop_reason: str | None = None
    """`end` (the model ended), `length` (cut at max_frames), `loop`; None while it speaks."""

    def tensor(self) -> Int[Tensor, " t"]:
        """The units as a tensor."""
        return torch.tensor(self.units, dtype=torch.long)


@dataclass(frozen=True, kw_only=True, eq=False)
class UnitRequest:
    """What one row needs to speak."""

    text_ids: Int[Tensor, " _"]
    prompt_units: Int[Tensor, " _"]
    prompt_pitches: Int[Tensor, " _"] | None = None
    """Relative ones, for a model that draws pitches."""
    stop: StopRule
    sampling: Sampling
    generator: torch.Generator


SpeakUnits = Callable[[Sequence[UnitRequest]], Iterator[list[UnitRow]]]
"""Draws the units of some rows; yields them after each step, as `speak_units` does."""


@torch.no_grad()
def speak_units(
    model: SemanticModel,
    text_ids: Sequence[Int[Tensor, " _"]],
    prompt_units: Sequence[Int[Tensor, " _"]],
    stops: Sequence[StopRule],
    *,
    sampling: Sampling,
    generators: Sequence[torch.Generator],
    prompt_pitches: Sequence[Int[Tensor, " _"]] | None = None,
) -> Iterator[list[UnitRow]]:
    """Yield the rows after each step, the same list each time; ends when every row has stopped.

    Row i reads `text_ids[i]`, goes on from `prompt_units[i]` and draws from `generators[i]` only,
    so what it says does not depend on the rows beside it. `prompt_pitches` are the relative ones
    of `prompt_units`, for a model that draws pitches.
    """
    rows = [UnitRow() for _ in text_ids]
    longest = max(len(t) + len(p) for t, p in zip(text_ids, prompt_units, strict=True))
    capacity = longest + 2 + max(stop.max_frames for stop in stops)
    cache = model.new_cache(len(rows), capacity)
    logits = prefill(model, text_ids, prompt_units, cache, prompt_pitches)
    end = model.codebook_size
    while True:
        for i, (row, stop) in enumerate(zip(rows, stops, strict=True)):
            forbid(logits[i], row.units, stop, end)
        window = sampling.repetition_window
        recent = [row.units[-window:] if window else [] for row in rows]
        chosen = sample(logits, sampling, generators, recent)
        text_positions = text_position_list(model, cache, len(rows))
        pitches: Sequence[int] | Sequence[None] = [None] * len(rows)
        if isinstance(model, PitchedModel) and model.num_pitches:
            drawn = sample_pitch(model.score_pitch(chosen, cache), sampling, generators)
            model.take_pitch(drawn, cache)
            pitches = drawn.tolist()
        said = zip(chosen.tolist(), text_positions, pitches, strict=True)
        for row, stop, (unit, text_position, pitch) in zip(rows, stops, said, strict=True):
            advance(row, unit, stop, end, text_position, pitch)
        yield rows
        if all(row.stop_reason for row in rows):
            return
        # A row that has stopped is fed any unit; nobody reads what comes of it.
        logits = model.step(chosen.clamp(max=end - 1), cache)


def in_order(steps: Iterator[list[UnitRow]]) -> Iterator[UnitRow]:
    """The rows of `speak_units` from first to last, each as soon as it and those before stopped."""
    current = 0
    for rows in steps:
        while current < len(rows) and rows[current].stop_reason:
            yield rows[current]
            current += 1


def forbid(logits: Tensor, units: list[int], stop: StopRule, end: int) -> None:
    """Close the ways that the rule does not allow next; changes `logits` of one row in place."""
    if len(units) < stop.min_frames:
        logits[end] = float("-inf")
    run = units[-stop.max_run :]
    if len(run) == stop.max_run and len(set(run)) == 1:
        logits[run[0]] = float("-inf")
    if stop.end_if_likeliest and int(logits.argmax()) == end:
        logits[:end] = float("-inf")


def text_position_list(
    model: SemanticModel, cache: KVCache, num_rows: int
) -> Sequence[int] | Sequence[None]:
    """Index of the symbol that each row's next unit belongs to; None where the model cannot
    tell."""
    text_positions = model.text_positions(cache)
    return [None] * num_rows if text_positions is None else text_positions


def prefill(
    model: SemanticModel,
    text_ids: Sequence[Int[Tensor, " _"]],
    prompt_units: Sequence[Int[Tensor, " _"]],
    cache: KVCache,
    prompt_pitches: Sequence[Int[Tensor, " _"]] | None,
) -> Tensor:
    """Read text and prompt, with their pitches if the model can; logits of the first unit."""
    if isinstance(model, PitchedModel) and model.num_pitches:
        return model.prefill(text_ids, prompt_units, cache, prompt_pitches)
    return model.prefill(text_ids, prompt_units, cache)


def advance(
    row: UnitRow,
    unit: int,
    stop: StopRule,
    end: int,
    text_position: int | None = None,
    pitch: int | None = None,
) -> None:
    """Let a row say a unit, or stop."""
    if row.stop_reason:
        return
    if unit == end:
        row.stop_reason = "end"
        return
    row.units.append(unit)
    if text_position is not None:
        row.text_positions.append(text_position)
    if pitch is not None:
        row.pitches.append(pitch)
    n = stop.loop_length
    if len(row.units) >= 2 * n and row.units[-n:] == row.units[-2 * n : -n]:
        del row.units[-n:], row.text_positions[-n:], row.pitches[-n:]
        row.stop_reason = "loop"
    elif len(row.units) >= stop.max_frames:
        row.stop_reason = "length"
