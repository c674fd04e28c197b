"""DualSpeechLM's acoustic decoder and the chain of its condition.

    speaker's vector, text of the answer, its units -> its codes

The text reaches it in bytes (UTF-8): so it depends on no language model's vocabulary. Units, or the
text, may be missing: it is trained on both and on each alone, in equal parts, as published.
"""

from typing import ClassVar

import torch
from jaxtyping import Int
from torch import Tensor

from uslm.generate.cascade import Stage
from uslm.models.span_lm import SpanLM, SpanLMConfig, TokenKind

SPEAKER, TEXT, UNITS, CODES = "speaker", "text bytes", "units", "codes"


class DualDecoder(SpanLM):
    """Writes acoustic codes of an answer."""

    model_type: ClassVar[str] = "dual_decoder"

    @classmethod
    def tiny_config(cls) -> SpanLMConfig:
        kinds = kinds_of(speaker_dim=6, num_units=16, unit_rate=50.0, num_codes=24, code_rate=100.0)
        return SpanLMConfig(kinds=kinds, dim=32, num_heads=2, num_layers=2, dropout=0.0)


def kinds_of(
    *, speaker_dim: int, num_units: int, unit_rate: float, num_codes: int, code_rate: float
) -> tuple[TokenKind, ...]:
    """The kinds of the decoder. Rates are in Hz."""
    return (
        TokenKind(name=SPEAKER, size=1, dim=speaker_dim),
        TokenKind(name=TEXT, size=256),
        TokenKind(name=UNITS, size=num_units, rate=unit_rate),
        TokenKind(name=CODES, size=num_codes, rate=code_rate),
    )


def text_bytes(text: str) -> Int[Tensor, " n"]:
    """A text as the decoder reads it."""
    return torch.tensor(list(text.encode()), dtype=torch.long)


def decoder_stage(model: DualDecoder) -> Stage:
    """Units to codes, as many as the units last."""
    return Stage(
        model=model,
        reads=(SPEAKER, TEXT, UNITS),
        writes=CODES,
        lasts_as=UNITS,
        optional=(TEXT,),
    )
