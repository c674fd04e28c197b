"""A folder that one process at a time works in."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import IO, ClassVar

from uslm_tokenizer.errors import UserError

if sys.platform != "win32":
    import fcntl


class FolderLock:
    """Held from `take` to `release`, or to the end of the process, however that ends.

    It is the process's own: workers that it forked do not hold it, even where they outlive it.
    """

    _held: ClassVar[set[Path]] = set()
    """Those of this process, which the system does not keep from itself."""

    def __init__(self, path: Path, taken: str) -> None:
        """`path` is the file that stands for the lock; `taken` is said where another has it."""
        self.path = path.absolute()
        self._taken = taken
        self._file: IO[str] | None = None

    def take(self) -> None:
        """Raise UserError if another run has it. The folder must be there."""
        # A second descriptor of the file, once closed, would give up the lock of the first.
        if self.path in self._held:
            raise UserError(self._taken)
        file = self.path.open("w")
        if sys.platform != "win32":
            try:
                fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                file.close()
                raise UserError(self._taken) from None
        self._held.add(self.path)
        self._file = file

    def release(self) -> None:
        """Give it up; nothing happens where it is not held."""
        if self._file is not None:
            self._file.close()
            self._file = None
            self._held.discard(self.path)
