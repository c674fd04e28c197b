"""Settings of USLM."""

from dataclasses import dataclass, field

from uslm.generate.length import LengthConfig
from uslm.generate.sampling import Sampling
from uslm.systems.base import PretrainedSettings


@dataclass(frozen=True, kw_only=True)
class UslmSettings(PretrainedSettings):
    """Settings of USLM."""

    name: str = "uslm"
    """Name of the model."""
    sampling: Sampling = field(
        default_factory=lambda: Sampling(temperature=1.0, top_k=0, top_p=1.0)
    )
    """How stage 1 draws; as published, from the whole distribution."""
    length: LengthConfig = field(
        default_factory=lambda: LengthConfig(min_frames_per_symbol=1.0, max_frames_per_symbol=16.0)
    )
    """Limits of stage 1. The published code has no least length, and counts the prompt's symbols
    towards the longest."""
