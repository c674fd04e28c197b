"""Names of voices, and the folder of a user's voices; without loading anything."""

import difflib
import os
import re
import sys
from collections.abc import Sequence
from pathlib import Path

from uslm_tokenizer.errors import MissingResource, UserError

SUFFIX = ".safetensors"
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


def is_voice_name(name: str) -> bool:
    """Whether a voice can be kept under this name: it never leads out of a folder."""
    return NAME.fullmatch(name) is not None and not name.endswith(SUFFIX)


def voice_names(folder: Path) -> list[str]:
    """All voices of a folder, sorted; none where there is no folder."""
    if not folder.is_dir():
        return []
    files = (path for path in folder.iterdir() if path.suffix == SUFFIX)
    return sorted(file.stem for file in files if is_voice_name(file.stem) and file.is_file())


def voice_path(folder: Path, name: str) -> Path:
    """The file of a voice, whether or not it is there. UserError if it is no name."""
    if not is_voice_name(name):
        raise UserError(
            "a voice's name must be 1 to 64 letters, digits, dots, underscores or hyphens, "
            f"begin with a letter or digit and not end in {SUFFIX}, but is {name[:80]!r}"
        )
    return folder / f"{name}{SUFFIX}"


def existing_voice(folder: Path, name: str, *, others: Sequence[str] = ()) -> Path:
    """The file of a kept voice. MissingResource if there is none; it tells of `others`, too."""
    path = voice_path(folder, name)
    if not path.is_file():
        names = [*voice_names(folder), *others]
        near = difflib.get_close_matches(name, names, n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(names[:8])}"
        raise MissingResource(
            f"there is no voice {name!r}; " + (hint if names else "none is kept yet")
        )
    return path


def default_folder() -> Path:
    """The folder of this user's voices: USLM_VOICES, else where the platform keeps such data."""
    if given := os.environ.get("USLM_VOICES"):
        return Path(given).expanduser()
    return _data_home() / "uslm" / "voices"


def _data_home() -> Path:
    given = os.environ.get("XDG_DATA_HOME", "")
    if Path(given).is_absolute():  # the convention: anything else is to be ignored
        return Path(given)
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Application Support"
    if sys.platform == "win32" and (local := os.environ.get("LOCALAPPDATA")):
        return Path(local)
    return Path.home() / ".local" / "share"
