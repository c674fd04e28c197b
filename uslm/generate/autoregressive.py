"""Stage 1 at work: prefill, step, stop. Rows go on side by side and each stops by itself."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from uslm.generate.sampling import Sampling, sample, sample_pitch
from uslm.generate.stopping import SpokenUnits
from uslm.generate.stopping import StopRule as StopRule
from uslm.generate.stopping import advance as advance
from uslm.generate.stopping import forbid as forbid
from uslm.models.base import PitchedModel, SemanticModel
from uslm_tokenizer.nn.attention import KVCache


@dataclass(eq=False)
class UnitRow(SpokenUnits):
    """Units of one row so far. Rows are told apart by identity: two may have said the same,
    as all have at their beginning."""

    def tensor(self) -> Int[Tensor, " t"]:
        """The units as a tensor."""
        return torch.tensor(self.units, dtype=torch.long)

    def stream_tensor(self) -> Int[Tensor, "streams t"]:
        """All streams, the units first."""
        others = torch.tensor(self.streams, dtype=torch.long).reshape(len(self.units), -1)
        return torch.cat([self.tensor()[None], others.T])


@dataclass(frozen=True, kw_only=True, eq=False)
class UnitRequest:
    """A row that is to speak."""

    text_ids: Int[Tensor, " _"]
    prompt_units: Int[Tensor, "*streams _"]
    prompt_pitches: Int[Tensor, " _"] | None = None
    """Relative ones, for a model that draws pitches."""
    stop: StopRule
    sampling: Sampling
    generator: torch.Generator
    track: Sequence[int] | None = None
    """See `speak_units`."""


SpeakUnits = Callable[[Sequence[UnitRequest]], Iterator[list[UnitRow]]]
"""Draws the units of some rows; yields them after each step, as `speak_units` does."""


@torch.no_grad()
def speak_units(
    model: SemanticModel,
    text_ids: Sequence[Int[Tensor, " _"]],
    prompt_units: Sequence[Int[Tensor, "*streams _"]],
    stops: Sequence[StopRule],
    *,
    sampling: Sampling,
    generators: Sequence[torch.Generator],
    prompt_pitches: Sequence[Int[Tensor, " _"]] | None = None,
    tracks: Sequence[Sequence[int] | None] | None = None,
) -> Iterator[list[UnitRow]]:
    """Yield the rows after each step, the same list each time; ends when every row has stopped.

    Row i reads `text_ids[i]`, goes on from `prompt_units[i]` and draws from `generators[i]` only,
    so what it says does not depend on the rows beside it. `prompt_pitches` are the relative ones
    of `prompt_units`, for a model that draws pitches. `tracks[i]` tells of each unit to come which
    symbol of the text it is of, counted from the first after the prompt's; the row ends with it.
    UserError of a model that keeps no place in its text.
    """
    rows = [UnitRow() for _ in text_ids]
    longest = max(len(t) + p.shape[-1] for t, p in zip(text_ids, prompt_units, strict=True))
    capacity = longest + 2 + max(stop.max_frames for stop in stops)
    cache = model.new_cache(len(rows), capacity)
    if tracks is not None:
        model.follow(tracks, cache)
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
        # A row that has stopped is fed any unit; nobody reads what comes of it.
        fed = chosen.clamp(max=end - 1)
        streams = draw_streams(
            model, fed, cache, lambda logits: sample(logits, sampling, generators)
        )
        said = zip(chosen.tolist(), text_positions, pitches, streams[:, 1:].tolist(), strict=True)
        for row, stop, (unit, position, pitch, others) in zip(rows, stops, said, strict=True):
            advance(row, unit, stop, end, position, pitch, others)
        yield rows
        if all(row.stop_reason for row in rows):
            return
        logits = model.step(streams if model.num_streams > 1 else fed, cache)


def in_order(steps: Iterator[list[UnitRow]]) -> Iterator[UnitRow]:
    """The rows of `speak_units` from first to last, each as soon as it and those before stopped."""
    current = 0
    for rows in steps:
        while current < len(rows) and rows[current].stop_reason:
            yield rows[current]
            current += 1


def draw_streams(
    model: SemanticModel,
    units: Int[Tensor, " b"],
    cache: KVCache,
    draw: Callable[[Float[Tensor, "b v"]], Int[Tensor, " b"]],
) -> Int[Tensor, "b streams"]:
    """The units of a step and, of a model of several streams, what is drawn beside them."""
    drawn = units[:, None]
    for _ in range(1, model.num_streams):
        following = draw(model.score_stream(drawn, cache)).to(drawn.device)
        drawn = torch.cat([drawn, following[:, None]], dim=1)
    return drawn


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
    prompt_units: Sequence[Int[Tensor, "*streams _"]],
    cache: KVCache,
    prompt_pitches: Sequence[Int[Tensor, " _"]] | None,
) -> Tensor:
    """Read text and prompt, with their pitches if the model can; logits of the first unit."""
    if isinstance(model, PitchedModel) and model.num_pitches:
        return model.prefill(text_ids, prompt_units, cache, prompt_pitches)
    return model.prefill(text_ids, prompt_units, cache)
