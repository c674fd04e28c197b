"""Speech patches: which units a language model reads as one (LST, Lu et al. 2025).

A patching is the number of the patch of each unit, from 0 on, and never falls:

    units     7 7 3 3 3 9 9 1
    static 3  0 0 0 1 1 1 2 2
    aligned   0 0 1 1 1 2 2 2     words and silences that begin at units 0, 2 and 5
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import torch
from jaxtyping import Int
from torch import Tensor

from uslm_tokenizer.errors import ConfigError, UserError

Way = Literal["static", "aligned", "mixed", "curriculum"]


@dataclass(frozen=True, kw_only=True)
class PatchingConfig:
    """Cuts of speech into patches in training; generated speech is always cut statically."""

    way: Way = "static"
    """`static`: so many units each; `aligned`: a word or a silence each; `mixed`: one or the other,
    drawn for each row; `curriculum`: aligned at first, static at last."""
    size: int = 4
    """Units of a static patch; 1 is a language model without patches."""
    curriculum: tuple[float, float] = (1 / 3, 2 / 3)
    """Shares of the run until which all is aligned, and from which on all is static."""
    min_silence: int = 4
    """Units of a silence that is a patch of its own; a shorter one belongs to the word before."""

    def __post_init__(self) -> None:
        if self.size < 1:
            raise ConfigError(f"patching.size must be at least 1, but is {self.size}")
        first, last = self.curriculum
        if not 0 <= first <= last <= 1:
            raise ConfigError(
                f"patching.curriculum must be two rising shares of the run, but is {first}, {last}"
            )

    def share_aligned(self, fraction: float) -> float:
        """The share of rows that are aligned after so much of the run."""
        first, last = self.curriculum
        if self.way == "curriculum":
            if last == first:
                return float(fraction < first)
            return min(1.0, max(0.0, (last - fraction) / (last - first)))
        return {"static": 0.0, "aligned": 1.0, "mixed": 0.5}[self.way]


def static_patches(num_units: int, size: int) -> Int[Tensor, " t"]:
    """`size` units each; the last may be shorter."""
    return torch.arange(num_units) // size


def aligned_patches(starts: Sequence[int], num_units: int) -> Int[Tensor, " t"]:
    """A patch from each start to the next. UserError unless they rise from 0 inside the speech."""
    rising = all(a < b for a, b in pairwise(starts))
    if num_units and (not starts or starts[0] != 0 or starts[-1] >= num_units or not rising):
        raise UserError(
            f"patches must begin at 0 and rise to below {num_units}, the units of the speech, "
            f"but begin at {list(starts)}"
        )
    marks = torch.zeros(num_units, dtype=torch.long)
    marks[list(starts[1:])] = 1
    return marks.cumsum(0)


def word_starts(
    text_ids: Sequence[int],
    symbol_starts: Sequence[int],
    num_units: int,
    *,
    pauses: Collection[int],
    min_silence: int,
) -> list[int]:
    """Beginnings of words and longer silences, of the frames where the symbols of a text do.

    `pauses` are the ids that stand between words. A pause of fewer than `min_silence` units goes
    with the word before it; what lies before the first symbol is a silence.
    """
    if len(text_ids) != len(symbol_starts):
        raise UserError(
            f"symbol_starts must be one for each of {len(text_ids)} symbols, but are "
            f"{len(symbol_starts)}"
        )
    found, silence_from, begins_word = [0], None, True
    for symbol, start in zip(text_ids, symbol_starts, strict=True):
        if symbol in pauses:
            silence_from = start if silence_from is None else silence_from
            begins_word = True
            continue
        if begins_word:
            if silence_from is not None and start - silence_from >= min_silence:
                found.append(silence_from)
            found.append(start)
        silence_from, begins_word = None, False
    if silence_from is not None and num_units - silence_from >= min_silence:
        found.append(silence_from)
    return sorted({start for start in found if start < num_units})
