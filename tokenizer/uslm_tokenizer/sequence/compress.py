"""Token compression: fewer vectors per second by pooling, merging, pruning or learnt queries.

Every way gives vectors and the frames that each stands for, so that `restore` can lay them out in
time again. For prompts and for speech that a language model reads, not for what it has to write.
"""

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from uslm_tokenizer.nn.padding import length_mask


@dataclass
class Compressed:
    """Rows of vectors; after `lengths` vectors and durations are zero."""

    vectors: Float[Tensor, "b s d"]
    durations: Int[Tensor, "b s"]
    """Frames that each vector stands for; those of a row add up to its length."""
    lengths: Int[Tensor, " b"]
    """Vectors of each row."""


def num_kept(lengths: Int[Tensor, " b"], kept: float) -> Int[Tensor, " b"]:
    """Vectors that are left of so many frames: `kept` of them, rounded up, and never none."""
    if not 0 < kept <= 1:
        raise ValueError(f"kept must be above 0 and at most 1, but is {kept}")
    wanted = (lengths * kept - 1e-6).ceil().long()
    return torch.minimum(wanted.clamp(min=1), lengths)


def pool(x: Float[Tensor, "b t d"], lengths: Int[Tensor, " b"], kept: float) -> Compressed:
    """The mean of each window; windows are as even as they can be."""
    return average(x, even_segments(lengths, kept, x.shape[1]), lengths)


def merge(x: Float[Tensor, "b t d"], lengths: Int[Tensor, " b"], kept: float) -> Compressed:
    """The mean of each run of similar neighbours, as `similar_segments` finds them."""
    return average(x, similar_segments(x, lengths, kept), lengths)


def prune(
    x: Float[Tensor, "b t d"],
    scores: Float[Tensor, "b t"],
    lengths: Int[Tensor, " b"],
    kept: float,
) -> Compressed:
    """The frames with the highest scores, in their order; each stands for those up to the next.

    Scores may be the attention that a frame got, its surprisal, or the like.
    """
    real = length_mask(lengths, x.shape[1])
    wanted = num_kept(lengths, kept)
    order = scores.masked_fill(~real, -torch.inf).argsort(dim=1, descending=True, stable=True)
    chosen = torch.zeros_like(real).scatter(1, order, length_mask(wanted, x.shape[1]))
    segments = chosen.cumsum(1).clamp(min=1) - 1  # what lies before the first goes to the first
    durations = _durations(segments, real, int(wanted.max()))
    places = torch.where(chosen, segments, x.shape[1])
    vectors = x.new_zeros(len(x), x.shape[1] + 1, x.shape[2])
    vectors.scatter_(1, places[..., None].expand_as(x), x)
    width = durations.shape[1]
    vectors = vectors[:, :width] * length_mask(wanted, width)[..., None]
    return Compressed(vectors, durations, wanted)


class QueryPooling(nn.Module):
    """Learnt queries: in each window a query attends to the frames, as a local resampler does."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.query = nn.Parameter(torch.zeros(dim))
        self.key = nn.Linear(dim, dim, bias=False)
        self.value = nn.Linear(dim, dim)

    def forward(
        self, x: Float[Tensor, "b t d"], lengths: Int[Tensor, " b"], kept: float
    ) -> Compressed:
        """The weights of a window's frames are a softmax over the window."""
        segments = even_segments(lengths, kept, x.shape[1])
        scores = self.key(x) @ self.query / math.sqrt(x.shape[-1])
        # The largest score of the row is as good as that of the window: it cancels.
        real = length_mask(lengths, x.shape[1])
        top = scores.masked_fill(~real, -torch.inf).amax(1, keepdim=True).detach()
        weights = (scores - top).clamp(min=-30).exp() * real
        summed = _sums(weights[..., None] * self.value(x), segments, lengths)
        total = _sums(weights[..., None], segments, lengths)
        wanted = num_kept(lengths, kept)
        return Compressed(
            summed / total.clamp(min=1e-20), _durations(segments, real, summed.shape[1]), wanted
        )


def restore(compressed: Compressed) -> Float[Tensor, "b t d"]:
    """Each vector for as many frames as it stands for; zero after the end of a row."""
    rows = [
        vectors.repeat_interleave(durations, 0)
        for vectors, durations in zip(compressed.vectors, compressed.durations, strict=True)
    ]
    return nn.utils.rnn.pad_sequence(rows, batch_first=True)


def even_segments(lengths: Int[Tensor, " b"], kept: float, size: int) -> Int[Tensor, "b size"]:
    """Window that each frame is in."""
    frames = torch.arange(size, device=lengths.device)
    wanted = num_kept(lengths, kept)[:, None]
    segments = frames * wanted // lengths[:, None].clamp(min=1)
    return torch.minimum(segments, (wanted - 1).clamp(min=0))


@torch.no_grad()
def similar_segments(
    x: Float[Tensor, "b t d"], lengths: Int[Tensor, " b"], kept: float
) -> Int[Tensor, "b t"]:
    """Run of similar frames that each frame is in.

    Neighbours are joined whose means are near each other, short runs before long ones: what counts
    is by how much the squared error grows (Ward 1963). A pass joins every pair that is nearer than
    its own neighbours, until `kept` of the frames are left.
    """
    wanted = num_kept(lengths, kept)
    borders = length_mask((lengths - 1).clamp(min=0), x.shape[1] - 1)
    while bool((borders.sum(1) + 1 > wanted).any()):
        segments = F.pad(borders.long().cumsum(1), (1, 0))
        runs = average(x.float(), segments, lengths)
        sizes = runs.durations.float()
        weight = sizes[:, 1:] * sizes[:, :-1] / (sizes[:, 1:] + sizes[:, :-1]).clamp(min=1)
        growth = weight * (runs.vectors[:, 1:] - runs.vectors[:, :-1]).square().sum(-1)
        growth = growth.masked_fill(runs.durations[:, 1:] == 0, torch.inf)
        around = F.pad(growth, (1, 1), value=torch.inf)
        nearest = (growth < around[:, :-2]) & (growth <= around[:, 2:])
        order = growth.masked_fill(~nearest, torch.inf).argsort(dim=1, stable=True)
        count = torch.minimum(borders.sum(1) + 1 - wanted, nearest.sum(1)).clamp(min=0)
        joined = torch.zeros_like(nearest).scatter(1, order, length_mask(count, growth.shape[1]))
        # The border of a pair lies before the first frame of its second run.
        second = segments[:, 1:].clamp(min=1) - 1
        borders = borders & ~joined.gather(1, second.clamp(max=joined.shape[1] - 1))
    return F.pad(borders.long().cumsum(1), (1, 0))


def segments_between(
    changes: Float[Tensor, "b u"], lengths: Int[Tensor, " b"], kept: float
) -> Int[Tensor, "b t"]:
    """Segments that begin at the largest of the `changes`, each that from a frame to the next."""
    real = length_mask((lengths - 1).clamp(min=0), changes.shape[1])
    order = changes.masked_fill(~real, -torch.inf).argsort(dim=1, descending=True, stable=True)
    wanted = length_mask((num_kept(lengths, kept) - 1).clamp(min=0), changes.shape[1])
    borders = torch.zeros_like(real).scatter(1, order, wanted)
    return F.pad(borders.long().cumsum(1), (1, 0))


def average(
    x: Float[Tensor, "b t d"], segments: Int[Tensor, "b t"], lengths: Int[Tensor, " b"]
) -> Compressed:
    """The mean of the frames of each segment; `segments` count from 0 and never go down."""
    real = length_mask(lengths, x.shape[1])
    sums = _sums(x, segments, lengths)
    durations = _durations(segments, real, sums.shape[1])
    return Compressed(sums / durations.clamp(min=1)[..., None], durations, (durations > 0).sum(1))


def _sums(
    x: Float[Tensor, "b t d"], segments: Int[Tensor, "b t"], lengths: Int[Tensor, " b"]
) -> Float[Tensor, "b s d"]:
    real = length_mask(lengths, x.shape[1])
    width = int(segments.masked_fill(~real, 0).max()) + 1
    sums = x.new_zeros(len(x), width, x.shape[2])
    places = segments.clamp(max=width - 1)[..., None].expand_as(x)
    return sums.scatter_add(1, places, x * real[..., None])


def _durations(
    segments: Int[Tensor, "b t"], real: Bool[Tensor, "b t"], width: int
) -> Int[Tensor, "b s"]:
    counts = torch.zeros(len(segments), width, dtype=torch.long, device=segments.device)
    return counts.scatter_add(1, segments.clamp(max=width - 1), real.long())
