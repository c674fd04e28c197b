"""Places of recordings: all files below a folder, and the one that a table names."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path, PureWindowsPath

from uslm_recipes.data.recording import AUDIO_SUFFIXES, OTHER_AUDIO_SUFFIXES


def files_below(root: Path, failed: Callable[[OSError], None]) -> list[Path]:
    """Every file, links to nowhere too, sorted; folders that are links are entered, each once.

    `failed` is told of a folder that cannot be read.
    """
    entered: set[str] = set()
    found: list[Path] = []
    for folder, folders, files in os.walk(root, onerror=failed, followlinks=True):
        real = os.path.realpath(folder)
        if real in entered:
            folders.clear()
            continue
        entered.add(real)
        found += [Path(folder, name) for name in files]
    return sorted(found)


def named_file(folder: Path, name: str) -> Path:
    """The file that a table in `folder` means, with the slashes of any system."""
    path = folder / name
    if "\\" in name and not _exists(path):
        path = folder / PureWindowsPath(name).as_posix()
    return path


def named_audio(folder: Path, name: str) -> Path | None:
    """The recording that a table means, with or without its suffix, in `folder` or its wavs/."""
    for base in (folder / "wavs", folder):
        path = named_file(base, name)
        if _exists(path):
            return path
        for suffix in sorted(AUDIO_SUFFIXES) + sorted(OTHER_AUDIO_SUFFIXES):
            for ending in (suffix, suffix.upper()):
                if _exists(each := Path(f"{path}{ending}")):
                    return each
    return None


def _exists(path: Path) -> bool:
    # As os.path.isfile, where Path.is_file raises if the name is too long.
    return os.path.isfile(path) or os.path.islink(path)
