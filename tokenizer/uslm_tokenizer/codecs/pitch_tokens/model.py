"""F0 of each frame on a log scale, as 256 tokens: 0 unvoiced, 1 to 255 from low to high.

Make-A-Voice (Huang et al. 2023) gives a language model such tokens beside units, for singing. Their
range holds speech and song, 50 Hz to 1.2 kHz. Nothing of it is learnt.
"""

from dataclasses import dataclass, field
from typing import ClassVar

import torch
from jaxtyping import Float, Int
from torch import Tensor

from uslm_tokenizer.codecs.source_filter.pitch import PitchConfig, estimate_f0
from uslm_tokenizer.codecs.unit_only import UnitOnlyTokenizer
from uslm_tokenizer.errors import ConfigError


@dataclass(frozen=True, kw_only=True)
class PitchTokensConfig:
    """Settings of PitchTokens."""

    sample_rate: int = 16_000
    """Samples per second of the waveform, Hz."""
    hop_length: int = 320
    """Samples per frame."""
    pitch: PitchConfig = field(
        default_factory=lambda: PitchConfig(
            floor=60.0, ceiling=1_000.0, lowest=50.0, steps_per_octave=56, num_steps=255
        )
    )
    """How F0 is found and coded."""

    def __post_init__(self) -> None:
        if self.sample_rate < 1 or self.hop_length < 1:
            raise ConfigError(
                "sample_rate and hop_length must be 1 or more, but are "
                f"{self.sample_rate} and {self.hop_length}"
            )


class PitchTokens(UnitOnlyTokenizer):
    """Waveform -> codes [b, 1, t]. They are no waveform again."""

    model_type: ClassVar[str] = "pitch_tokens"
    config_class: ClassVar[type] = PitchTokensConfig
    config: PitchTokensConfig
    num_codebooks = 1
    pitch_codebook: ClassVar[int | None] = 0

    @property
    def sample_rate(self) -> int:
        return self.config.sample_rate

    @property
    def hop_length(self) -> int:
        return self.config.hop_length

    @property
    def codebook_size(self) -> int:
        return self.config.pitch.num_steps + 1

    @property
    def num_pitches(self) -> int:
        return self.codebook_size

    def encode(
        self, waveform: Float[Tensor, "b 1 n"], lengths: Int[Tensor, " b"] | None = None
    ) -> Int[Tensor, "b 1 t"]:
        self.check_waveform(waveform)
        return self.encode_by_length(waveform, lengths, self._encode)

    def of_f0(self, f0: Float[Tensor, " t"]) -> Int[Tensor, " t"]:
        """Tokens of F0 in Hz, 0 where unvoiced, as a score gives it."""
        return self.config.pitch.encode(f0)

    def f0(self, tokens: Int[Tensor, " t"]) -> Float[Tensor, " t"]:
        """F0 of tokens in Hz, 0 where unvoiced."""
        return self.config.pitch.decode(tokens)

    def _encode(self, waveform: Float[Tensor, "b 1 n"]) -> Int[Tensor, "b 1 t"]:
        rows = [
            estimate_f0(row[0], self.sample_rate, self.hop_length, self.config.pitch)
            for row in waveform
        ]
        return self.config.pitch.encode(torch.stack(rows))[:, None]

    @classmethod
    def tiny_config(cls) -> PitchTokensConfig:
        return PitchTokensConfig()
