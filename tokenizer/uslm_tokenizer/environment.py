"""Abilities of this machine's optional packages, found out by trying, and said in plain words."""

from __future__ import annotations

from functools import cache
from importlib import import_module
from importlib.util import find_spec

from uslm_tokenizer.errors import EnvironmentProblem


@cache
def torchaudio_fault() -> str | None:
    """Reason why the installed torchaudio does not load; None where it loads or is not installed.

    The builds of torchaudio on PyPI for Linux are linked against CUDA. Beside a CPU build of
    torch they are found, but raise OSError on import.
    """
    if find_spec("torchaudio") is None:
        return None
    try:
        import_module("torchaudio")
    except Exception as error:  # a broken binary may raise anything: OSError, RuntimeError, ...
        return f"{type(error).__name__}: {error.__cause__ or error}"
    return None


def check_torchaudio() -> None:
    """Raise EnvironmentProblem where a torchaudio is installed that does not load.

    To be called before most networks of `transformers` for speech: they import torchaudio where
    they find one, and its own error says nothing of the remedy.
    """
    fault = torchaudio_fault()
    if fault is not None:
        raise EnvironmentProblem(
            f"torchaudio is installed but does not load beside this torch ({fault}); the audio "
            "parts of transformers then fail too. USLM does not need it: pip uninstall torchaudio"
        )
