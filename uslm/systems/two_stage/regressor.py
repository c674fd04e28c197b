"""Stage 2 without classes: it predicts the decoder's input, and the codes follow.

One row is text (optional), then the prompt's frames, then the frames to fill:

    text | prompt: whole | context: whole, target: units only
           <- before zero -> <- utterance positions from zero ->

Each frame's prediction is a sum: what it *copies* from the frames that are known, by attention
over their codes' own vectors, and what the transformer adds. Copy attention is what clones a voice
with little training: from the first step the prediction is in the prompt's voice, and attention has
only to learn which of the prompt's frames sound alike (as kNN-VC does without training; Baas et
al. 2023). The codes are those whose vectors add up to nearly the prediction.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, cast

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from uslm.models.base import AcousticBatch, AcousticRow, VectorModel, batch_rows
from uslm_tokenizer.nn.transformer import Transformer


@dataclass(frozen=True, kw_only=True)
class AcousticRegressorConfig:
    """Sizes of an AcousticRegressor."""

    text_vocab_size: int = 53
    """Text ids run from 0 to this, exclusive."""
    num_codebooks: int = 8
    """Codes in one frame; codebook 0 is the unit."""
    codebook_size: int = 1024
    """Entries of each codebook."""
    vector_dim: int = 256
    """Width of the decoder's input."""
    dim: int = 256
    """Width of the transformer."""
    num_heads: int = 4
    """Attention heads of each layer, and ways to copy."""
    num_layers: int = 8
    """Layers."""
    dropout: float = 0.0
    """Share of activations dropped in training."""
    frames_per_symbol: float = 3.4
    """Utterance positions that one text symbol counts for."""
    condition_on_alignment: bool = False
    """Whether each frame is told which symbol is spoken in it, where that is known."""


class AcousticRegressor(VectorModel):
    """Units and a voice -> the decoder's input, and so the codes of all codebooks."""

    model_type: ClassVar[str] = "acoustic_regressor"
    config_class: ClassVar[type] = AcousticRegressorConfig
    config: AcousticRegressorConfig
    mean: Tensor
    scale: Tensor

    def __init__(self, config: AcousticRegressorConfig) -> None:
        super().__init__(config)
        dim, width = config.dim, config.vector_dim
        codebooks = config.num_codebooks - 1
        self.register_buffer("vectors", torch.randn(codebooks, config.codebook_size, width))
        # Of the decoder's input, less the units' part, over speech.
        self.register_buffer("mean", torch.zeros(width))
        self.register_buffer("scale", torch.ones(()))
        self.text_embedding = nn.Embedding(config.text_vocab_size, dim)
        self.unit_embedding = nn.Embedding(config.codebook_size, dim)
        self.kind_embedding = nn.Embedding(3, dim)  # text, known frame, frame to fill
        # Row 0: not known. Zeros at first: the units speak before the symbols do.
        self.spoken_embedding = (
            nn.Embedding(config.text_vocab_size + 1, dim) if config.condition_on_alignment else None
        )
        self.from_vector = nn.Linear(width, dim, bias=False)
        self.transformer = Transformer(
            dim, config.num_heads, config.num_layers, dropout=config.dropout
        )
        self.to_vector = nn.Linear(dim, width)
        self.copy_attention = CopyAttention(dim, width, config.num_heads)
        for table in (self.text_embedding, self.unit_embedding, self.kind_embedding):
            nn.init.normal_(table.weight, std=0.02)
        if self.spoken_embedding is not None:
            nn.init.zeros_(self.spoken_embedding.weight)
        nn.init.zeros_(self.to_vector.weight)
        nn.init.zeros_(self.to_vector.bias)

    @property
    def num_codebooks(self) -> int:
        return self.config.num_codebooks

    @classmethod
    def tiny_config(cls) -> AcousticRegressorConfig:
        return AcousticRegressorConfig(
            num_codebooks=4,
            codebook_size=32,
            vector_dim=24,
            dim=32,
            num_heads=2,
            num_layers=2,
            condition_on_alignment=True,
        )

    @torch.no_grad()
    def learn_vectors(
        self, vectors: Float[Tensor, "codebooks v e"], codes: Sequence[Int[Tensor, "k _"]]
    ) -> None:
        """Take over the codec's vectors (`UnitCodec.codebook_vectors`), and from the codes of some
        speech where they lie and how far they spread."""
        self.vectors.copy_(vectors)
        known_latents = torch.cat(
            [self._sum_of_vectors(each[None].to(self.device))[0] for each in codes]
        )
        self.mean.copy_(known_latents.mean(dim=0))
        self.scale.copy_(known_latents.std(dim=0).mean())

    def batch(self, rows: Sequence[AcousticRow]) -> AcousticBatch:
        return batch_rows(rows, self.device)

    def forward(self, batch: AcousticBatch, num_known: Int[Tensor, " b"]) -> Float[Tensor, "b t e"]:
        """The predicted input of each frame; of frames to fill, only the unit is looked at."""
        known = batch.frame_mask & ~batch.is_target
        known_latents = (
            (self._sum_of_vectors(batch.codes) - self.mean) / self.scale * known[..., None]
        )
        seen = self.from_vector(known_latents.to(self.from_vector.weight.dtype))
        frames = self.unit_embedding(batch.codes[:, 0]) + seen
        frames = frames + self.kind_embedding(1 + batch.is_target.long())
        if self.spoken_embedding is not None:
            frames = frames + self.spoken_embedding(batch.spoken_ids + 1)
        text = self.text_embedding(batch.text_ids) + self.kind_embedding.weight[0]
        text_positions = batch.symbol_positions() * self.config.frames_per_symbol
        hidden = self.transformer(
            torch.cat([text, frames], dim=1),
            torch.cat([text_positions, batch.positions], dim=1),
            mask=batch.in_sight()[:, None],
        )[:, batch.text_ids.shape[1] :]
        copied = self.copy_attention(hidden, known_latents, batch.frames_in_sight(known))
        predicted = self.to_vector(hidden) + copied
        return cast(Tensor, predicted.float() * self.scale + self.mean)

    def loss(
        self, batch: AcousticBatch, predicted: Float[Tensor, "b t e"] | None = None
    ) -> Float[Tensor, ""]:
        """Squared error of the predicted input, as a share of the input's variance."""
        if predicted is None:
            predicted = self(batch, torch.ones_like(batch.codes[:, 0, 0]))
        wanted = self._sum_of_vectors(batch.codes)[batch.is_target]
        return F.mse_loss(predicted[batch.is_target], wanted) / self.scale.square()

    def _sum_of_vectors(self, codes: Int[Tensor, "b k t"]) -> Float[Tensor, "b t e"]:
        total = F.embedding(codes[:, 1], self.vectors[0])
        for codebook in range(2, self.num_codebooks):
            total = total + F.embedding(codes[:, codebook], self.vectors[codebook - 1])
        return total.float()


class CopyAttention(nn.Module):
    """Attention of each frame over the known frames, whose values are their vectors, unprojected.

    Every head mixes whole vectors; `share` weighs the heads for each channel. At first all of
    them give the mean of the known frames. `null_key` goes with a value of zeros: a frame that
    attends to it copies nothing, as it must where nothing is known.
    """

    def __init__(self, dim: int, vector_dim: int, num_heads: int) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.query = nn.Linear(dim, dim, bias=False)
        self.key = nn.Linear(dim, dim, bias=False)
        self.null_key = nn.Parameter(torch.zeros(num_heads, dim // num_heads))
        self.share = nn.Parameter(torch.full((num_heads, vector_dim), 1 / num_heads))

    def forward(
        self,
        hidden: Float[Tensor, "b t d"],
        vectors: Float[Tensor, "b s e"],
        known: Bool[Tensor, "b #t s"],
        memory: Float[Tensor, "b s d"] | None = None,
    ) -> Float[Tensor, "b t e"]:
        """`vectors` are read only where they are known to a frame. They are those of the frames
        themselves, or of others, whose hidden states are `memory`."""
        # h heads of width c = d / h; s + 1 keys, the null key first.
        size = (self.num_heads, -1)
        query = self.query(hidden).unflatten(-1, size).transpose(1, 2)  # [b, h, t, c]
        key = self.key(hidden if memory is None else memory).unflatten(-1, size).transpose(1, 2)
        null_key = self.null_key.to(key.dtype)[None, :, None].expand(len(key), -1, -1, -1)
        key = torch.cat([null_key, key], dim=2)  # [b, h, s + 1, c]
        # One value for all heads: a projection would have to learn the codec's space anew, and
        # a mixture of true latents is already what the decoder was trained on.
        value = F.pad(vectors, (0, 0, 1, 0)).to(key.dtype)[:, None]  # [b, 1, s + 1, e]
        # The null key is always open, so no row of the softmax is empty (NaN).
        mask = F.pad(known, (1, 0), value=True)[:, None]  # [b, 1, t or 1, s + 1]
        scores = (query @ key.transpose(-1, -2)) * query.shape[-1] ** -0.5  # [b, h, t, s + 1]
        # In float32: under bfloat16 autocast a long prompt's weights would not sum to one.
        weights = scores.float().masked_fill(~mask, float("-inf")).softmax(dim=-1)
        mixed = weights.to(key.dtype) @ value  # [b, h, t, e]
        return cast(Tensor, (mixed * self.share.to(key.dtype)[:, None]).sum(dim=1))
