"""Endless batches in an order that depends on the seed and the place in the world only."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from numpy.typing import ArrayLike, NDArray
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from uslm_tokenizer.errors import UserError


@dataclass(frozen=True)
class World:
    """This process among those that train together."""

    rank: int = 0
    size: int = 1


class SecondsBatches:
    """Batches of utterances of like length, bounded by padded seconds and never by a count.

    With `groups`, a number for each utterance, some groups at a time are gone through before the
    next ones: shards are then read one after another, not all at once.

    Iterating gives arrays of utterance numbers without end. Each epoch is drawn anew from
    (seed, epoch), so that a position is two integers.
    """

    def __init__(
        self,
        seconds: ArrayLike,
        seconds_per_batch: float,
        seed: int,
        *,
        indices: ArrayLike | None = None,
        world: World = World(),
        jitter_seconds: float = 1.0,
        groups: ArrayLike | None = None,
        groups_at_once: int = 16,
    ) -> None:
        self.seconds = np.asarray(seconds, dtype=np.float64)
        self.indices = np.arange(len(self.seconds)) if indices is None else np.asarray(indices)
        if len(self.indices) == 0:
            raise UserError("there are no utterances to make batches of")
        if seconds_per_batch <= 0:
            raise UserError(f"seconds_per_batch must be positive, but is {seconds_per_batch}")
        self.seconds_per_batch = seconds_per_batch
        self.seed = seed
        self.world = world
        self.jitter_seconds = jitter_seconds
        self.groups = None if groups is None else np.asarray(groups)
        self.groups_at_once = groups_at_once
        self.epoch = 0
        self.position = 0
        self._batches = self._draw(0)

    def __iter__(self) -> Iterator[NDArray[np.int64]]:
        return self

    def __next__(self) -> NDArray[np.int64]:
        batch = self._batches[self.position * self.world.size + self.world.rank]
        self.position += 1
        if self.position == len(self):
            self.epoch, self.position = self.epoch + 1, 0
            self._batches = self._draw(self.epoch)
        return batch

    def __len__(self) -> int:
        """Batches that each process gets in the current epoch."""
        return len(self._batches) // self.world.size

    def state_dict(self) -> dict[str, int]:
        """The place in the stream; the same on every rank."""
        return {"seed": self.seed, "epoch": self.epoch, "position": self.position}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on with the batch after the last one that was taken."""
        if state["seed"] != self.seed:
            raise UserError(f"the run was begun with seed {state['seed']}, but is now {self.seed}")
        self.epoch, self.position = int(state["epoch"]), int(state["position"])
        self._batches = self._draw(self.epoch)
        if self.position >= len(self):  # batches have become larger, and so fewer
            self.epoch, self.position = self.epoch + 1, 0
            self._batches = self._draw(self.epoch)

    def _draw(self, epoch: int) -> list[NDArray[np.int64]]:
        random = np.random.default_rng((self.seed, epoch))
        batches = [batch for part in self._parts(random) for batch in self._draw_part(part, random)]
        # Every rank takes as many: the first batches fill up the last row.
        rows = -(-len(batches) // self.world.size)
        order = np.resize(np.arange(len(batches)), rows * self.world.size)
        return [batches[i] for i in order]

    def _parts(self, random: np.random.Generator) -> Iterator[NDArray[np.int64]]:
        """Utterances that are drawn from together."""
        if self.groups is None:
            yield self.indices
            return
        of_each = self.groups[self.indices]
        groups = random.permutation(np.unique(of_each))
        for first in range(0, len(groups), self.groups_at_once):
            yield self.indices[np.isin(of_each, groups[first : first + self.groups_at_once])]

    def _draw_part(
        self, indices: NDArray[np.int64], random: np.random.Generator
    ) -> list[NDArray[np.int64]]:
        lengths = self.seconds[indices]
        jittered = lengths + random.uniform(0.0, self.jitter_seconds, len(lengths))
        batches = _pack(
            indices[np.argsort(jittered, kind="stable")], self.seconds, self.seconds_per_batch
        )
        return [batches[i] for i in random.permutation(len(batches))]


def _pack(
    ordered: NDArray[np.int64], seconds: NDArray[np.float64], budget: float
) -> list[NDArray[np.int64]]:
    """Cut the order into batches whose longest utterance times their number stays in the budget."""
    batches: list[NDArray[np.int64]] = []
    first, longest = 0, 0.0
    for place, index in enumerate(ordered):
        longest_with = max(longest, float(seconds[index]))
        if place > first and longest_with * (place - first + 1) > budget:
            batches.append(ordered[first:place])
            first, longest_with = place, float(seconds[index])
        longest = longest_with
    batches.append(ordered[first:])
    return batches


@dataclass(frozen=True)
class Crops:
    """Segments of utterances: which, and from which sample on."""

    indices: NDArray[np.int64]
    starts: NDArray[np.int64]


class CropSampler:
    """Endless batches of random segments of one length; an utterance is drawn by its duration.

    Batch i is drawn from (seed, i, rank), so that a position is one integer.
    """

    def __init__(
        self,
        num_samples: ArrayLike,
        crop_samples: int,
        batch_size: int,
        seed: int,
        *,
        indices: ArrayLike | None = None,
        world: World = World(),
        align: int = 1,
    ) -> None:
        lengths = np.asarray(num_samples, dtype=np.int64)
        every = np.arange(len(lengths)) if indices is None else np.asarray(indices)
        self.indices = every[lengths[every] >= crop_samples]
        if len(self.indices) == 0:
            raise UserError(f"no utterance is as long as a crop of {crop_samples} samples")
        self.crop_samples = crop_samples
        self.batch_size = batch_size
        self.seed = seed
        self.world = world
        self.align = align
        self.position = 0
        # An utterance is as likely as it has places to crop from.
        self._places = (lengths[self.indices] - crop_samples) // align + 1
        self._cumulative = np.cumsum(lengths[self.indices])

    def __iter__(self) -> Iterator[Crops]:
        return self

    def __next__(self) -> Crops:
        random = np.random.default_rng((self.seed, self.position, self.world.rank))
        self.position += 1
        drawn = random.integers(0, self._cumulative[-1], self.batch_size)
        chosen = np.searchsorted(self._cumulative, drawn, side="right")
        starts = random.integers(0, self._places[chosen]) * self.align
        return Crops(indices=self.indices[chosen], starts=starts)

    def state_dict(self) -> dict[str, int]:
        """The place in the stream; the same on every rank."""
        return {"seed": self.seed, "position": self.position}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on with the batch after the last one that was taken."""
        if state["seed"] != self.seed:
            raise UserError(f"the run was begun with seed {state['seed']}, but is now {self.seed}")
        self.position = int(state["position"])


def pad_waveforms(
    waveforms: Sequence[Float[Tensor, _]],
) -> tuple[Float[Tensor, "b 1 n"], Int[Tensor, b]]:
    """Waveforms side by side, zeros after their ends; and their lengths in samples."""
    lengths = torch.tensor([len(each) for each in waveforms])
    return pad_sequence(list(waveforms), batch_first=True).unsqueeze(1), lengths


def pad_ids(
    sequences: Sequence[Int[Tensor, _]], padding: int = 0
) -> tuple[Int[Tensor, "b t"], Int[Tensor, b]]:
    """Sequences of ids side by side, `padding` after their ends; and their lengths."""
    lengths = torch.tensor([len(each) for each in sequences])
    padded = pad_sequence(list(sequences), batch_first=True, padding_value=padding)
    return padded, lengths
