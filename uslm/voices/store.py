"""Voices by name: a folder of voice files, shared by the command line, the page and the server."""

import os
from dataclasses import replace
from pathlib import Path

from uslm.voices.names import default_folder, existing_voice, voice_names, voice_path
from uslm.voices.prompt import VoicePrompt
from uslm.voices.stock import stock_voice
from uslm_tokenizer.errors import AlreadyThere, ConfigError, UserError
from uslm_tokenizer.whole_files import commit


def load_stock_voice(name: str) -> VoicePrompt:
    """A voice that comes with the package. MissingResource if there is none of that name."""
    return replace(VoicePrompt.load(stock_voice(name).path), name=name)


class VoiceStore:
    """Keeps each voice as `NAME.safetensors` in one folder, which is made when the first comes.

    A name can never lead out of the folder: it has no separator and does not begin with a dot.
    """

    def __init__(self, folder: str | os.PathLike[str] | None = None) -> None:
        """`folder` is the user's own unless given."""
        self.folder = default_folder() if folder is None else Path(folder)

    def names(self) -> list[str]:
        """All voices, sorted."""
        return voice_names(self.folder)

    def path(self, name: str) -> Path:
        """File that a voice is kept in, whether or not it is there. UserError if it is no name."""
        return voice_path(self.folder, name)

    def load(self, name: str) -> VoicePrompt:
        """A voice, by the name that it is kept under. MissingResource if there is none."""
        path = existing_voice(self.folder, name)
        try:
            return replace(VoicePrompt.load(path), name=name)
        except ConfigError as problem:
            raise ConfigError(f"voice {name!r}: {problem}") from problem

    def save(self, voice: VoicePrompt, force: bool = False) -> Path:
        """Keep a voice under its name; another of that name is replaced only with `force`."""
        path = self.check_free(voice.name, force)
        try:
            # A voice is personal: others on the machine need not read it.
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as problem:
            reason = problem.strerror or problem
            raise UserError(
                f"the voice folder {str(self.folder)!r} cannot be made: {reason}"
            ) from problem
        return voice.save(path, force=force)

    def check_free(self, name: str, force: bool = False) -> Path:
        """File that `save` would write. AlreadyThere if it would refuse."""
        path = self.path(name)
        if path.exists() and not force:
            raise AlreadyThere(
                f"there is a voice {name!r} already; "
                "choose another name, or give force=True (--force) to replace it"
            )
        return path

    def rename(self, name: str, new_name: str) -> Path:
        """Give a voice another name. MissingResource if there is none, AlreadyThere if taken."""
        path = self.check_free(new_name)
        try:
            commit(existing_voice(self.folder, name), path, replace=False)
        except FileExistsError:  # somebody else was quicker
            self.check_free(new_name)
            raise
        return path

    def remove(self, name: str) -> None:
        """Delete a voice. MissingResource if there is none."""
        existing_voice(self.folder, name).unlink()
