"""Settings of VoxCPM, and what it does against what users of such systems complain of.

the voice changes from run to run     a prompt is always given, and one seed draws everything
clicks at the ends                    both ends fade, over `fade_seconds`
the prompt's tail leaks               the decoder goes on from the prompt, whose samples are cut
words repeat                          noticed before they are heard, and redrawn from there on
speech does not end                   cut; with `whole_segments` redrawn from its beginning
"""

from dataclasses import dataclass, field

from uslm.generate.length import LengthConfig
from uslm.generate.sampling import Sampling
from uslm.synthesis.plan import PlanConfig
from uslm.systems.base import PretrainedSettings
from uslm.systems.voxcpm.generation import PatchSteps
from uslm_tokenizer.errors import ConfigError


@dataclass(frozen=True, kw_only=True)
class VoxCPMSettings(PretrainedSettings):
    """Settings of VoxCPM; the published values where there are any."""

    name: str = "voxcpm"
    """What the model is called."""
    languages: tuple[str, ...] = ("en", "zh")
    """What it was trained on."""
    sampling: Sampling = field(
        default_factory=lambda: Sampling(temperature=1.0, top_k=0, top_p=1.0)
    )
    """Temperature is the deviation of the noise; nothing else of it matters here."""
    patch: PatchSteps = field(default_factory=PatchSteps)
    """How noise becomes a patch."""
    length: LengthConfig = field(
        default_factory=lambda: LengthConfig(
            min_frames_per_symbol=0.0, max_frames_per_symbol=6.0, margin_frames=10
        )
    )
    """How many patches speech may be for the symbols of its text: where it is cut."""
    min_patches: int = 4
    """It does not end before."""
    redraws: int = 2
    """Draws beyond the first, at most: of what repeats itself, or of a whole segment."""
    whole_segments: bool = False
    """Whether a segment is made before any of it is heard. Then one that had to be cut is redrawn
    from its beginning; patch by patch, what was heard stays."""
    context_patches: int = 3
    """Patches of the prompt that the decoder goes on from."""
    fade_seconds: float = 0.005
    """Length of the fade at both ends, seconds."""
    plan: PlanConfig = field(default_factory=lambda: PlanConfig(max_chars=220))
    """Users hear long segments speed up and blur: some 20 seconds are enough."""

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("redraws", "context_patches", "fade_seconds"):
            if getattr(self, name) < 0:
                raise ConfigError(f"{name} must be 0 or more, but is {getattr(self, name)}")
