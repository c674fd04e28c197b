"""Settings of Vevo, and the extras of its voices."""

from dataclasses import dataclass, field

from uslm.generate.length import LengthConfig
from uslm.generate.sampling import Sampling
from uslm.systems.base import PretrainedSettings
from uslm.systems.vevo.flow import FlowSteps

MEL, CONTENT = "mel", "content"
"""What a voice keeps beside its units: its mel frames, and its content units."""
TIMBRE_UNITS = "timbre_units"
"""Of a voice whose manner is one recording's and whose timbre another's: units of the latter, which
its mel frames are of."""


@dataclass(frozen=True, kw_only=True)
class VevoSettings(PretrainedSettings):
    """Settings of Vevo; the published values where there are any."""

    name: str = "vevo"
    """What the model is called."""
    languages: tuple[str, ...] = ("en", "fr", "de")
    """Of those it was trained on, the ones that its front end reads here."""
    sampling: Sampling = field(
        default_factory=lambda: Sampling(temperature=0.8, top_k=50, top_p=0.9)
    )
    """How the language models draw."""
    flow: FlowSteps = field(default_factory=FlowSteps)
    """How units become frames."""
    length: LengthConfig = field(
        default_factory=lambda: LengthConfig(min_frames_per_symbol=1.0, max_frames_per_symbol=10.0)
    )
    """How long speech may be for its phonemes. The published code asks for 50 units at least, which
    makes a model babble on after a single word, and stops at 2,000 tokens."""
    segment_seconds: float = 12.0
    """Longer recordings are cut into segments for the language model, at pauses."""
    pace: tuple[float, float] = (0.5, 2.0)
    """Shortest and longest that speech may become by imitation of a manner, to what it was."""
