"""LJ Speech, and what is laid out like it: metadata.csv beside wavs/."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from uslm_recipes.data.recording import Found
from uslm_recipes.data.sources.folder import read_table


def matches(root: Path) -> bool:
    """Whether the table and its folder are there."""
    return (root / "metadata.csv").is_file() and (root / "wavs").is_dir()


def read_ljspeech(root: Path, language: str = "en") -> Iterator[Found]:
    """One speaker; the normalised text of each line where there is one."""
    yield from read_table(root / "metadata.csv", root, language)
