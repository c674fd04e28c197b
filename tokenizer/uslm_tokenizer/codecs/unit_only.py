"""Tokenizers of what is spoken: their codes hold no voice that could be decoded."""

from typing import ClassVar

from jaxtyping import Float, Int
from torch import Tensor

from uslm_tokenizer.base import AudioTokenizer
from uslm_tokenizer.errors import UserError


class UnitOnlyTokenizer(AudioTokenizer):
    """Waveform -> units."""

    can_decode: ClassVar[bool] = False

    def decode(self, codes: Int[Tensor, "b k t"]) -> Float[Tensor, "b 1 n"]:
        raise UserError(
            "units say what is spoken, not in whose voice; a waveform needs an acoustic tokenizer"
        )
