"""Rows of clean speech beside the same damaged, as the tokens of both."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from uslm_recipes.data.augment.damage import DamageConfig, damaged
from uslm_recipes.data.corpus import Corpus
from uslm_tokenizer.base import AudioTokenizer
from uslm_tokenizer.nn.padding import pad_right


@dataclass(frozen=True)
class Pair:
    """A stretch of an utterance, clean and damaged."""

    clean: Float[Tensor, " n"]
    noisy: Float[Tensor, " n"]


@dataclass(frozen=True)
class NoisyRows:
    """Stretches of a corpus, damaged on the fly."""

    corpus: Corpus
    damage: DamageConfig
    max_seconds: float
    """Longest stretch."""

    def pair(self, index: int, random: np.random.Generator) -> Pair:
        """A stretch of an utterance, drawn; babble is another utterance."""
        rate, total = self.corpus.sample_rate, int(self.corpus.num_samples[index])
        length = min(total, round(self.max_seconds * rate))
        start = int(random.integers(0, total - length + 1))
        clean = self.corpus.waveform(index, start, start + length)
        other = int(random.integers(len(self.corpus)))
        babble = self.corpus.waveform(other).numpy()
        noisy = damaged(clean.numpy(), rate, self.damage, random, babble)
        return Pair(clean, torch.from_numpy(noisy))


@torch.no_grad()
def tokens_of(
    tokenizer: AudioTokenizer, waveforms: Sequence[Float[Tensor, " _"]]
) -> list[Int[Tensor, " _"]]:
    """The first codes of each waveform alone, on the CPU: padding changes none."""
    padded, mask = pad_right(list(waveforms))
    lengths = mask.sum(dim=1)
    codes = tokenizer.encode(padded[:, None].to(tokenizer.device), lengths)[:, 0].cpu()
    hop = tokenizer.hop_length
    return [row[: -(-int(n) // hop)] for row, n in zip(codes, lengths, strict=True)]
