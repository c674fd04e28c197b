"""What bundle.json holds: how a model of ours is put together and used."""

from dataclasses import dataclass, field
from typing import Literal

from uslm.synthesis.protocols import SpeakerSettings
from uslm.systems.two_stage.blocks import BlockSchedule
from uslm.systems.two_stage.voice_fitting import FitConfig
from uslm.voices.prompt import PromptConfig
from uslm_tokenizer.errors import ConfigError


@dataclass(frozen=True, kw_only=True)
class FrontendConfig:
    """From text to what stage 1 reads."""

    vocab: Literal["phonemes", "sentencepiece"] = "phonemes"
    """`phonemes`: espeak's symbols; `sentencepiece`: pieces of text, from `text.model`."""
    normalize: bool = True
    """Whether numbers, dates and the like become words first (English)."""


@dataclass(frozen=True, kw_only=True)
class LengthConfig:
    """How long speech may be for its text; a symbol lasts about 3.4 frames."""

    min_frames_per_symbol: float = 1.2
    """Stage 1 may not end before."""
    max_frames_per_symbol: float = 8.0
    """Stage 1 is stopped there, and `margin_frames` later."""
    margin_frames: int = 50
    """Frames beyond, for the silence at both ends."""

    def __post_init__(self) -> None:
        if not 0 <= self.min_frames_per_symbol <= self.max_frames_per_symbol:
            raise ConfigError(f"0 <= min_frames_per_symbol <= max_frames_per_symbol: {self}")
        if self.margin_frames < 1:
            raise ConfigError(f"margin_frames must be 1 or more, but is {self.margin_frames}")

    def least_frames(self, num_symbols: int) -> int:
        """How long speech of so many symbols must be."""
        return int(self.min_frames_per_symbol * num_symbols)

    def most_frames(self, num_symbols: int) -> int:
        """How long it may become."""
        return int(self.max_frames_per_symbol * num_symbols + self.margin_frames)


@dataclass(frozen=True, kw_only=True)
class BundleConfig(SpeakerSettings):
    """What bundle.json holds beside its format."""

    frontend: FrontendConfig = field(default_factory=FrontendConfig)
    """Text to symbols."""
    acoustic_temperature: float = 0.0
    """How stage 2 draws; 0 takes the likeliest code."""
    expected_input: bool = False
    """Whether stage 2 takes the codes that come nearest to what it expects the decoder to hear,
    rather than the likeliest ones; for a model that was trained so."""
    use_prompt_units: bool = True
    """Whether stage 1 goes on from the prompt's phonemes and units; stage 2 always hears it."""
    length: LengthConfig = field(default_factory=LengthConfig)
    """Limits of stage 1."""
    prompt: PromptConfig = field(default_factory=PromptConfig)
    """How much of a voice is used."""
    fit: FitConfig = field(default_factory=FitConfig)
    """How a voice is fitted to its prompt, where stage 2 can be told the outcome."""
    blocks: BlockSchedule = field(default_factory=BlockSchedule)
    """How stage 2 is cut for streaming."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.acoustic_temperature >= 0:
            raise ConfigError(
                f"acoustic_temperature must be 0 or more, but is {self.acoustic_temperature}"
            )
