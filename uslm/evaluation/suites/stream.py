"""The stream as a language model meets it: how well the next token can be told, and what it costs.

A small causal network of fixed budget predicts each codebook of a frame from the frames before.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from uslm.evaluation.suites.encoded import EncodedSet
from uslm.evaluation.suites.probe import Batch, ProbeConfig, ordered_batches, shuffled_batches


@dataclass(frozen=True, kw_only=True)
class Predictability:
    """Of each test utterance, nats over all codebooks; divide by the frames."""

    cross_entropy: tuple[float, ...]
    """Under the language model."""
    unigram: tuple[float, ...]
    """Under the frequencies of single codes in training: what knowing no order costs."""
    frames: tuple[int, ...]


class CausalProbe(nn.Module):
    """Codes -> scores of each codebook of the next frame."""

    def __init__(self, config: ProbeConfig, num_codebooks: int, codebook_size: int) -> None:
        super().__init__()
        self.embeddings = nn.ModuleList(
            nn.Embedding(codebook_size, config.dim) for _ in range(num_codebooks)
        )
        self.reach = config.kernel_size - 1
        self.convolutions = nn.ModuleList(
            nn.Conv1d(config.dim, config.dim, config.kernel_size) for _ in range(config.num_layers)
        )
        self.norm = nn.LayerNorm(config.dim)
        self.heads = nn.ModuleList(
            nn.Linear(config.dim, codebook_size) for _ in range(num_codebooks)
        )

    def forward(self, codes: Int[Tensor, "b k t"]) -> Float[Tensor, "b k t v"]:
        """Frame i of the scores has seen the frames before i."""
        rows = [
            table(codebook)
            for table, codebook in zip(self.embeddings, codes.unbind(1), strict=True)
        ]
        x = F.pad(torch.stack(rows).sum(0).transpose(1, 2), (1, -1))
        for convolution in self.convolutions:
            x = x + F.gelu(convolution(F.pad(x, (self.reach, 0))))
        hidden = self.norm(x.transpose(1, 2))
        return torch.stack([head(hidden) for head in self.heads], 1)


def predict_stream(encoded: EncodedSet, config: ProbeConfig, *, seed: int) -> Predictability:
    """Train the language model on the train part and measure it on the test part."""
    train = [row.codes for row in encoded.train]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = CausalProbe(config, encoded.num_codebooks, encoded.codebook_size)
    optimizer = torch.optim.Adam(model.parameters(), config.learning_rate)
    draw = torch.Generator().manual_seed(seed)
    for batch in shuffled_batches(train, config, draw):
        optimizer.zero_grad()
        losses = _nats(model(batch.codes), batch)
        (losses.sum() / (batch.mask.sum() * encoded.num_codebooks)).backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
    model.eval()
    unigram = _unigram(train, encoded)
    cross_entropy, flat = [], []
    with torch.no_grad():
        for batch in ordered_batches([row.codes for row in encoded.test], config.batch_size):
            cross_entropy += _nats(model(batch.codes), batch).tolist()
            scores = unigram[None, :, None].expand(*batch.codes.shape, -1)
            flat += _nats(scores, batch).tolist()
    return Predictability(
        cross_entropy=tuple(cross_entropy),
        unigram=tuple(flat),
        frames=tuple(row.codes.shape[1] for row in encoded.test),
    )


def bits_per_second(nats_per_frame: float, frame_rate: float) -> float:
    """Bit rate of an ideal coder with this model."""
    return nats_per_frame / math.log(2) * frame_rate


def _nats(scores: Float[Tensor, "b k t v"], batch: Batch) -> Float[Tensor, " b"]:
    """Summed over the codebooks and the frames of each row."""
    each = F.cross_entropy(scores.permute(0, 3, 1, 2), batch.codes, reduction="none")
    return (each * batch.mask[:, None]).sum((1, 2))


def _unigram(codes: Sequence[Int[Tensor, "k _"]], encoded: EncodedSet) -> Float[Tensor, "k v"]:
    """Log frequencies, each code counted once more than it was seen."""
    together = torch.cat(list(codes), 1)
    counts = torch.stack(
        [torch.bincount(codebook, minlength=encoded.codebook_size) for codebook in together]
    )
    return ((counts + 1).float() / (counts + 1).sum(1, keepdim=True)).log()
