"""What stage 1 with a reading finger remembers of each row: the text, and where the finger is."""

from dataclasses import dataclass, field

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

from uslm_tokenizer.nn.attention import SLOT_STEP, KVCache


@dataclass
class ReadingCache(KVCache):
    """The attention's memory, and where each row's finger is."""

    symbols: Float[Tensor, "b s d"] | None = None
    """What was read of the text; None before prefill."""
    last: Int[Tensor, " b"] = field(default_factory=lambda: torch.zeros(0, dtype=torch.long))
    """Index of each row's end symbol."""
    fingers: Int[Tensor, " b"] = field(default_factory=lambda: torch.zeros(0, dtype=torch.long))
    """Index of the symbol that the next unit belongs to."""
    spoken: Int[Tensor, " b"] = field(default_factory=lambda: torch.zeros(0, dtype=torch.long))
    """Index of the symbol that the unit scored last belongs to."""
    pressure: Float[Tensor, " b"] = field(default_factory=lambda: torch.zeros(0))
    """Summed probability of moving since the finger's last move."""

    def open_slots(self) -> None:
        super().open_slots()
        num_slots, device = self.keys.shape[1], self.keys.device
        width = self.keys.shape[2] * self.keys.shape[4]
        self.symbols = self.keys.new_zeros(num_slots, SLOT_STEP, width)
        self.last = torch.zeros(num_slots, dtype=torch.long, device=device)
        self.fingers = torch.zeros(num_slots, dtype=torch.long, device=device)
        self.spoken = torch.zeros(num_slots, dtype=torch.long, device=device)
        self.pressure = torch.zeros(num_slots, device=device)

    def put(self, slot: int, other: KVCache) -> None:
        super().put(slot, other)
        assert isinstance(other, ReadingCache)
        assert self.symbols is not None and other.symbols is not None
        num_symbols = other.symbols.shape[1]
        missing = max(0, num_symbols - self.symbols.shape[1])
        self.symbols = F.pad(self.symbols, (0, 0, 0, missing))
        self.symbols[slot, :num_symbols] = other.symbols[0]
        self.last[slot], self.fingers[slot] = other.last[0], other.fingers[0]
        self.spoken[slot], self.pressure[slot] = other.spoken[0], other.pressure[0]

    def free(self, slot: int) -> None:
        super().free(slot)
        self.last[slot] = self.fingers[slot] = 0
