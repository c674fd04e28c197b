"""A stretch of a sequence, of one kind of token: what sequences of several kinds are made of."""

from collections.abc import Collection
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from uslm_tokenizer.errors import UserError


@dataclass(frozen=True)
class Span:
    """Tokens of one kind, by their ids in that kind's own table."""

    kind: str
    """`speech` and `text` of a speech language model; of a cascade, what its stages call it."""
    ids: Int[Tensor, " n"]
    """Units, codes, or text ids."""
    patches: Int[Tensor, " n"] | None = None
    """Of units: the patch of each, from 0 on; None: as the model cuts speech by itself."""
    vectors: Float[Tensor, "n d"] | None = None
    """Of a kind that is vectors: one for each id, all of which are 0."""

    def check_kind(self, kinds: Collection[str]) -> None:
        """UserError unless it is of one of a model's kinds."""
        if self.kind not in kinds:
            raise UserError(
                f"there is no kind of token {self.kind!r}; this model has {list(kinds)}"
            )

    @classmethod
    def of_vectors(cls, kind: str, vectors: Float[Tensor, "n d"]) -> "Span":
        """A span of a kind that is vectors."""
        return cls(kind, torch.zeros(len(vectors), dtype=torch.long), vectors=vectors)
