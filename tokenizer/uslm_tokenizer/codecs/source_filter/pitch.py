"""F0 of speech, and its codes."""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from uslm_tokenizer.codecs.source_filter.f0 import f0_of
from uslm_tokenizer.errors import ConfigError


@dataclass(frozen=True, kw_only=True)
class PitchConfig:
    """Settings of how F0 is found and coded."""

    floor: float = 65.0
    """Lowest F0 that is looked for, Hz."""
    ceiling: float = 500.0
    """Highest F0 that is looked for, Hz."""
    lowest: float = 60.0
    """F0 of code 1, Hz; code 0 is unvoiced."""
    steps_per_octave: int = 24
    """Codes in an octave; 24 are half of a half-tone each."""
    num_steps: int = 77
    """Codes from 1 on."""

    def __post_init__(self) -> None:
        if not 0 < self.floor < self.ceiling:
            raise ConfigError(f"floor must be above 0 and below ceiling, but is {self.floor}")
        if self.lowest <= 0 or self.steps_per_octave < 1 or self.num_steps < 1:
            raise ConfigError(
                "lowest, steps_per_octave and num_steps must be above 0, but are "
                f"{self.lowest}, {self.steps_per_octave} and {self.num_steps}"
            )

    def encode(self, f0: Float[Tensor, "*shape"]) -> Int[Tensor, "*shape"]:
        """The nearest code; 0 where F0 is 0."""
        steps = (f0.clamp(min=self.lowest) / self.lowest).log2() * self.steps_per_octave
        return torch.where(f0 > 0, 1 + steps.round().long().clamp(max=self.num_steps - 1), 0)

    def decode(self, codes: Int[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
        """F0 in Hz; 0 where unvoiced."""
        f0 = self.lowest * torch.exp2((codes.float() - 1) / self.steps_per_octave)
        return torch.where(codes > 0, f0, 0.0)


def estimate_f0(
    waveform: Float[Tensor, " n"], sample_rate: int, hop_length: int, config: PitchConfig
) -> Float[Tensor, " t"]:
    """F0 at the middle of each hop, Hz, 0 where unvoiced; t = ceil(n / hop_length)."""
    samples = waveform.numpy(force=True).astype(np.float64)
    found = f0_of(samples, sample_rate, hop_length, config.floor, config.ceiling)
    return torch.from_numpy(found).to(waveform.device)
