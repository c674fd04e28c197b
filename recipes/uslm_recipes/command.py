"""The end of every command of the recipes: one line for what went wrong, and a stable exit code."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable

from uslm_tokenizer.errors import (
    EnvironmentProblem,
    GenerationError,
    MissingResource,
    UserError,
    disk_is_full,
)


def run_command(program: str, action: Callable[[], None]) -> int:
    """Run `action`; 0 ok, 1 input, 2 something is missing, 3 environment, 4 the run itself failed.

    USLM_DEBUG=1 shows where an error came from.
    """
    try:
        action()
    except KeyboardInterrupt:
        return _told(program, "interrupted", 130)
    except Exception as problem:
        code = _exit_code(problem)
        if code is None or os.environ.get("USLM_DEBUG"):
            raise
        return _told(program, str(problem), code)
    return 0


def _exit_code(problem: Exception) -> int | None:
    """None: our own mistake, which deserves its traceback."""
    if disk_is_full(problem):
        return 3
    match problem:
        case MissingResource():
            return 2
        case UserError() | OSError():
            return 1
        case EnvironmentProblem():
            return 3
        case GenerationError():
            return 4
        case _:
            return None


def _told(program: str, message: str, code: int) -> int:
    print(f"{program}: {' '.join(message.split())}", file=sys.stderr)
    return code
