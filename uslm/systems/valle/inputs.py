"""Inputs of the transformers of VALL-E: embeddings, optional prenets, sine positions."""

from typing import cast

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from uslm_tokenizer.nn.relu_transformer import SinePositions

PRENET_DIM = 256


class TextInput(nn.Module):
    """Text ids -> vectors that know their symbol, their neighbours (with a prenet) and place."""

    def __init__(
        self,
        num_ids: int,
        dim: int,
        *,
        prenet: bool = False,
        sees_padding: bool = False,
        dropout: float = 0.0,
        learnt_positions: bool = True,
    ) -> None:
        """With `sees_padding` the prenet takes padding for symbols."""
        super().__init__()
        self.sees_padding = sees_padding
        self.embedding = nn.Embedding(num_ids, dim)
        self.prenet = TextPrenet(dim) if prenet else None
        self.positions = SinePositions(dim, dropout, learnt=learnt_positions)

    def forward(
        self, text_ids: Int[Tensor, "b s"], mask: Bool[Tensor, "b s"]
    ) -> Float[Tensor, "b s d"]:
        """`mask` is False in padding, which is at the right."""
        x = self.embedding(text_ids)
        if self.prenet is not None and x.shape[1]:
            x = self.prenet(x, None if self.sees_padding else mask)
        places = torch.arange(x.shape[1], device=x.device)[None]
        return cast(Tensor, self.positions(x, places))


class TextPrenet(nn.Module):
    """Three convolutions over five symbols each, then a projection."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.convs = nn.ModuleList(
            nn.Sequential(
                nn.Conv1d(dim, dim, 5, padding="same"),
                nn.BatchNorm1d(dim),
                nn.ReLU(),
                nn.Dropout(0.5),
            )
            for _ in range(3)
        )
        self.out = nn.Linear(dim, dim)

    def forward(
        self, x: Float[Tensor, "b s d"], mask: Bool[Tensor, "b s"] | None
    ) -> Float[Tensor, "b s d"]:
        """`mask` is False in padding, which is then not seen."""
        x = x.transpose(1, 2)
        for conv in self.convs:
            if mask is not None:
                x = x.masked_fill(~mask[:, None], 0.0)
            x = conv(x)
        return cast(Tensor, self.out(x.transpose(1, 2)))


class AudioPrenet(nn.Sequential):
    """Three layers, frame by frame."""

    def __init__(self, dim: int) -> None:
        super().__init__(
            nn.Linear(dim, PRENET_DIM),
            nn.ReLU(),
            nn.Dropout(0.25),
            nn.Linear(PRENET_DIM, PRENET_DIM),
            nn.ReLU(),
            nn.Dropout(0.25),
            nn.Linear(PRENET_DIM, dim),
        )
