"""Contents of bundle.json: how a model of ours is put together and used."""

from dataclasses import dataclass, field
from typing import Literal

from uslm.generate.length import LengthConfig
from uslm.synthesis.protocols import SynthesizerSettings
from uslm.systems.two_stage.blocks import BlockSchedule
from uslm.systems.two_stage.voice_fitting import FitConfig
from uslm.voices.prompt import PromptConfig
from uslm_tokenizer.errors import ConfigError


@dataclass(frozen=True, kw_only=True)
class FrontendConfig:
    """From text to what stage 1 reads."""

    vocab: Literal["phonemes", "sentencepiece"] = "phonemes"
    """`phonemes`: espeak's symbols; `sentencepiece`: subwords, from `text.model`."""
    normalize: bool = True
    """Whether numbers, dates and the like become words first (English)."""


@dataclass(frozen=True, kw_only=True)
class BundleConfig(SynthesizerSettings):
    """Contents of bundle.json beside its format."""

    frontend: FrontendConfig = field(default_factory=FrontendConfig)
    """Text to symbols."""
    acoustic_temperature: float = 0.0
    """How stage 2 draws; 0 takes the likeliest code."""
    expected_latents: bool = False
    """Whether stage 2 takes the codes nearest to the input that it expects of the decoder,
    rather than the likeliest ones; for a model that was trained so."""
    use_prompt_units: bool = True
    """Whether stage 1 goes on from the prompt's phonemes and units; stage 2 always sees it."""
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
