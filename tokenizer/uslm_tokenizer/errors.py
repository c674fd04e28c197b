"""The errors a user can meet; the command line gives each branch an exit code of its own."""

import errno


class UserError(ValueError):
    """Something the caller gave cannot be used: a value, a text, a file. Exit code 1."""


class ConfigError(UserError):
    """A configuration has an unknown key or a value that does not fit."""


class CheckpointError(UserError):
    """A file of weights that cannot be read, or that belongs to another model."""


class AudioError(UserError):
    """Audio that cannot be read, or that holds nothing usable."""


class TextError(UserError):
    """Text that cannot be spoken."""


class AlreadyThere(UserError):
    """A file or a voice of this name is there already, and may not be replaced."""


class MissingResource(UserError):
    """A file, a model or a voice that is not there. Exit code 2."""


class EnvironmentProblem(RuntimeError):
    """A package, a library or a device that is missing or broken. Exit code 3."""


class GenerationError(RuntimeError):
    """The model ran, and nothing usable came out. Exit code 4."""


def disk_is_full(error: BaseException | None) -> bool:
    """Whether an error says so, or was raised because of one that does."""
    while error is not None:
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            return True
        error = error.__cause__
    return False
