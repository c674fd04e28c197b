"""Meaning of an error to whoever called the command: an exit code and one line."""

from __future__ import annotations

from enum import IntEnum

from uslm_tokenizer.errors import (
    EnvironmentProblem,
    GenerationError,
    MissingResource,
    UserError,
    disk_is_full,
)


class ExitCode(IntEnum):
    """Stable from release to release; scripts lean on them."""

    OK = 0
    INPUT = 1
    """Something given cannot be used: an option, a text, a file."""
    MISSING = 2
    """A file, a model or a voice is not there."""
    ENVIRONMENT = 3
    """A package, a device, memory or disk space is missing."""
    INFERENCE = 4
    """The model failed, or we did."""
    INTERRUPTED = 130
    """Ctrl-C."""
    BROKEN_PIPE = 141
    """Whoever read our output went away."""


class UsageError(UserError):
    """The command line itself cannot be understood."""


def explain(error: BaseException) -> tuple[ExitCode, str]:
    """The exit code of an error, and what to say about it."""
    if isinstance(error, MissingResource):
        return ExitCode.MISSING, str(error)
    if isinstance(error, UserError) and disk_is_full(error):
        return ExitCode.ENVIRONMENT, str(error)
    if isinstance(error, UserError):
        return ExitCode.INPUT, str(error)
    if isinstance(error, EnvironmentProblem):
        return ExitCode.ENVIRONMENT, str(error)
    if isinstance(error, GenerationError):
        return ExitCode.INFERENCE, str(error)
    if isinstance(error, ImportError):
        return ExitCode.ENVIRONMENT, f"a package is missing or broken: {error}"
    if isinstance(error, MemoryError) or "OutOfMemory" in type(error).__name__:
        return ExitCode.ENVIRONMENT, _out_of_memory(error)
    if isinstance(error, OSError):
        return _explain_os_error(error)
    if isinstance(error, RuntimeError) and "not enough memory" in str(error):
        return ExitCode.ENVIRONMENT, _out_of_memory(error)
    return (
        ExitCode.INFERENCE,
        f"internal error, {type(error).__name__}: {error}; --debug shows where",
    )


def _out_of_memory(error: BaseException) -> str:
    detail = f" ({error})" if str(error) else ""
    return f"not enough memory{detail}; try a shorter text or prompt, or --dtype bfloat16"


def _explain_os_error(error: OSError) -> tuple[ExitCode, str]:
    where = repr(str(error.filename)) if error.filename else "the output"
    reason = error.strerror or str(error)
    if disk_is_full(error):
        return ExitCode.ENVIRONMENT, f"cannot write {where}: {reason}; free some space"
    if isinstance(error, FileNotFoundError):
        return ExitCode.MISSING, f"{where}: {reason}"
    named = isinstance(error, (PermissionError, IsADirectoryError, NotADirectoryError))
    return ExitCode.INPUT if named else ExitCode.ENVIRONMENT, f"{where}: {reason}"
