"""VALL-E and USLM as published: both stages in one checkpoint."""

from dataclasses import dataclass, field
from typing import ClassVar

from uslm.systems.valle.ar import ValleAR, ValleARConfig
from uslm.systems.valle.nar import ValleNAR, ValleNARConfig
from uslm_tokenizer.hub import PretrainedModel


@dataclass(frozen=True, kw_only=True)
class ValleConfig:
    """Sizes of both stages."""

    ar: ValleARConfig = field(default_factory=ValleARConfig)
    """Stage 1."""
    nar: ValleNARConfig = field(default_factory=ValleNARConfig)
    """Stage 2."""


class Valle(PretrainedModel):
    """Text and a voice -> codes."""

    model_type: ClassVar[str] = "valle"
    config_class: ClassVar[type] = ValleConfig
    config: ValleConfig

    def __init__(self, config: ValleConfig) -> None:
        super().__init__(config)
        self.ar = ValleAR(config.ar)
        self.nar = ValleNAR(config.nar)

    @classmethod
    def tiny_config(cls) -> ValleConfig:
        """A config that builds in milliseconds, for tests and examples."""
        return ValleConfig(ar=ValleAR.tiny_config(), nar=ValleNAR.tiny_config())
