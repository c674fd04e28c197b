"""A folder that is made beside its place, can be gone on with, and comes there whole."""

from __future__ import annotations

import errno
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import IO, Any

from uslm_recipes.folder_lock import FolderLock
from uslm_tokenizer.errors import EnvironmentProblem, UserError

STATE_FILE = "state.json"
LOCK_FILE = "lock"


class PartialFolder:
    """The folder `.NAME.part` beside `place`; one process at a time works on it.

    When it is left without `finish`, it stays if there is a state to go on from; after a UserError
    it goes, as going on would meet the same one.
    """

    def __init__(self, place: Path) -> None:
        self.place = place
        self.path = place.with_name(f".{place.name}.part")
        self._old = place.with_name(f".{place.name}.old")
        self._lock = FolderLock(self.path / LOCK_FILE, f"another run is making {place}")
        self._finished = False

    def __enter__(self) -> PartialFolder:
        self.path.mkdir(parents=True, exist_ok=True)
        self._lock.take()
        if self._old.exists() and not self.place.exists():  # killed between the two renames
            self._old.rename(self.place)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._lock.release()
        hopeless = kind is None or issubclass(kind, (UserError, AssertionError))
        if not self._finished and (hopeless or not (self.path / STATE_FILE).is_file()):
            shutil.rmtree(self.path, ignore_errors=True)

    def read_state(self, key: str) -> dict[str, Any] | None:
        """Place to go on from; None after emptying the folder, when nothing is of this key."""
        state = self.path / STATE_FILE
        if state.is_file():
            found: dict[str, Any] = json.loads(state.read_text(encoding="utf-8"))
            if found.pop("key") == key:
                return found
        for path in self.path.iterdir():
            if path.name != LOCK_FILE:
                path.unlink()
        return None

    def write_state(self, key: str, state: dict[str, Any]) -> None:
        """Go on from here; the files it speaks of must be on the disk already."""
        write_whole(self.path / STATE_FILE, json.dumps({"key": key, **state}))

    def finish(self) -> None:
        """Put the folder in its place, where a former one goes."""
        self._finished = True
        for name in (STATE_FILE, LOCK_FILE):
            (self.path / name).unlink(missing_ok=True)
        shutil.rmtree(self._old, ignore_errors=True)
        if self.place.exists():
            self.place.rename(self._old)
        self.path.rename(self.place)
        shutil.rmtree(self._old, ignore_errors=True)


def open_at(path: Path, size: int) -> IO[bytes]:
    """The file, cut to `size`, ready to write on from there."""
    file = path.open("r+b" if path.is_file() else "w+b")
    file.truncate(size)
    file.seek(size)
    return file


def write_whole(path: Path, text: str) -> None:
    """The file has its former content or all of the new one, whenever the machine stops."""
    temporary = path.with_name(f"{path.name}.new")
    with temporary.open("w", encoding="utf-8", errors="replace") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)


@contextmanager
def told_when_full(path: Path, kept: str) -> Iterator[None]:
    """A disk that is full becomes an error that says what to do."""
    try:
        yield
    except OSError as problem:
        if problem.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        raise EnvironmentProblem(
            f"the disk of {path.parent} is full; {kept}: free some space, and the same command "
            "goes on from there"
        ) from problem
