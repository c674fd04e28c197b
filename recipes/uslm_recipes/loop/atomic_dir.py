"""Folders that are whole or not at all: written beside their place, with checksums, renamed."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
from pathlib import Path

from uslm_tokenizer.errors import EnvironmentProblem, UserError

SEAL = "complete.json"
NOT_THERE = (errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.ENAMETOOLONG, errno.ELOOP)
"""Errors that say that there is no such file; after any other the next try may succeed."""


class DamagedCheckpoint(UserError):
    """A checksummed folder whose files are missing or changed."""


def fresh_folder(path: Path) -> None:
    """An empty folder, whatever was there before."""
    shutil.rmtree(path, ignore_errors=True)
    path.mkdir(parents=True)


def write_checksums(folder: Path) -> None:
    """Bring every file to the disk, then write the list of their hashes."""
    listed = {path.name: _hash(path) for path in sorted(folder.iterdir())}
    (folder / SEAL).write_text(json.dumps(listed, indent=2), encoding="utf-8")
    for path in folder.iterdir():
        _sync(path)
    _sync(folder)


def commit(folder: Path, place: Path) -> None:
    """Rename a checksummed folder; what bears the name already goes."""
    old = place.with_name(f".{place.name}.old")
    shutil.rmtree(old, ignore_errors=True)
    if place.exists():
        place.rename(old)
    folder.rename(place)
    _sync(place.parent)
    shutil.rmtree(old, ignore_errors=True)


def check_checksums(folder: Path) -> None:
    """Raise DamagedCheckpoint unless every file is there and has the hash it was checksummed with.

    Raises EnvironmentProblem where a file is there, and cannot be read.
    """
    try:
        listed = json.loads((folder / SEAL).read_text(encoding="utf-8"))
        changed = [name for name, expected in listed.items() if _hash(folder / name) != expected]
    except OSError as problem:
        if problem.errno not in NOT_THERE:
            raise EnvironmentProblem(f"checkpoint {folder} cannot be read: {problem}") from problem
        raise DamagedCheckpoint(f"checkpoint {folder} is damaged: {problem}") from problem
    except (ValueError, AttributeError, RecursionError) as problem:
        raise DamagedCheckpoint(f"checkpoint {folder} is damaged: {problem}") from problem
    if not listed:
        raise DamagedCheckpoint(f"checkpoint {folder} is damaged: {SEAL} lists nothing")
    if changed:
        raise DamagedCheckpoint(f"checkpoint {folder} is damaged: {changed[0]} has changed")


def _hash(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
