"""Settings of DualSpeechLM, and the extra of its voices."""

from dataclasses import dataclass, field

from uslm.generate.length import LengthConfig
from uslm.generate.sampling import Sampling
from uslm.systems.base import PretrainedSettings
from uslm_tokenizer.errors import ConfigError

VECTOR = "speaker_vector"
"""Name of a voice's vector [1, d]."""


@dataclass(frozen=True, kw_only=True)
class DualSpeechSettings(PretrainedSettings):
    """Settings of DualSpeechLM."""

    name: str = "dual_speech"
    """Name of the model."""
    sampling: Sampling = field(default_factory=Sampling)
    """How units are drawn."""
    text_sampling: Sampling = field(default_factory=lambda: Sampling(temperature=0.0))
    """How the text of an answer is drawn: the likeliest."""
    code_sampling: Sampling = field(default_factory=Sampling)
    """How acoustic codes are drawn."""
    max_text_tokens: int = 100
    """Longest text of an answer, in tokens of the language model."""
    min_units: int = 10
    """Units that speech has at least."""
    length: LengthConfig = field(
        default_factory=lambda: LengthConfig(
            min_frames_per_symbol=0.0, max_frames_per_symbol=8.0, margin_frames=50
        )
    )
    """How many units speech may be for the letters of its text: where it is cut."""
    silent_dbfs: float = -70.0
    """A recording that never passes this is refused as silent, dB below full scale."""

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("max_text_tokens", "min_units"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} must be 1 or more, but is {getattr(self, name)}")
