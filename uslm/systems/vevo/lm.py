"""Stage 1 of Vevo: a LLaMA that reads phonemes, or units of content, and speaks units of style."""

from dataclasses import dataclass
from typing import ClassVar

from uslm.models.unit_llama import UnitLlama, UnitLlamaConfig


@dataclass(frozen=True, kw_only=True)
class VevoLMConfig(UnitLlamaConfig):
    """Sizes of a VevoLM."""


class VevoLM(UnitLlama):
    """Phonemes or content units (and a prompt) -> content-style units."""

    model_type: ClassVar[str] = "vevo_lm"
    config_class: ClassVar[type] = VevoLMConfig
    config: VevoLMConfig
