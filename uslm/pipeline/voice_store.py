"""Voices by name: a folder of voice files, shared by the command line, the page and the server."""

import difflib
import os
import re
import sys
from dataclasses import replace
from pathlib import Path

from uslm.pipeline.prompt import VoicePrompt
from uslm_tokenizer.errors import ConfigError, MissingResource, UserError

SUFFIX = ".safetensors"
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


class VoiceStore:
    """Keeps each voice as `NAME.safetensors` in one folder, which is made when the first comes.

    A name can never lead out of the folder: it has no separator and does not begin with a dot.
    """

    def __init__(self, folder: str | os.PathLike[str] | None = None) -> None:
        """`folder` is the user's own unless given."""
        self.folder = default_folder() if folder is None else Path(folder)

    def names(self) -> list[str]:
        """All voices, sorted."""
        if not self.folder.is_dir():
            return []
        files = (path for path in self.folder.iterdir() if path.suffix == SUFFIX)
        return sorted(file.stem for file in files if is_voice_name(file.stem) and file.is_file())

    def path(self, name: str) -> Path:
        """Where a voice is kept, whether or not it is there. UserError if it is no name."""
        if not is_voice_name(name):
            raise UserError(
                "a voice's name must be 1 to 64 letters, digits, dots, underscores or hyphens, "
                f"begin with a letter or digit and not end in {SUFFIX}, but is {name[:80]!r}"
            )
        return self.folder / f"{name}{SUFFIX}"

    def load(self, name: str) -> VoicePrompt:
        """A voice, by the name that it is kept under. MissingResource if there is none."""
        path = self._existing(name)
        try:
            return replace(VoicePrompt.load(path), name=name)
        except ConfigError as problem:
            raise ConfigError(f"voice {name!r}: {problem}") from problem

    def save(self, voice: VoicePrompt, force: bool = False) -> Path:
        """Keep a voice under its name; another of that name is replaced only with `force`."""
        path = self.path(voice.name)
        if path.exists() and not force:
            raise UserError(
                f"there is a voice {voice.name!r} already; "
                "choose another name, or give force=True (--force) to replace it"
            )
        try:
            # A voice is personal: others on the machine need not read it.
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as problem:
            reason = problem.strerror or problem
            raise UserError(
                f"the voice folder {str(self.folder)!r} cannot be made: {reason}"
            ) from problem
        return voice.save(path, force=force)

    def remove(self, name: str) -> None:
        """Delete a voice. MissingResource if there is none."""
        self._existing(name).unlink()

    def _existing(self, name: str) -> Path:
        path = self.path(name)
        if not path.is_file():
            names = self.names()
            near = difflib.get_close_matches(name, names, n=1)
            hint = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(names[:8])}"
            raise MissingResource(
                f"there is no voice {name!r}; " + (hint if names else "none is kept yet")
            )
        return path


def is_voice_name(name: str) -> bool:
    """Whether a voice can be kept under this name."""
    return NAME.fullmatch(name) is not None and not name.endswith(SUFFIX)


def default_folder() -> Path:
    """Where this user's voices are: USLM_VOICES, else where the platform keeps such data."""
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
