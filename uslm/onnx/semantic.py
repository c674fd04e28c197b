"""Stage 1 at work: the graphs `text`, `step` and `pitch`, and what lies between two steps."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np

from uslm.generate.sampling_config import Sampling
from uslm.generate.stopping import SpokenUnits, StopRule, advance, forbid
from uslm.onnx.graphs import Array, Graphs
from uslm.onnx.random_numbers import Uniform
from uslm.onnx.sampling import sample, sample_pitch

if TYPE_CHECKING:
    pass


class TextPosition:
    """The symbol that is being spoken: a place in the text that only goes forward.

    As `AlignmentCache`, of one row.
    """

    def __init__(self, last: int, advance_threshold: float) -> None:
        """`last` is the place of the end symbol."""
        self.place = self.spoken = 0
        self._last, self._threshold = last, advance_threshold
        self._accumulated = 0.0

    def move_to(self, place: int) -> None:
        """Go on to a place, unless it lies before."""
        self.place = max(self.place, place)

    def move(self, shares: Sequence[float]) -> None:
        """A unit was read; `shares` are the probabilities of moving by 0, 1, 2, ... symbols."""
        self.spoken = self.place
        self._accumulated += 1 - shares[0]
        if self._accumulated >= self._threshold:
            self._accumulated = 0.0
            distance = max(range(1, len(shares)), key=shares.__getitem__)
            self.place = min(self.place + distance, self._last)

    @property
    def may_end(self) -> bool:
        """The speech ends when the last symbol is spoken, and not before."""
        return self.spoken >= self._last


class _Row:
    """One text on its way through stage 1."""

    def __init__(self, graphs: Graphs, text_ids: Sequence[int]) -> None:
        from onnxruntime import OrtValue

        self._graphs, self._facts = graphs, graphs.config.semantic
        facts = self._facts
        ids = np.array([[*text_ids, facts.text_eos_id]], dtype=np.int64)
        (self._symbols,) = graphs.text(ids)
        self.position = TextPosition(len(text_ids), facts.advance_threshold)
        self._history = np.zeros((1, facts.pitch_history), dtype=np.int64)
        empty = np.zeros((1, facts.num_heads, 0, facts.head_dim), dtype=np.float32)
        self._cache = [OrtValue.ortvalue_from_numpy(empty) for _ in range(2 * facts.num_layers)]
        self._length = 0
        self._hidden: OrtValue | None = None
        self._wrap = OrtValue.ortvalue_from_numpy

    def read(self, unit: int) -> Array:
        """Read a unit; logits of the next."""
        symbol = np.ascontiguousarray(self._symbols[self.position.place][None])
        state = [
            self._wrap(np.array([unit], dtype=np.int64)),
            self._wrap(symbol),
            self._wrap(np.array([self._length], dtype=np.int64)),
        ]
        logits, shares, self._hidden, *self._cache = self._graphs.step.values(state + self._cache)
        self._length += 1
        self.position.move(shares.numpy()[0].tolist())
        found: Array = logits.numpy()[0].copy()
        if not self.position.may_end:
            found[-1] = -1e9
        return found

    def score_pitch(self, unit: int) -> Array:
        """Logits of the pitch of a unit that was just drawn."""
        assert self._hidden is not None
        unit_id = np.array([unit], dtype=np.int64)
        (logits,) = self._graphs.pitch(self._hidden.numpy(), unit_id, self._history)
        found: Array = logits[0]
        return found

    def take_pitch(self, pitch: int) -> None:
        """Keep the pitch that was drawn for the next step."""
        self._history = np.append(self._history[:, 1:], [[pitch]], axis=1)


def speak_units(
    graphs: Graphs,
    text_ids: Sequence[int],
    prompt_units: Sequence[int],
    prompt_pitches: Sequence[int],
    stop: StopRule,
    sampling: Sampling,
    uniform: Uniform,
) -> Iterator[SpokenUnits]:
    """Yield what was said after each step, the same object each time; ends when it has stopped.

    `prompt_pitches` are relative to the prompt's median.
    """
    facts, end = graphs.config.semantic, graphs.config.codec.codebook_size
    row, said = _Row(graphs, text_ids), SpokenUnits()
    units, pitches = [facts.bos_id, *prompt_units], [0, *prompt_pitches]
    for unit, pitch in zip(units[:-1], pitches[:-1], strict=True):
        row.take_pitch(pitch)
        row.read(unit)
    row.position.move_to(_after(text_ids, facts.separator_id))
    row.take_pitch(pitches[-1])
    logits = row.read(units[-1])
    window = sampling.repetition_window
    while True:
        forbid(logits, said.units, stop, end)
        chosen = sample(logits, sampling, uniform, said.units[-window:] if window else [])
        position = row.position.spoken
        pitch = sample_pitch(row.score_pitch(chosen), sampling, uniform)
        row.take_pitch(pitch)
        advance(said, chosen, stop, end, position, pitch)
        yield said
        if said.stop_reason:
            return
        logits = row.read(min(chosen, end - 1))


def _after(text_ids: Sequence[int], separator: int) -> int:
    """Index of the symbol after the last separator; 0 where there is none."""
    places = [place for place, each in enumerate(text_ids) if each == separator]
    return places[-1] + 1 if places else 0
