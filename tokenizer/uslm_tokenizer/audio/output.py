"""Targets of bytes: a file that appears when it is whole, a device, a pipe, an open file."""

import contextlib
import os
import stat
import sys
from pathlib import Path
from typing import Protocol, runtime_checkable

from uslm_tokenizer.errors import AlreadyThere, UserError
from uslm_tokenizer.whole_files import commit, hidden_beside


@runtime_checkable
class BinaryWriter(Protocol):
    """A file open for writing bytes: what `open(path, "wb")`, BytesIO and `stdout.buffer` have."""

    def write(self, data: bytes, /) -> int: ...
    def flush(self) -> None: ...
    def seek(self, offset: int, whence: int = ..., /) -> int: ...
    def tell(self) -> int: ...
    def seekable(self) -> bool: ...
    def close(self) -> None: ...
    def fileno(self) -> int: ...


AudioTarget = str | os.PathLike[str] | BinaryWriter


class Output:
    """An open binary file that belongs to the caller."""

    def __init__(self, file: BinaryWriter, name: str, *, seekable: bool) -> None:
        self.file = file
        self.name = name
        """For messages."""
        self.seekable = seekable
        """Whether a header may be mended at the end."""

    def finish(self) -> None:
        """All is written: make it last."""

    def abort(self) -> None:
        """Let go of the file, and undo what was not finished."""

    def failure(self, error: OSError) -> UserError:
        """The error for a user, from what the system said."""
        return UserError(f"{self.name} could not be written: {error.strerror or error}")


class Device(Output):
    """A device or a named pipe: opened here, written in order, never replaced."""

    def __init__(self, path: Path) -> None:
        super().__init__(open(path, "wb"), repr(str(path)), seekable=False)  # noqa: SIM115

    def abort(self) -> None:
        with contextlib.suppress(OSError):
            self.file.close()


class NewFile(Output):
    """A hidden file beside the target, renamed to it at the end or removed."""

    def __init__(self, path: Path, *, force: bool) -> None:
        self.path, self.force = path, force
        self.hidden = hidden_beside(path)
        super().__init__(open(self.hidden, "xb"), repr(str(path)), seekable=True)  # noqa: SIM115

    def finish(self) -> None:
        self.file.flush()
        os.fsync(self.file.fileno())
        self.file.close()
        try:
            commit(self.hidden, self.path, replace=self.force)
        except FileExistsError:  # it came into being meanwhile
            raise _exists(self.path) from None

    def abort(self) -> None:
        with contextlib.suppress(OSError):
            self.file.close()
        self.hidden.unlink(missing_ok=True)

    def failure(self, error: OSError) -> UserError:
        return UserError(f"{super().failure(error)}; no half-written file is left")


class StandardOutput(Output):
    """The standard output, unless it is a terminal."""

    def __init__(self) -> None:
        if sys.stdout.isatty():
            raise UserError(
                "audio cannot go to a terminal; redirect it (> speech.wav) or to a file"
            )
        super().__init__(sys.stdout.buffer, "the standard output", seekable=False)

    def abort(self) -> None:
        # When the reader has left, the interpreter would complain as it flushes at exit.
        try:
            self.file.flush()
        except OSError:
            with contextlib.suppress(OSError):
                nowhere = os.open(os.devnull, os.O_WRONLY)
                os.dup2(nowhere, sys.stdout.fileno())
                os.close(nowhere)


def open_output(target: AudioTarget, *, force: bool = False) -> Output:
    """Open a path, `-` or an open binary file for writing; existing files need `force`."""
    if not isinstance(target, (str, os.PathLike)):
        return Output(target, "the open file", seekable=target.seekable())
    if os.fspath(target) == "-":
        return StandardOutput()
    name = repr(os.fspath(target))
    try:
        path = Path(os.path.realpath(target))  # a link stays; the file that it names is replaced
        mode = path.stat().st_mode if path.exists() else None
        if mode is not None and stat.S_ISDIR(mode):
            raise UserError(f"the output {name} is a folder; name a file in it")
        if mode is not None and not stat.S_ISREG(mode):
            return Device(path)
        if mode is not None and not force:
            raise _exists(path)
        return NewFile(path, force=force)
    except UserError:
        raise
    except FileNotFoundError as error:
        folder = str(Path(target).parent)
        raise UserError(f"the output {name} needs the folder {folder!r}; there is none") from error
    except (OSError, ValueError) as error:  # ValueError: a NUL byte in the path
        reason = getattr(error, "strerror", None) or error
        raise UserError(f"the output {name} cannot be written: {reason}") from error


def _exists(path: Path) -> AlreadyThere:
    return AlreadyThere(f"the output {str(path)!r} exists; choose another name or say --force")
