"""A stretch of a sequence, of one kind of token: what sequences of several kinds are made of."""

from dataclasses import dataclass

from jaxtyping import Int
from torch import Tensor


@dataclass(frozen=True)
class Span:
    """Tokens of one kind, by their ids in that kind's own table."""

    kind: str
    """`speech` and `text` of a speech language model; of a cascade, what its stages call it."""
    ids: Int[Tensor, " n"]
    """Units, codes, or text ids."""
    patches: Int[Tensor, " n"] | None = None
    """Of units: the patch of each, from 0 on; None: as the model cuts speech by itself."""
