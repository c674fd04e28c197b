"""Stage 1: a decoder-only language model that reads phonemes and speaks units.

One row is a single sequence, the prompt optional:

    prompt text | text END   BOS prompt units, units END
    <- text positions ->     <-- audio positions -->

Text and audio each count their positions from zero; a phoneme is worth `frames_per_symbol` of
them, so both streams run in step and attention finds its place by distance.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, cast

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from uslm.models.teacher_forcing import NOT_PREDICTED, TeacherForced
from uslm.systems.two_stage.special_tokens import SpecialTokenLM
from uslm_tokenizer.nn.attention import KVCache
from uslm_tokenizer.nn.padding import pad_left, pad_right
from uslm_tokenizer.nn.transformer import Transformer


@dataclass(frozen=True, kw_only=True)
class SemanticLMConfig:
    """Sizes of a SemanticLM."""

    text_vocab_size: int = 53
    """Text ids run from 0 to this, exclusive; two more are added for the separator and the end."""
    codebook_size: int = 1024
    """Number of different units."""
    dim: int = 320
    """Width of the transformer."""
    num_heads: int = 5
    """Attention heads of each layer."""
    num_layers: int = 8
    """Layers."""
    dropout: float = 0.1
    """Share of activations dropped in training."""
    frames_per_symbol: float = 3.4
    """Audio positions that one text symbol counts for; about its length in frames."""


@dataclass
class SemanticBatch(TeacherForced):
    """Text, then units."""

    tokens: Int[Tensor, "b l"]
    """Text ids where `is_audio` is False, units (or the BOS token) where it is True."""
    is_audio: Bool[Tensor, "b l"]
    positions: Float[Tensor, "b l"]
    targets: Int[Tensor, "b l"]
    """The unit that follows, or NOT_PREDICTED."""


class SemanticLM(SpecialTokenLM):
    """Phonemes (and a prompt) -> units."""

    model_type: ClassVar[str] = "semantic_lm"
    config_class: ClassVar[type] = SemanticLMConfig
    config: SemanticLMConfig

    def __init__(self, config: SemanticLMConfig) -> None:
        super().__init__(config)
        self.text_embedding = nn.Embedding(config.text_vocab_size + 2, config.dim)
        self.unit_embedding = nn.Embedding(config.codebook_size + 1, config.dim)
        self.stream_embedding = nn.Embedding(2, config.dim)
        self.transformer = Transformer(
            config.dim, config.num_heads, config.num_layers, dropout=config.dropout
        )
        self.to_logits = nn.Linear(config.dim, config.codebook_size + 1, bias=False)
        self.apply(_initialize)

    @classmethod
    def tiny_config(cls) -> SemanticLMConfig:
        return SemanticLMConfig(codebook_size=32, dim=32, num_heads=2, num_layers=2, dropout=0.0)

    def forward(self, batch: SemanticBatch) -> Float[Tensor, "b l v"]:
        """Logits at every position of a training batch."""
        x = self._embed(batch.tokens, batch.is_audio)
        hidden = self.transformer(x, batch.positions, causal=True)
        return cast(Tensor, self.to_logits(hidden))

    def loss(self, batch: SemanticBatch) -> Float[Tensor, ""]:
        """Mean cross-entropy, nats a unit."""
        hidden = self.transformer(
            self._embed(batch.tokens, batch.is_audio), batch.positions, causal=True
        )
        predicted = batch.targets != NOT_PREDICTED
        logits = self.to_logits(hidden[predicted]).float()
        return F.cross_entropy(logits, batch.targets[predicted])

    def batch(
        self,
        text_ids: Sequence[Int[Tensor, " _"]],
        units: Sequence[Int[Tensor, " _"]],
        *,
        starts: Sequence[Int[Tensor, " _"]] | None = None,
        predict_from: Sequence[int] | None = None,
    ) -> SemanticBatch:
        rows = []
        for i, (text, row_units) in enumerate(zip(text_ids, units, strict=True)):
            tokens, is_audio, positions = self._row(text, row_units)
            targets = torch.full_like(tokens, NOT_PREDICTED)
            first = len(tokens) - len(row_units) - 1
            targets[first:-1] = row_units
            targets[-1] = self.bos_id
            if predict_from is not None:
                targets[first : first + predict_from[i]] = NOT_PREDICTED
            rows.append((tokens, is_audio, positions, targets))
        columns = [list(column) for column in zip(*rows, strict=True)]
        return SemanticBatch(
            tokens=pad_right(columns[0])[0],
            is_audio=pad_right(columns[1])[0],
            positions=pad_right(columns[2])[0],
            targets=pad_right(columns[3], NOT_PREDICTED)[0],
        )

    def new_cache(self, batch_size: int, capacity: int) -> KVCache:
        return self.transformer.new_cache(batch_size, capacity)

    @torch.no_grad()
    def prefill(
        self,
        text_ids: Sequence[Int[Tensor, " _"]],
        prompt_units: Sequence[Int[Tensor, " _"]],
        cache: KVCache,
    ) -> Float[Tensor, "b v"]:
        assert cache.length == 0
        rows = [self._row(text, units) for text, units in zip(text_ids, prompt_units, strict=True)]
        columns = [pad_left(column) for column in zip(*rows, strict=True)]
        tokens, is_audio, positions = (padded.to(self.device) for padded, _ in columns)
        valid = columns[0][1].to(self.device)
        x = self._embed(tokens, is_audio)
        hidden = self.transformer.extend(x, positions, cache, valid)
        cache.positions = positions[:, -1] + 1
        return cast(Tensor, self.to_logits(hidden[:, -1]).float())

    @torch.no_grad()
    def step(self, units: Int[Tensor, " b"], cache: KVCache) -> Float[Tensor, "b v"]:
        assert cache.positions is not None, "prefill comes before step"
        x = self.unit_embedding(units)[:, None] + self.stream_embedding.weight[1]
        hidden = self.transformer.extend(x, cache.positions[:, None], cache)
        cache.positions = cache.positions + 1
        return cast(Tensor, self.to_logits(hidden[:, 0]).float())

    def _row(
        self, text: Int[Tensor, " s"], units: Int[Tensor, " t"]
    ) -> tuple[Int[Tensor, " l"], Bool[Tensor, " l"], Float[Tensor, " l"]]:
        """Tokens, stream and positions of one row, on the CPU."""
        text, units = text.cpu(), units.cpu()
        tokens = torch.cat(
            [text, text.new_tensor([self.text_eos_id, self.bos_id]), units.to(text.dtype)]
        )
        num_text = len(text) + 1
        is_audio = torch.arange(len(tokens)) >= num_text
        positions = torch.cat(
            [
                torch.arange(num_text) * self.config.frames_per_symbol,
                torch.arange(len(units) + 1).float(),
            ]
        )
        return tokens, is_audio, positions

    def _embed(
        self, tokens: Int[Tensor, "b l"], is_audio: Bool[Tensor, "b l"]
    ) -> Float[Tensor, "b l d"]:
        text = self.text_embedding(tokens.masked_fill(is_audio, 0))
        audio = self.unit_embedding(tokens.masked_fill(~is_audio, 0))
        stream: Tensor = self.stream_embedding(is_audio.long())
        return torch.where(is_audio[..., None], audio, text) + stream


def _initialize(module: nn.Module) -> None:
    if isinstance(module, (nn.Linear, nn.Embedding)):
        nn.init.normal_(module.weight, std=0.02)
        if isinstance(module, nn.Linear) and module.bias is not None:
            nn.init.zeros_(module.bias)
