"""A progress bar on stderr, where someone is watching."""

from __future__ import annotations

from types import TracebackType
from typing import Any

from uslm_app.cli.console import Console

SHORT_TEXT = 300
"""Characters; a text up to this is spoken in seconds, and needs no bar."""


class TextProgress:
    """Counts characters of the text that are spoken; silent for short texts and without a tty."""

    def __init__(self, num_chars: int, console: Console) -> None:
        self._bar: Any = None
        if num_chars > SHORT_TEXT and not console.quiet and console.stderr.isatty():
            from tqdm import tqdm

            self._bar = tqdm(
                total=num_chars, unit="char", file=console.stderr, leave=False, desc="speaking"
            )

    def advance(self, num_chars: int) -> None:
        """So many more are spoken."""
        if self._bar is not None:
            self._bar.update(num_chars)

    def __enter__(self) -> TextProgress:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._bar is not None:
            self._bar.close()
