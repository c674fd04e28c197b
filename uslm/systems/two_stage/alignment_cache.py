"""The memory of a monotonic alignment: the text of each row, and its text position."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

from uslm_tokenizer.nn.attention import SLOT_STEP, KVCache


@dataclass
class AlignmentCache(KVCache):
    """The attention's memory, and where each row's text position is.

    A text position is a plain number: for a few rows, Python counts faster than a kernel is called.
    """

    symbols: Float[Tensor, "b s d"] = field(default_factory=lambda: torch.zeros(0, 0, 0))
    """What was read of the text; nothing before prefill."""
    last: list[int] = field(default_factory=list)
    """Index of each row's end symbol."""
    text_positions: list[int] = field(default_factory=list)
    """Index of the symbol that the next unit belongs to."""
    pointed: Float[Tensor, "b d"] = field(default_factory=lambda: torch.zeros(0, 0))
    """These symbols."""
    spoken: list[int] = field(default_factory=list)
    """Index of the symbol that the unit scored last belongs to."""
    accumulated_advance: list[float] = field(default_factory=list)
    """Probability of moving, summed since the text position last moved."""
    hidden: Float[Tensor, "b d"] = field(default_factory=lambda: torch.zeros(0, 0))
    """State of the position that the next unit is drawn at; its pitch is drawn there, too."""
    pitches: Int[Tensor, "b h"] | None = None
    """Pitches of each row's latest units, the last one last, of a model that draws pitches."""

    def begin_reading(self, symbols: Float[Tensor, "b s d"], last: Sequence[int]) -> None:
        """Text positions go to the first symbol of each row; `last` is the index of its end
        symbol."""
        self.symbols, self.last = symbols, list(last)
        self.spoken, self.accumulated_advance = [0] * len(last), [0.0] * len(last)
        self.text_positions = [0] * len(last)
        self._point()

    def move_to(self, places: Sequence[int]) -> None:
        """Move the text positions that are not as far yet."""
        self.text_positions = [max(pair) for pair in zip(self.text_positions, places, strict=True)]
        self._point()

    def move(
        self, moves: Sequence[Sequence[float]], going: Sequence[bool], advance_threshold: float
    ) -> None:
        """Move the text positions of the rows that are going. `moves` are each row's probabilities
        of moving by 0, 1, 2, ... symbols; `advance_threshold` is the accumulated probability at
        which a text position moves."""
        self.spoken = list(self.text_positions)
        for row, shares in enumerate(moves):
            if going[row]:
                self.accumulated_advance[row] += 1 - shares[0]
                if self.accumulated_advance[row] >= advance_threshold:
                    self.accumulated_advance[row] = 0.0
                    distance = max(range(1, len(shares)), key=shares.__getitem__)
                    self.text_positions[row] = min(
                        self.text_positions[row] + distance, self.last[row]
                    )
        if self.text_positions != self.spoken:
            self._point()

    def _point(self) -> None:
        width = self.symbols.shape[1]
        index = [
            row * width + text_position for row, text_position in enumerate(self.text_positions)
        ]
        places = torch.tensor(index, device=self.symbols.device)
        self.pointed = self.symbols.flatten(0, 1).index_select(0, places)

    def open_slots(self) -> None:
        super().open_slots()
        num_slots, num_heads, _, head_dim = self.stored.shape[2:]
        symbols = self.stored.new_zeros(num_slots, SLOT_STEP, num_heads * head_dim)
        self.begin_reading(symbols, [0] * num_slots)
        self.hidden = torch.zeros_like(self.pointed)

    def put(self, slot: int, other: KVCache) -> None:
        super().put(slot, other)
        assert isinstance(other, AlignmentCache)
        num_symbols = other.symbols.shape[1]
        missing = max(0, num_symbols - self.symbols.shape[1])
        self.symbols = F.pad(self.symbols, (0, 0, 0, missing))
        self.symbols[slot, :num_symbols] = other.symbols[0]
        self.last[slot], self.text_positions[slot] = other.last[0], other.text_positions[0]
        self.spoken[slot], self.accumulated_advance[slot] = (
            other.spoken[0],
            other.accumulated_advance[0],
        )
        place = torch.tensor([slot], device=self.hidden.device)
        self.hidden = self.hidden.index_copy(0, place, other.hidden)
        if self.pitches is not None and other.pitches is not None:
            self.pitches = self.pitches.index_copy(0, place, other.pitches)
        self._point()

    def free(self, slot: int) -> None:
        super().free(slot)
        self.last[slot] = self.text_positions[slot] = 0
