"""Acoustic BPE: pairs of units that often follow each other become one token, without loss.

Sennrich et al. 2016, on units in place of letters, as Vec-Tok (Zhu et al. 2023) has it. A token
stands for a fixed run of units; decoding is exact. Merges that were learnt on some speakers give
fewer tokens on them than on others: quote the rate of speech that was not learnt from.

    units   4 4 9 4 4 9 7     merges   4 4 -> 10, 10 9 -> 11
    tokens  11    11    7
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import pairwise

import torch
from jaxtyping import Int
from torch import Tensor

from uslm_tokenizer.errors import ConfigError, UserError


@dataclass(frozen=True, kw_only=True)
class AcousticBPEConfig:
    """Merges in the order in which they were learnt."""

    num_units: int
    """Different units; merged tokens come behind them."""
    merges: tuple[tuple[int, int], ...] = field(default=())
    """Pairs of tokens; the i-th makes the token num_units + i."""

    def __post_init__(self) -> None:
        for place, pair in enumerate(self.merges):
            below = self.num_units + place
            if not all(0 <= token < below for token in pair):
                raise ConfigError(
                    f"merges must be of tokens that come before them, but merge {place} of "
                    f"{pair} is not below {below}"
                )


class AcousticBPE:
    """Units <-> tokens."""

    def __init__(self, config: AcousticBPEConfig) -> None:
        self.config = config

    @property
    def vocab_size(self) -> int:
        """Units and merged tokens."""
        return self.config.num_units + len(self.config.merges)

    @staticmethod
    def learn(rows: Iterable[Int[Tensor, " _"]], num_units: int, vocab_size: int) -> "AcousticBPE":
        """Merge the pair that is most frequent, again and again, until there are so many tokens.

        Ends before where no pair comes twice. UserError for an empty corpus of units, and for a
        vocabulary smaller than that of the units.
        """
        if vocab_size < num_units:
            raise UserError(
                f"vocab_size must be at least {num_units}, the units, but is {vocab_size}"
            )
        sequences = [row.tolist() for row in rows if len(row)]
        if not sequences:
            raise UserError("a unit corpus to learn BPE from must not be empty")
        highest = max(map(max, sequences))
        if highest >= num_units:
            raise UserError(f"units must be below {num_units}, but reach {highest}")
        merges: list[tuple[int, int]] = []
        while num_units + len(merges) < vocab_size:
            counts: Counter[tuple[int, int]] = Counter()
            for row in sequences:
                counts.update(_pairs(row))
            if not counts or max(counts.values()) < 2:
                break
            # Of equally frequent pairs the lowest, so that the order of the rows does not matter.
            pair = min(counts, key=lambda each: (-counts[each], each))
            token = num_units + len(merges)
            merges.append(pair)
            sequences = [_merged(row, merges[-1], token) for row in sequences]
        return AcousticBPE(AcousticBPEConfig(num_units=num_units, merges=tuple(merges)))

    def encode(self, units: Int[Tensor, " t"]) -> Int[Tensor, " s"]:
        """Tokens of the units; UserError for units that were not learnt from."""
        row = units.tolist()
        if row and not 0 <= min(row) <= max(row) < self.config.num_units:
            raise UserError(
                f"units must lie in [0, {self.config.num_units}), but reach from {min(row)} to "
                f"{max(row)}"
            )
        while len(row) > 1:
            ranks = [(self._ranks.get(pair), pair) for pair in set(pairwise(row))]
            known = [(rank, pair) for rank, pair in ranks if rank is not None]
            if not known:
                break
            rank, pair = min(known)
            row = _merged(row, pair, self.config.num_units + rank)
        return torch.tensor(row, dtype=torch.long)

    def decode(self, tokens: Int[Tensor, " s"]) -> Int[Tensor, " t"]:
        """The units again, all of them."""
        if len(tokens) and not 0 <= int(tokens.min()) <= int(tokens.max()) < self.vocab_size:
            raise UserError(
                f"tokens must lie in [0, {self.vocab_size}), but reach from {int(tokens.min())} "
                f"to {int(tokens.max())}"
            )
        units = [unit for token in tokens.tolist() for unit in self._spelt[token]]
        return torch.tensor(units, dtype=torch.long)

    @cached_property
    def _ranks(self) -> dict[tuple[int, int], int]:
        return {pair: rank for rank, pair in enumerate(self.config.merges)}

    @cached_property
    def _spelt(self) -> list[tuple[int, ...]]:
        """The units of each token."""
        found: list[tuple[int, ...]] = [(unit,) for unit in range(self.config.num_units)]
        for first, second in self.config.merges:
            found.append(found[first] + found[second])
        return found


def _pairs(row: Sequence[int]) -> Iterable[tuple[int, int]]:
    """Neighbours; of a run of one token every other pair, as they cannot all be merged."""
    previous: tuple[int, int] | None = None
    for pair in pairwise(row):
        if pair == previous:
            previous = None
            continue
        previous = pair if pair[0] == pair[1] else None
        yield pair


def _merged(row: Sequence[int], pair: tuple[int, int], token: int) -> list[int]:
    """The row with each such pair, from the left, as one token."""
    found: list[int] = []
    place = 0
    while place < len(row):
        if place + 1 < len(row) and (row[place], row[place + 1]) == pair:
            found.append(token)
            place += 2
        else:
            found.append(row[place])
            place += 1
    return found
