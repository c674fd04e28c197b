"""GenSE's language model and its table of stages (Yao et al. 2025).

    noise to semantic     noisy units                           -> clean units
    semantic to speech    noisy units, clean units, noisy codes -> clean codes

The noisy codes are the prompt that tells the voice. Both stages may be one model or two.
"""

from typing import ClassVar

from uslm.generate.cascade import Stage
from uslm.models.span_lm import SpanLM, SpanLMConfig, TokenKind

NOISY_UNITS, CLEAN_UNITS = "noisy units", "clean units"
NOISY_CODES, CLEAN_CODES = "noisy codes", "clean codes"


class GenseLM(SpanLM):
    """One of GenSE's two language models: which, its kinds say."""

    model_type: ClassVar[str] = "gense_lm"

    @classmethod
    def tiny_config(cls) -> SpanLMConfig:
        kinds = kinds_of(num_units=32, unit_rate=50.0, num_codes=16, code_rate=50.0)
        return SpanLMConfig(kinds=kinds, dim=32, num_heads=2, num_layers=2, dropout=0.0)


def kinds_of(
    *, num_units: int, unit_rate: float, num_codes: int = 0, code_rate: float = 0.0
) -> tuple[TokenKind, ...]:
    """The kinds of the second stage; without codes, of the first. Rates are in Hz."""
    made = [
        TokenKind(name=name, size=num_units, rate=unit_rate) for name in (NOISY_UNITS, CLEAN_UNITS)
    ]
    if num_codes:
        made += [
            TokenKind(name=name, size=num_codes, rate=code_rate)
            for name in (NOISY_CODES, CLEAN_CODES)
        ]
    return tuple(made)


def first_stage(model: GenseLM) -> Stage:
    """Noise to semantic."""
    return Stage(model=model, reads=(NOISY_UNITS,), writes=CLEAN_UNITS, lasts_as=NOISY_UNITS)


def second_stage(model: GenseLM) -> Stage:
    """Semantic to speech."""
    return Stage(
        model=model,
        reads=(NOISY_UNITS, CLEAN_UNITS, NOISY_CODES),
        writes=CLEAN_CODES,
        lasts_as=CLEAN_UNITS,
        optional=(NOISY_CODES,),
    )
