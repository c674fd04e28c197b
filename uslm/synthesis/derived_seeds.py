"""One seed for a whole text, and from it one for each thing that is drawn; without PyTorch."""

import hashlib
import secrets
from typing import Any

from uslm_tokenizer.errors import UserError

MAX_SEED = 2**63 - 1


def resolve_seed(seed: Any) -> int:
    """The seed itself, checked; a new one where there is none."""
    if seed is None:
        return secrets.randbelow(2**32)  # short enough to be read out and typed again
    if isinstance(seed, bool) or not isinstance(seed, int) or not 0 <= seed <= MAX_SEED:
        raise UserError(f"seed must be a whole number from 0 to {MAX_SEED}, but is {seed!r}")
    return seed


def derive_seed(seed: int, *path: int | str) -> int:
    """Another seed, the same for the same path; neighbours have nothing in common."""
    digest = hashlib.sha256("/".join(map(str, (seed, *path))).encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1
