"""Rules for a good voice prompt, and the words of findings."""

from dataclasses import dataclass
from typing import Literal

from uslm_tokenizer.errors import ConfigError

Severity = Literal["info", "warning", "error"]


@dataclass(frozen=True, kw_only=True)
class PromptPolicy:
    """Rules for a good prompt, and for what is done about the others."""

    read_seconds: float = 60.0
    """How much of a file is worth reading; silence before that does not count."""
    max_seconds: float = 12.0
    """A longer prompt is cut, at a pause where there is one."""
    good_seconds: float = 3.0
    """Less speech than this is warned of: the voice will be a rough likeness."""
    min_seconds: float = 1.0
    """Less speech than this is refused."""
    margin_seconds: float = 0.1
    """Silence that is kept at both ends."""
    level_dbfs: float = -23.5
    """Level that speech is brought to (gated RMS)."""
    peak_dbfs: float = -1.0
    """Highest peak; a prompt stays softer than `level_dbfs` rather than pass it."""
    quiet_dbfs: float = -45.0
    """Speech below this is warned of: its noise rises with it."""
    silent_dbfs: float = -70.0
    """A recording that never passes this is refused as silent."""
    min_snr_db: float = 12.0
    """Speech less far above the noise than this is warned of."""
    clipped_share: float = 0.001
    """Share of samples at the peak from which clipping is warned of."""
    max_clipped_share: float = 0.1
    """Share of samples at the peak from which the prompt is refused."""
    refuse: bool = True
    """Whether findings of severity "error" raise; else they are returned with the rest. A prompt
    that is silent, not finite or under 0.1 s is refused in any case."""

    def __post_init__(self) -> None:
        if not 0 < self.min_seconds <= self.good_seconds <= self.max_seconds <= self.read_seconds:
            raise ConfigError(
                "0 < min_seconds <= good_seconds <= max_seconds <= read_seconds must hold, but "
                f"they are {self.min_seconds}, {self.good_seconds}, {self.max_seconds} and "
                f"{self.read_seconds}"
            )

    @property
    def wanted(self) -> str:
        """The lengths that are wanted, in words."""
        return (
            f"at least {self.min_seconds:g} s are needed, {self.good_seconds:g} to "
            f"{self.max_seconds:g} s are better"
        )


@dataclass(frozen=True, kw_only=True)
class Finding:
    """Something noticed about a prompt."""

    code: str
    """A short name that stays: "clipped", "noisy", "cut", ..."""
    severity: Severity
    """info: done, and said; warning: the voice will suffer; error: not usable as it is."""
    message: str
    """One sentence for a person, with the numbers."""
