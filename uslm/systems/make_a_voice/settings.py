"""Settings of Make-A-Voice."""

from dataclasses import dataclass, field

from uslm.generate.length import LengthConfig
from uslm.generate.sampling import Sampling
from uslm.systems.base import PretrainedSettings
from uslm_tokenizer.errors import ConfigError


@dataclass(frozen=True, kw_only=True)
class MakeAVoiceSettings(PretrainedSettings):
    """Settings of Make-A-Voice."""

    name: str = "make_a_voice"
    """What the model is called."""
    prompt_seconds: float = 3.0
    """How much of a voice is used, as long as the prompts of the training."""
    acoustic_sampling: Sampling = field(
        default_factory=lambda: Sampling(temperature=0.8, top_k=0, top_p=0.95)
    )
    """How codes are drawn."""
    length: LengthConfig = field(default_factory=LengthConfig)
    """How many units speech may be for its phonemes."""
    window_seconds: float = 6.0
    """More units than that become codes in windows of this length, seconds."""

    max_song_seconds: float = 600.0
    """A longer score is refused, seconds."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.window_seconds > 0:
            raise ConfigError(f"window_seconds must be above 0, but is {self.window_seconds:g}")
        if not self.max_song_seconds > 0:
            raise ConfigError(f"max_song_seconds must be above 0, but is {self.max_song_seconds:g}")
