"""Files and folders that are whole or not there: written beside their place, then renamed."""

import errno
import functools
import os
import re
import secrets
import shutil
import time
from collections.abc import Callable
from pathlib import Path

from safetensors import SafetensorError

STALE_SECONDS = 3600.0
"""What nobody has written to for so long was left behind by a program that was killed."""
NO_LINKS = (errno.EPERM, errno.EACCES, errno.ENOSYS, errno.EOPNOTSUPP, errno.EMLINK)
"""What file systems without hard links say."""


def write_atomically(path: Path, write: Callable[[Path], object], *, replace: bool = True) -> None:
    """Call `write(temporary_path)`, then rename: a half-written file never bears the name.

    However many write at a time, each file is of one of them. Without `replace` one of them gets
    the name, and the others FileExistsError. Raises OSError where nothing can be written.
    """
    temporary = hidden_beside(path)
    try:
        temporary.touch(exist_ok=False)
        mode = temporary.stat().st_mode  # as any new file; safetensors hides its files from others
        try:
            write(temporary)
        except SafetensorError as problem:
            raise _as_os_error(problem, path) from problem
        temporary.chmod(mode)
        with open(temporary, "rb") as file:
            os.fsync(file.fileno())
        commit(temporary, path, replace=replace)
    finally:
        temporary.unlink(missing_ok=True)


def hidden_beside(path: Path) -> Path:
    """A name that no other program and no other thread uses, in the same folder."""
    _clear_stale(path.parent.absolute())
    return path.with_name(f".uslm-{secrets.token_hex(8)}.part")


def commit(source: Path, path: Path, *, replace: bool) -> None:
    """Rename a file. Without `replace` FileExistsError is raised if something bears the name."""
    if replace:
        os.replace(source, path)
        return
    try:
        os.link(source, path)  # unlike a look and a rename, it is one step
    except FileExistsError:
        raise
    except OSError as problem:
        if problem.errno not in NO_LINKS:
            raise
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY))  # takes the name
        os.replace(source, path)
        return
    source.unlink()


@functools.cache
def _clear_stale(folder: Path) -> None:
    """Remove what killed programs left in a folder; looked for once a program."""
    try:
        left = [path for path in folder.iterdir() if re.fullmatch(r"\.uslm-\w+\.part", path.name)]
    except OSError:  # whoever writes there is told
        return
    for path in left:
        if _age(path) < STALE_SECONDS:
            continue
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)


def _age(path: Path) -> float:
    """Seconds since anything was written to it."""
    inside = path.rglob("*") if path.is_dir() else ()
    try:
        newest: float = max(each.lstat().st_mtime for each in (path, *inside))
    except OSError:  # it is gone
        return 0.0
    return time.time() - newest


def _as_os_error(problem: SafetensorError, path: Path) -> OSError:
    """Error of the system, which safetensors tells in words only."""
    number = re.search(r"os error (\d+)", str(problem))
    if number is None:
        return OSError(errno.EIO, str(problem), str(path))
    return OSError(int(number[1]), os.strerror(int(number[1])), str(path))
