"""Stage 1 for rows that come and go: one step moves all of them (continuous batching).

    step   0  1  2  3  4  5  6
    slot 0 a  a  a  a  c  c  c     c waited for a's slot
    slot 1    b  b  b  b  b  b     b came a step later

Every step computes all slots, the free ones too. A matrix product may add up numbers in another
order when it has another number of rows; so with always the same number, what a row says is the
same to the last bit whoever is beside it.

What goes wrong with one row ends this row alone: the error is kept in it, for its owner to raise.
"""

from collections import Counter
from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass, field

import torch
from jaxtyping import Float, Int
from torch import Tensor

from uslm.generate.autoregressive import (
    SpeakUnits,
    StopRule,
    UnitRequest,
    UnitRow,
    advance,
    draw_streams,
    forbid,
    prefill,
    text_position_list,
)
from uslm.generate.sampling import Sampling, sample, sample_pitch
from uslm.models.base import PitchedModel, SemanticModel


@dataclass(kw_only=True, eq=False)
class PoolRow(UnitRow):
    """A row of a pool, and what it needs to speak."""

    text_ids: Int[Tensor, " _"] = field(repr=False)
    prompt_units: Int[Tensor, "*streams _"] = field(repr=False)
    prompt_pitches: Int[Tensor, " _"] | None = field(default=None, repr=False)
    """Relative ones, for a model that draws pitches."""
    stop: StopRule
    sampling: Sampling
    generator: torch.Generator
    track: Sequence[int] | None = None
    """See `speak_units`."""
    owner: Hashable
    """Slots are shared out evenly among owners; of those who have as many, it is the turn of who
    has waited longest."""
    error: Exception | None = None
    """What ended it before its time."""
    waits_since: int = 0
    """When it joined, by the pool's count of joins and leaves."""


class UnitPool:
    """The slots of one model. It belongs to one thread."""

    def __init__(self, model: SemanticModel, num_slots: int) -> None:
        assert num_slots >= 1
        self.steps = 0
        """Steps made since the beginning."""
        self.row_steps = 0
        """Units drawn in them, by all rows."""
        self._model = model
        self._cache = model.new_slots(num_slots)
        self._slots: list[PoolRow | None] = [None] * num_slots
        self._waiting: list[PoolRow] = []
        self._logits: Tensor | None = None  # of each slot's next unit
        self._events = 0  # joins and freed slots until now
        self._freed: dict[Hashable, int] = {}  # when an owner who is here last gave a slot back

    @property
    def num_rows(self) -> int:
        """Rows that speak or wait for a slot."""
        return len(self._waiting) + sum(row is not None for row in self._slots)

    def join(self, row: PoolRow) -> None:
        """Let a row speak from the next step on, or as soon as a slot is free."""
        row.waits_since = self._count_event()
        self._waiting.append(row)

    def leave(self, row: PoolRow) -> None:
        """Forget a row, wherever it is; nothing happens if it has ended."""
        if row in self._waiting:
            self._waiting.remove(row)
        elif row in self._slots:
            self._free(self._slots.index(row))
        if row.owner in self._freed and not self._is_here(row.owner):
            del self._freed[row.owner]

    def for_one(self) -> SpeakUnits:
        """Draws units for one owner, in steps that all share: whoever pulls moves every row."""
        owner = object()

        def speak(requests: Sequence[UnitRequest]) -> Iterator[list[UnitRow]]:
            rows = [PoolRow(**vars(request), owner=owner) for request in requests]
            for row in rows:
                self.join(row)
            try:
                # A step that somebody else has asked for meanwhile serves us as well.
                seen = self.steps
                while True:
                    if self.steps == seen:
                        self.step()
                    for row in rows:
                        if row.error is not None:
                            raise row.error
                    seen, is_over = self.steps, all(row.stop_reason for row in rows)
                    yield list(rows)
                    if is_over:
                        return
            finally:
                for row in rows:
                    self.leave(row)

        return speak

    @torch.inference_mode()
    def step(self) -> None:
        """Let every row that has a slot say one unit. Raises nothing that is a row's fault."""
        try:
            self._seat()
            self._step()
        except Exception as error:  # of the step that all share: nobody's slot can be relied on
            self._restart(error)

    def _step(self) -> None:
        seated = [(slot, row) for slot, row in enumerate(self._slots) if row is not None]
        if not seated:
            return
        assert self._logits is not None
        for slot, row in seated:
            forbid(self._logits[slot], row.units, row.stop, self._model.codebook_size)
        chosen = self._draw(self._logits, seated)
        self.steps += 1
        self.row_steps += len(seated)
        units, text_positions = (
            chosen.tolist(),
            text_position_list(self._model, self._cache, len(chosen)),
        )
        pitches = self._draw_pitches(chosen.to(self._logits.device), seated)
        end = self._model.codebook_size
        # A slot without a row is fed any unit; nobody reads what comes of it.
        fed = chosen.clamp(max=end - 1).to(self._logits.device)
        streams = draw_streams(
            self._model, fed, self._cache, lambda logits: self._draw(logits, seated, is_unit=False)
        )
        others = streams[:, 1:].tolist()
        for slot, row in seated:
            position, pitch = text_positions[slot], pitches[slot]
            advance(row, units[slot], row.stop, end, position, pitch, others[slot])
            if row.stop_reason:
                self._free(slot)
        if any(row is not None for row in self._slots):
            self._logits = self._model.step(
                streams if self._model.num_streams > 1 else fed, self._cache
            )

    def _draw(
        self,
        logits: Float[Tensor, "b v"],
        seated: list[tuple[int, PoolRow]],
        *,
        is_unit: bool = True,
    ) -> Int[Tensor, " b"]:
        """A unit for each slot that has a row, or another stream's; rows that draw alike are drawn
        together."""
        chosen = torch.zeros(len(logits), dtype=torch.long)
        by_sampling: dict[Sampling, list[tuple[int, PoolRow]]] = {}
        for slot, row in seated:
            by_sampling.setdefault(row.sampling, []).append((slot, row))
        for sampling, group in by_sampling.items():
            slots = torch.tensor([slot for slot, _ in group])
            window = sampling.repetition_window if is_unit else 0
            chosen[slots] = sample(
                logits[slots.to(logits.device)],
                sampling,
                [row.generator for _, row in group],
                [row.units[-window:] if window else [] for _, row in group],
            ).cpu()
        return chosen

    def _draw_pitches(
        self, units: Int[Tensor, " b"], seated: list[tuple[int, PoolRow]]
    ) -> list[int] | list[None]:
        """A pitch for each slot that has a row, which the next step will read; of a model that
        draws none, None."""
        model = self._model
        if not isinstance(model, PitchedModel) or not model.num_pitches:
            return [None] * len(units)
        logits = model.score_pitch(units, self._cache)
        chosen = torch.zeros_like(units)
        for slot, row in seated:
            alone = logits[slot : slot + 1]
            chosen[slot] = sample_pitch(alone, row.sampling, [row.generator])[0]
        model.take_pitch(chosen, self._cache)
        return chosen.tolist()

    def _seat(self) -> None:
        """Give free slots to waiting rows: first to owners who have the fewest."""
        while self._waiting and None in self._slots:
            taken = Counter(row.owner for row in self._slots if row is not None)
            row = min(self._waiting, key=lambda row: (taken[row.owner], self._waits_since(row)))
            self._waiting.remove(row)
            try:
                # Alone, so that nothing depends on who comes at the same time.
                cache = self._model.new_cache(1, len(row.text_ids) + row.prompt_units.shape[-1] + 2)
                if row.track is not None:
                    self._model.follow([row.track], cache)
                prompt_pitches = None if row.prompt_pitches is None else [row.prompt_pitches]
                logits = prefill(
                    self._model, [row.text_ids], [row.prompt_units], cache, prompt_pitches
                )
            except Exception as error:
                row.error = error
                continue
            slot = self._slots.index(None)
            self._slots[slot] = row
            self._cache.put(slot, cache)
            if self._logits is None:
                self._logits = logits.new_zeros(len(self._slots), logits.shape[1])
            self._logits[slot] = logits[0]

    def _waits_since(self, row: PoolRow) -> int:
        """Since when a row's owner has been without a slot, if it has none."""
        return max(row.waits_since, self._freed.get(row.owner, 0))

    def _free(self, slot: int) -> None:
        row = self._slots[slot]
        assert row is not None
        self._slots[slot] = None
        self._freed[row.owner] = self._count_event()
        with torch.inference_mode():
            self._cache.free(slot)

    def _restart(self, error: Exception) -> None:
        """End all rows that have a slot; those that wait begin in new ones."""
        for row in self._slots:
            if row is not None:
                row.error = error
        self._slots = [None] * len(self._slots)
        self._cache, self._logits = self._model.new_slots(len(self._slots)), None

    def _count_event(self) -> int:
        self._events += 1
        return self._events

    def _is_here(self, owner: Hashable) -> bool:
        return any(row is not None and row.owner == owner for row in (*self._slots, *self._waiting))
