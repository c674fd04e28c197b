"""A probe of fixed budget: what can be read off frozen tokens by a small network in a few steps.

The embeddings of the codes begin at zero. So every code starts out alike, and training treats them
alike. Codes are numbered in the order in which the training utterances first have them: a codebook
whose entries are in another order gives the very same probe. (Without that it gives another one in
the end: the norm that gradients are clipped by is added up in another order, and training makes
much of a rounding error.)
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from uslm_tokenizer.nn.padding import length_mask, pad_right
from uslm_tokenizer.sequence.compress import Compressed, restore

Compressor = Callable[[Float[Tensor, "b t d"], Int[Tensor, "b k t"], Int[Tensor, " b"]], Compressed]
"""Vectors, the codes they embed, and lengths -> fewer vectors, with what each stands for."""


@dataclass(frozen=True, kw_only=True)
class ProbeConfig:
    """The budget, equal for all that are compared."""

    dim: int = 96
    """Width."""
    kernel_size: int = 5
    """Frames that each of the convolutions sees."""
    num_layers: int = 2
    """Convolutions."""
    steps: int = 300
    """Training steps."""
    batch_size: int = 16
    """Utterances in a batch."""
    learning_rate: float = 4e-3
    """Highest rate; it falls to zero over the steps."""


class TokenProbe(nn.Module):
    """Codes -> scores of each class, for each frame."""

    numbering: Tensor

    def __init__(
        self,
        config: ProbeConfig,
        num_codebooks: int,
        codebook_size: int,
        num_classes: int,
        compressor: Compressor | None = None,
        numbering: Int[Tensor, "k v"] | None = None,
    ) -> None:
        """`numbering`: the embedding that each code has, as `first_seen` gives it."""
        super().__init__()
        if numbering is None:
            numbering = torch.arange(codebook_size).expand(num_codebooks, -1)
        self.register_buffer("numbering", numbering, persistent=False)
        self.embeddings = nn.Parameter(torch.zeros(num_codebooks, codebook_size, config.dim))
        self.compressor = compressor  # one with weights of its own is trained along
        self.convolutions = nn.ModuleList(
            nn.Conv1d(config.dim, config.dim, config.kernel_size, padding=config.kernel_size // 2)
            for _ in range(config.num_layers)
        )
        self.norms = nn.ModuleList(nn.LayerNorm(config.dim) for _ in range(config.num_layers))
        self.head = nn.Linear(config.dim, num_classes)

    def embed(self, codes: Int[Tensor, "b k t"]) -> Float[Tensor, "b t d"]:
        """The sum of the codebooks' embeddings."""
        rows = [
            F.embedding(order[codebook], table)
            for codebook, order, table in zip(
                codes.unbind(1), self.numbering, self.embeddings, strict=True
            )
        ]
        return torch.stack(rows).sum(0)

    def hidden(
        self, codes: Int[Tensor, "b k t"], lengths: Int[Tensor, " b"]
    ) -> tuple[Float[Tensor, "b s d"], Compressed]:
        """Input of the head; compressed, if the probe compresses, or each frame by itself."""
        x = self.embed(codes)
        if self.compressor is None:
            durations = length_mask(lengths, x.shape[1]).long()
            made = Compressed(x, durations, lengths)
        else:
            made = self.compressor(x, codes, lengths)
            x = made.vectors
        real = length_mask(made.lengths, x.shape[1])[..., None]
        for convolution, norm in zip(self.convolutions, self.norms, strict=True):
            near = convolution((x * real).transpose(1, 2)).transpose(1, 2)
            x = x + F.gelu(norm(near))
        return x * real, made

    def forward(
        self, codes: Int[Tensor, "b k t"], lengths: Int[Tensor, " b"]
    ) -> Float[Tensor, "b t v"]:
        """Scores of each frame; what was compressed is laid out in time again."""
        x, made = self.hidden(codes, lengths)
        if self.compressor is not None:
            x = restore(Compressed(x, made.durations, made.lengths))
            x = F.pad(x, (0, 0, 0, codes.shape[2] - x.shape[1]))
        scores: Tensor = self.head(x)
        return scores

    def whole(
        self, codes: Int[Tensor, "b k t"], lengths: Int[Tensor, " b"]
    ) -> Float[Tensor, "b v"]:
        """Scores of each utterance, from the mean of its frames."""
        x, made = self.hidden(codes, lengths)
        scores: Tensor = self.head(x.sum(1) / made.lengths.clamp(min=1)[:, None])
        return scores


@dataclass(frozen=True, kw_only=True, eq=False)
class Batch:
    """Rows of codes side by side."""

    codes: Int[Tensor, "b k t"]
    lengths: Int[Tensor, " b"]
    rows: tuple[int, ...]
    """Which utterances they are."""

    @property
    def mask(self) -> Bool[Tensor, "b t"]:
        """True where there is no padding."""
        return length_mask(self.lengths, self.codes.shape[2])


def collate(codes: Sequence[Int[Tensor, "k _"]], rows: Sequence[int]) -> Batch:
    """A batch of these rows."""
    padded, mask = pad_right([codes[row].T for row in rows])
    return Batch(codes=padded.transpose(1, 2), lengths=mask.sum(1), rows=tuple(rows))


def shuffled_batches(
    codes: Sequence[Int[Tensor, "k _"]], config: ProbeConfig, generator: torch.Generator
) -> Iterator[Batch]:
    """`steps` batches; all rows before any row again."""
    order: list[int] = []
    for _ in range(config.steps):
        while len(order) < min(config.batch_size, len(codes)):
            order += torch.randperm(len(codes), generator=generator).tolist()
        yield collate(codes, order[: config.batch_size])
        del order[: config.batch_size]


def ordered_batches(codes: Sequence[Int[Tensor, "k _"]], batch_size: int) -> Iterator[Batch]:
    """Every row once, in order."""
    for first in range(0, len(codes), batch_size):
        yield collate(codes, range(first, min(first + batch_size, len(codes))))


def first_seen(
    codes: Sequence[Int[Tensor, "k _"]], codebook_size: int
) -> Int[Tensor, "k codebook_size"]:
    """Of each code of each codebook its place among all: those that occur by their first place, the
    others behind them."""
    together = torch.cat(list(codes), 1)
    everyone = torch.arange(codebook_size).expand(len(together), -1)
    rows = torch.cat([together, everyone], 1)
    places = torch.full_like(everyone, rows.shape[1])
    number = torch.arange(rows.shape[1]).expand_as(rows)
    places = places.scatter_reduce(1, rows, number, "amin")
    return places.argsort(1).argsort(1)


def train_probe(
    config: ProbeConfig,
    codes: Sequence[Int[Tensor, "k _"]],
    loss: Callable[[TokenProbe, Batch], Float[Tensor, ""]],
    *,
    codebook_size: int,
    num_classes: int,
    seed: int,
    compressor: Compressor | None = None,
) -> TokenProbe:
    """A probe after its budget of steps. The global random state stays as it was."""
    draw = torch.Generator().manual_seed(seed)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        numbering = first_seen(codes, codebook_size)
        probe = TokenProbe(config, len(codes[0]), codebook_size, num_classes, compressor, numbering)
    optimizer = torch.optim.Adam(probe.parameters(), config.learning_rate, betas=(0.9, 0.98))
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, config.learning_rate, total_steps=config.steps + 1, pct_start=0.1
    )
    for batch in shuffled_batches(codes, config, draw):
        optimizer.zero_grad()
        loss(probe, batch).backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(probe.parameters(), 1.0)
        optimizer.step()
        schedule.step()
    return probe.eval().requires_grad_(False)
