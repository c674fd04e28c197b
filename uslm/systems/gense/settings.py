"""Settings of GenSE."""

from dataclasses import dataclass, field

from uslm.generate.sampling import Sampling
from uslm.synthesis.protocols import SynthesizerSettings
from uslm_tokenizer.errors import ConfigError


@dataclass(frozen=True, kw_only=True)
class GenseSettings(SynthesizerSettings):
    """Settings of GenSE."""

    name: str = "gense"
    """What the model is called."""
    sampling: Sampling = field(
        default_factory=lambda: Sampling(temperature=1.0, top_k=0, top_p=1.0)
    )
    """How both stages draw: from all tokens, as published."""
    prompted: bool = True
    """Whether the codes of the noisy recording, which tell the voice, are read."""
    window_seconds: float = 8.0
    """A longer recording is cleaned in windows of this length, seconds."""
    silent_dbfs: float = -70.0
    """A recording that never passes this is refused as silent, dB below full scale."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.window_seconds > 0:
            raise ConfigError(f"window_seconds must be above 0, but is {self.window_seconds:g}")
