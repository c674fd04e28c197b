"""Predicted length of speech, for models that need it: at the pace of the prompt."""

from dataclasses import dataclass

from uslm_tokenizer.errors import ConfigError


@dataclass(frozen=True, kw_only=True)
class DurationRule:
    """Frames for phonemes; at 50 frames per second."""

    usual: float = 4.5
    """Frames a phoneme where the prompt does not tell."""
    least: float = 2.0
    """A faster prompt than this is not believed: frames a phoneme."""
    most: float = 15.0
    """A slower prompt than this is not believed, most of it is silence: frames a phoneme."""

    def __post_init__(self) -> None:
        if not 0 < self.least <= self.usual <= self.most:
            raise ConfigError(f"0 < least <= usual <= most must hold, but they are {self}")

    def num_frames(self, num_phones: int, prompt_phones: int, prompt_frames: float) -> int:
        """Frames for so many phonemes in the pace of the prompt, whole ones, at least one.

        MaskGCT's rule (Wang et al. 2025, section 3.2.1); that the pace has limits is ours.
        """
        if not prompt_phones:
            return max(1, int(num_phones * self.usual))
        pace = prompt_frames / prompt_phones
        if not self.least <= pace <= self.most:
            return max(1, int(num_phones * min(max(pace, self.least), self.most)))
        return max(1, int(prompt_frames * num_phones / prompt_phones))
