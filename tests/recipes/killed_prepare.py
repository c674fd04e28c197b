"""Begins a corpus, for a test that kills it: `python killed_prepare.py OUT RECORDING...`.

It prints the numbers of its workers, and then waits for a recording that never comes.
"""

from __future__ import annotations

import multiprocessing
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from uslm_recipes.data import examine
from uslm_recipes.data.preparing.run import PrepareConfig, prepare
from uslm_recipes.data.recording import Found, Recording


class NoPhonemes:
    """A front end that is as quick as none."""

    def phonemize(self, texts: Sequence[str]) -> list[str]:
        return ["" for _ in texts]

    def encode(self, phonemes: str) -> list[int]:
        return []


def recordings(paths: Sequence[str]) -> Iterator[Found]:
    """As the test itself finds them."""
    for i, path in enumerate(paths):
        yield Recording(where=path, audio=Path(path), id=str(i), source="s", speaker=f"s/{i}")


def and_then_nothing(found: Iterator[Found]) -> Iterator[Found]:
    """Waits for ever at the end."""
    yield from found
    print("WORKERS", *(child.pid for child in multiprocessing.active_children()), flush=True)
    time.sleep(600)


if __name__ == "__main__":
    examine.SLICE = 3
    config = PrepareConfig(num_workers=2)
    found = and_then_nothing(recordings(sys.argv[2:]))
    prepare(found, Path(sys.argv[1]), config, front_end=NoPhonemes())
