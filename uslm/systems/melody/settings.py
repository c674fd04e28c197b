"""Settings of MeLoDy, and the extra of its voices."""

from dataclasses import dataclass, field

from uslm.generate.latents import LatentSteps
from uslm.generate.length import LengthConfig
from uslm.generate.sampling import Sampling
from uslm.systems.base import PretrainedSettings

LATENTS = "latents"
"""What a voice keeps beside its units: its latents [t, c]."""


@dataclass(frozen=True, kw_only=True)
class MelodySettings(PretrainedSettings):
    """Settings of MeLoDy."""

    name: str = "melody"
    """What the model is called."""
    sampling: Sampling = field(default_factory=lambda: Sampling(temperature=1.0, top_k=50))
    """How the language model draws units."""
    diffusion: LatentSteps = field(default_factory=LatentSteps)
    """How units become latents."""
    length: LengthConfig = field(
        default_factory=lambda: LengthConfig(min_frames_per_symbol=1.0, max_frames_per_symbol=10.0)
    )
    """How many units speech may be for its phonemes."""
    context_frames: int = 6
    """Latents of the prompt that the codec's decoder goes on from."""
