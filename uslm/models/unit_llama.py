"""A LLaMA that reads symbols, and speaks units: stage 1 of Vevo, and of MeLoDy.

One row is a single sequence; a prompt's symbols come before those of the text, without a mark:

    BEGIN prompt symbols, symbols END   START prompt units, units STOP

Units, symbols and special tokens share one table of ids, in this order.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, cast

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from uslm.models.base import SemanticModel
from uslm.models.teacher_forcing import NOT_PREDICTED, TeacherForced
from uslm_tokenizer.nn.attention import SLOT_STEP, KVCache
from uslm_tokenizer.nn.llama import Llama
from uslm_tokenizer.nn.padding import pad_left, pad_right

MARKS = 20
"""Ids after units and symbols; five are in use."""


@dataclass(frozen=True, kw_only=True)
class UnitLlamaConfig:
    """Sizes of a UnitLlama; the defaults are Vevo's."""

    text_vocab_size: int = 1024
    """Symbols that are read; content units, where they are read as well, come after the text's."""
    codebook_size: int = 8192
    """Units that are spoken."""
    dim: int = 1920
    """Width of the transformer."""
    hidden_dim: int = 7680
    """Width inside the feed-forward layers."""
    num_heads: int = 16
    """Attention heads of each layer."""
    num_layers: int = 12
    """Layers."""

    @property
    def num_ids(self) -> int:
        """Ids of units, symbols and special tokens."""
        return self.codebook_size + self.text_vocab_size + MARKS


@dataclass
class UnitLlamaBatch(TeacherForced):
    """Symbols and units in one table of ids."""

    tokens: Int[Tensor, "b l"]
    targets: Int[Tensor, "b l"]
    """The id that follows, or NOT_PREDICTED."""


class UnitLlama(SemanticModel):
    """Symbols (and a prompt) -> units. A system gives it its name."""

    config_class: ClassVar[type] = UnitLlamaConfig
    config: UnitLlamaConfig

    def __init__(self, config: UnitLlamaConfig) -> None:
        super().__init__(config)
        self.embedding = nn.Embedding(config.num_ids, config.dim)
        self.transformer = Llama(
            config.dim, config.num_heads, config.num_layers, hidden_dim=config.hidden_dim
        )
        self.to_logits = nn.Linear(config.dim, config.num_ids, bias=False)
        self.apply(_initialize)
        first = config.codebook_size + config.text_vocab_size
        self.pad_id, self.text_bos_id, self.text_eos_id, self.bos_id, self.eos_id = range(
            first, first + 5
        )

    @property
    def codebook_size(self) -> int:
        return self.config.codebook_size

    @property
    def separator_id(self) -> int:
        """An unused mark: the pretrained models were trained without any."""
        return self.config.text_vocab_size + 5

    @classmethod
    def tiny_config(cls) -> Any:
        return cls.config_class(
            text_vocab_size=64, codebook_size=32, dim=32, hidden_dim=64, num_heads=2, num_layers=2
        )

    def forward(self, tokens: Int[Tensor, "b l"]) -> Float[Tensor, "b l v"]:
        """Logits of every id after every token of whole rows; padding stands at the right."""
        return cast(Tensor, self.to_logits(self._hidden(tokens)))

    def loss(self, batch: UnitLlamaBatch) -> Float[Tensor, ""]:
        """Mean cross-entropy, nats a unit (the marks in front of and after them included)."""
        predicted = batch.targets != NOT_PREDICTED
        logits = self.to_logits(self._hidden(batch.tokens)[predicted]).float()
        return F.cross_entropy(logits, batch.targets[predicted])

    def batch(
        self,
        text_ids: Sequence[Int[Tensor, " _"]],
        units: Sequence[Int[Tensor, " _"]],
        *,
        starts: Sequence[Int[Tensor, " _"]] | None = None,
        predict_from: Sequence[int] | None = None,
    ) -> UnitLlamaBatch:
        tokens, targets = [], []
        for i, (text, row_units) in enumerate(zip(text_ids, units, strict=True)):
            row = torch.cat([self._row(text, row_units), torch.tensor([self.eos_id])])
            target = row[1:].clone()
            # START is predicted too, from the end of the text, as in the published training.
            known = len(text) + 1 + (1 + predict_from[i] if predict_from and predict_from[i] else 0)
            target[:known] = NOT_PREDICTED
            tokens.append(row[:-1])
            targets.append(target)
        return UnitLlamaBatch(
            tokens=pad_right(tokens, self.pad_id)[0], targets=pad_right(targets, NOT_PREDICTED)[0]
        )

    def new_cache(self, batch_size: int, capacity: int) -> KVCache:
        # Callers leave room for two marks; here there are three.
        return self.transformer.new_cache(batch_size, capacity + 1)

    def new_slots(self, num_slots: int) -> KVCache:
        cache = self.transformer.new_cache(num_slots, SLOT_STEP)
        cache.open_slots()
        return cache

    @torch.no_grad()
    def prefill(
        self,
        text_ids: Sequence[Int[Tensor, " _"]],
        prompt_units: Sequence[Int[Tensor, " _"]],
        cache: KVCache,
    ) -> Float[Tensor, "b v"]:
        assert cache.length == 0
        rows = [self._row(text, units) for text, units in zip(text_ids, prompt_units, strict=True)]
        tokens, valid = (part.to(self.device) for part in pad_left(rows, self.pad_id))
        positions = (valid.cumsum(dim=1) - 1).clamp(min=0)
        hidden = self.transformer.extend(self.embedding(tokens), positions, cache, valid)
        cache.positions = positions[:, -1].float() + 1
        return self._unit_logits(hidden[:, -1])

    @torch.no_grad()
    def step(self, units: Int[Tensor, " b"], cache: KVCache) -> Float[Tensor, "b v"]:
        assert cache.positions is not None, "prefill comes before step"
        x = self.embedding(units)[:, None]
        hidden = self.transformer.extend(x, cache.positions[:, None], cache)
        cache.positions = cache.positions + 1
        return self._unit_logits(hidden[:, 0])

    def _unit_logits(self, hidden: Float[Tensor, "b d"]) -> Float[Tensor, "b v"]:
        """Of the units and STOP alone: nothing else may be spoken, as the published code allows."""
        weight = self.to_logits.weight
        spoken = F.linear(hidden, weight[: self.codebook_size])
        # Not a product of matrices: with a single column, a kernel may add up each row otherwise.
        stop = (hidden * weight[self.eos_id]).sum(dim=-1, keepdim=True)
        return torch.cat([spoken, stop], dim=1).float()

    def _hidden(self, tokens: Int[Tensor, "b l"]) -> Float[Tensor, "b l d"]:
        positions = torch.arange(tokens.shape[1], device=tokens.device).expand(len(tokens), -1)
        x = self.embedding(tokens)
        return cast(Tensor, self.transformer(x, positions, causal=True))

    def _row(self, text: Int[Tensor, " s"], units: Int[Tensor, " t"]) -> Int[Tensor, " l"]:
        """Ids of one row, on the CPU, from BEGIN to the last unit."""
        special = torch.tensor([self.text_bos_id, self.text_eos_id, self.bos_id])
        symbols = text.cpu().long() + self.codebook_size
        return torch.cat([special[:1], symbols, special[1:], units.cpu().long()])


def _initialize(module: nn.Module) -> None:
    if isinstance(module, (nn.Linear, nn.Embedding)):
        nn.init.normal_(module.weight, std=0.02)
