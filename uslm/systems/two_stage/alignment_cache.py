"""The memory of a monotonic alignment: the text of each row, and its text position."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

from uslm.models.phone_pointer import PhonePointer
from uslm_tokenizer.nn.attention import SLOT_STEP, KVCache


@dataclass
class AlignmentCache(KVCache):
    """The attention's memory, and where each row's text position is."""

    symbols: Float[Tensor, "b s d"] = field(default_factory=lambda: torch.zeros(0, 0, 0))
    """What was read of the text; nothing before prefill."""
    pointer: PhonePointer = field(default_factory=lambda: PhonePointer([]))
    """The text positions."""
    tracks: list[Sequence[int] | None] = field(default_factory=list)
    """Symbol of each unit that is to be said, in the text after the prompt's, of rows that are
    given one; set before prefill. Empty: no row is."""
    pointed: Float[Tensor, "b d"] = field(default_factory=lambda: torch.zeros(0, 0))
    """The symbols that the next units belong to."""
    hidden: Float[Tensor, "b d"] = field(default_factory=lambda: torch.zeros(0, 0))
    """State of the position that the next unit is drawn at; its pitch is drawn there, too."""
    pitches: Int[Tensor, "b h"] | None = None
    """Pitches of each row's latest units, the last one last, of a model that draws pitches."""

    def begin_reading(
        self,
        symbols: Float[Tensor, "b s d"],
        last: Sequence[int],
        texts: Sequence[Sequence[int]] | None = None,
        timeless: Collection[int] = (),
    ) -> None:
        """Text positions go to the first symbol of each row; `last` is the index of its end
        symbol. Ids of the texts that are `timeless` are passed over."""
        self.symbols, self.pointer = symbols, PhonePointer(last, texts, timeless)
        self._point()

    def begin_speaking(self, places: Sequence[int]) -> None:
        """Move the text positions that are not as far yet, as where a prompt ends; tracks are
        followed from here on."""
        self.pointer.move_to(places)
        for row, track in enumerate(self.tracks):
            if track is not None:
                self.pointer.follow(row, [places[row] + place for place in track])
        self._point()

    def move(
        self, moves: Sequence[Sequence[float]], going: Sequence[bool], advance_threshold: float
    ) -> None:
        """Move the text positions of the rows that are going. `moves` are each row's probabilities
        of moving by 0, 1, 2, ... symbols; `advance_threshold` is the accumulated probability at
        which a text position moves."""
        if self.pointer.move(moves, going, advance_threshold):
            self._point()

    def _point(self) -> None:
        width = self.symbols.shape[1]
        index = [row * width + place for row, place in enumerate(self.pointer.places)]
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
        self.pointer.take_row(slot, other.pointer)
        place = torch.tensor([slot], device=self.hidden.device)
        self.hidden = self.hidden.index_copy(0, place, other.hidden)
        if self.pitches is not None and other.pitches is not None:
            self.pitches = self.pitches.index_copy(0, place, other.pitches)
        self._point()

    def free(self, slot: int) -> None:
        super().free(slot)
        self.pointer.take_row(slot, PhonePointer([0]))
