"""Long recordings go through a network window by window; each window sees its neighbours."""

from collections.abc import Iterator


def windows(length: int, step: int, margin: int) -> Iterator[tuple[slice, slice]]:
    """Windows: what to read, which may reach beyond the end, and what to keep, `step` at most."""
    for start in range(0, length, step):
        first = max(0, start - margin)
        end = min(length, start + step)
        yield slice(first, start + step + margin), slice(start - first, end - first)
