"""Token compression: what is left in a probe's reach when only a share of the tokens is kept.

Each way at each ratio gets a probe of its own. Which frames are alike is told by the codes alone:
two codes are that are seen among the same others. Neighbours that are alike are merged, frames that
are like the one before are pruned. Answers are given for all frames, so that every ratio is asked
the same.
"""

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from uslm.evaluation.suites.encoded import EncodedSet
from uslm.evaluation.suites.probe import Compressor, ProbeConfig, first_seen
from uslm_tokenizer.errors import UserError
from uslm_tokenizer.sequence.compress import (
    Compressed,
    QueryPooling,
    average,
    pool,
    prune,
    restore,
    segments_between,
    similar_segments,
)

RATIOS = (1.0, 0.5, 0.25, 0.125, 0.0625)
"""Kept shares of the tokens."""
REACH = 3
"""Frames to each side that a code is seen among."""


def code_vectors(encoded: EncodedSet) -> Float[Tensor, "v d"]:
    """For each code of the first codebook, which codes stand near it, in at most 32 dimensions.

    Codes are counted in the order in which they first occur. Under other numbers they get the very
    same vectors then, and ties between segments, of which runs of one code are full, are broken in
    the same way; other rounding would merge other frames.
    """
    size = encoded.codebook_size
    place = first_seen([row.codes[:1] for row in encoded.train], size)[0]
    counts = torch.zeros(size * size)
    for row in encoded.train:
        codebook = place[row.codes[0]]
        for shift in range(1, REACH + 1):
            pairs = codebook[:-shift] * size + codebook[shift:]
            counts += torch.bincount(pairs, minlength=size * size)
    near = counts.view(size, size)
    near = F.normalize((near + near.T).sqrt(), dim=1)
    # Through the eigenvectors of the largest values: exact, and nothing is drawn.
    vectors: Tensor = torch.linalg.eigh(near.T @ near)[1]
    return (near @ vectors[:, -32:])[place]


class Pooling(nn.Module):
    """Base of the ways: a kept share, and vectors that tell which codes are alike."""

    guide: Tensor

    def __init__(
        self, kept: float, guide: Float[Tensor, "v d"], config: ProbeConfig, seed: int
    ) -> None:
        super().__init__()
        self.kept = kept
        self.register_buffer("guide", guide, persistent=False)

    def forward(
        self, x: Float[Tensor, "b t d"], codes: Int[Tensor, "b k t"], lengths: Int[Tensor, " b"]
    ) -> Compressed:
        """The mean of even windows."""
        return pool(x, lengths, self.kept)


class Merging(Pooling):
    """Neighbours that are alike become one."""

    def forward(
        self, x: Float[Tensor, "b t d"], codes: Int[Tensor, "b k t"], lengths: Int[Tensor, " b"]
    ) -> Compressed:
        """The mean of each run of frames that are alike."""
        segments = similar_segments(self.guide[codes[:, 0]], lengths, self.kept)
        return average(x, segments, lengths)


class Pruning(Pooling):
    """Frames that are new stay."""

    def forward(
        self, x: Float[Tensor, "b t d"], codes: Int[Tensor, "b k t"], lengths: Int[Tensor, " b"]
    ) -> Compressed:
        """Those least like the frame before; the first frame always."""
        vectors = self.guide[codes[:, 0]]
        change = -F.cosine_similarity(vectors[:, 1:], vectors[:, :-1], dim=-1)
        scores = F.pad(change, (1, 0), value=torch.inf)
        return prune(x, scores, lengths, self.kept)


class Queries(Pooling):
    """A learnt query looks at each window."""

    def __init__(
        self, kept: float, guide: Float[Tensor, "v d"], config: ProbeConfig, seed: int
    ) -> None:
        super().__init__(kept, guide, config, seed)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.pooling = QueryPooling(config.dim)

    def forward(
        self, x: Float[Tensor, "b t d"], codes: Int[Tensor, "b k t"], lengths: Int[Tensor, " b"]
    ) -> Compressed:
        """Frames weighted by the attention of the query."""
        made: Compressed = self.pooling(x, lengths, self.kept)
        return made


class RandomMerging(Pooling):
    """Control of merging: as many segments, with borders anywhere."""

    def __init__(
        self, kept: float, guide: Float[Tensor, "v d"], config: ProbeConfig, seed: int
    ) -> None:
        super().__init__(kept, guide, config, seed)
        self.draw = torch.Generator().manual_seed(seed)

    def forward(
        self, x: Float[Tensor, "b t d"], codes: Int[Tensor, "b k t"], lengths: Int[Tensor, " b"]
    ) -> Compressed:
        """The mean of each random segment."""
        changes = torch.rand(len(x), x.shape[1] - 1, generator=self.draw)
        return average(x, segments_between(changes, lengths, self.kept), lengths)


ROUND_TRIPS = ("pooling", "merging", "pruning")
"""Ways after which codes can be laid out in time again."""

WAYS: Mapping[str, type[Pooling]] = {
    "pooling": Pooling,
    "merging": Merging,
    "pruning": Pruning,
    "queries": Queries,
    "random merging": RandomMerging,
}


def compressor(
    way: str, kept: float, guide: Float[Tensor, "v d"], config: ProbeConfig, *, seed: int
) -> Compressor:
    """The compressor of a probe's embeddings for this way; `guide` is that of `code_vectors`."""
    if way not in WAYS:
        raise UserError(f"a way to compress must be one of {', '.join(WAYS)}, but is {way!r}")
    return WAYS[way](kept, guide, config, seed)


@torch.no_grad()
def kept_frames(way: Compressor, codes: Int[Tensor, "k t"]) -> Int[Tensor, " t"]:
    """For each frame the one that stands for it: a segment's middle, or the frame that was kept.

    Codes at these places are the round trip of a compression: fewer tokens, and as many frames.
    """
    t = codes.shape[1]
    places = torch.arange(t, dtype=torch.float32)[None, :, None]
    made = way(places, codes[None], torch.tensor([t]))
    return restore(made)[0, :, 0].round().long()
