"""Judges of a tokenizer beside waveforms, and what it made of a batch.

Every objective is a module with the heads that it needs, and none knows another. An objective
that is a *judge* (CTC, a language model, a teacher) shapes the codes; what keeps them alive
(reconstruction, commitment, diversity) is none. The control "gradient cut" lets judges learn from
the codes and keeps the codes from learning from judges.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from typing import ClassVar, Literal, cast

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from uslm_tokenizer.nn.transformer import Transformer
from uslm_tokenizer.quantize.base import Quantized, Quantizer


@dataclass
class Tokenized:
    """Features, latents and codes that a tokenizer made of a batch."""

    features: Float[Tensor, "b t f"]
    """Of the speech encoder."""
    latents: Float[Tensor, "b d t"]
    """What was quantized."""
    quantized: Quantized
    quantizer: Quantizer
    mask: Bool[Tensor, "b t"]
    """True where a frame is real."""

    def cut(self) -> "Tokenized":
        """The same, from which no gradient flows back into the tokenizer."""
        return replace(
            self,
            features=self.features.detach(),
            latents=self.latents.detach(),
            quantized=replace(self.quantized, latents=self.quantized.latents.detach()),
        )


@dataclass
class Texts:
    """Texts of some rows of a batch."""

    rows: Int[Tensor, " u"]
    """The rows that have one."""
    ids: Int[Tensor, "u s"]
    lengths: Int[Tensor, " u"]

    def to(self, device: torch.device) -> "Texts":
        """The same on another device."""
        return Texts(**{name: part.to(device) for name, part in vars(self).items()})


@dataclass
class References:
    """References of a batch; an objective finds what it needs, or its configuration was
    refused before."""

    phonemes: Texts | None = None
    """Phoneme ids."""
    judge_texts: Texts | None = None
    """Texts in the tokens of the language model that judges."""
    teacher: Float[Tensor, "b t e"] | None = None
    """Features of another encoder."""

    def to(self, device: torch.device) -> "References":
        """The same on another device."""
        parts = vars(self).items()
        return References(**{n: None if part is None else part.to(device) for n, part in parts})


class UnitObjective(nn.Module, ABC):
    """A loss of one kind, with its heads."""

    is_judge: ClassVar[bool]
    counted: ClassVar[Literal["frames", "texts"]] = "frames"
    """What the loss is a mean over."""

    @abstractmethod
    def forward(self, made: Tokenized, references: References) -> Float[Tensor, ""]:
        """The mean loss of a batch."""


class UnitReader(nn.Module):
    """Reads quantized latents: a linear layer, or a transformer that sees both sides."""

    def __init__(
        self, in_dim: int, out_dim: int, *, dim: int, num_heads: int, num_layers: int
    ) -> None:
        super().__init__()
        self.inner = nn.Linear(in_dim, dim)
        self.transformer = Transformer(dim, num_heads, num_layers) if num_layers else None
        self.outer = nn.Linear(dim, out_dim)

    def forward(
        self, latents: Float[Tensor, "b d t"], mask: Bool[Tensor, "b t"]
    ) -> Float[Tensor, "b t o"]:
        x = self.inner(latents.transpose(1, 2).to(self.inner.weight.dtype))
        if self.transformer is not None:
            positions = torch.arange(x.shape[1], device=x.device).expand(len(x), -1)
            x = self.transformer(x, positions, mask=mask[:, None, None])
        return cast(Tensor, self.outer(x).float())
