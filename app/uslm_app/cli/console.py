"""The user's view: results on stdout, remarks and errors on stderr, and nothing of libraries."""

from __future__ import annotations

import io
import json
import logging
import os
import re
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, redirect_stderr, redirect_stdout, suppress
from typing import Any, BinaryIO, TextIO

PROGRAM = "uslm"
UNSEEN = re.compile("[\\x00-\\x08\\x0a-\\x1f\\x7f-\\x9f\\u2028-\\u202e\\u2066-\\u2069]")
"""Controls but the tab, ends of lines, and what turns the direction of writing."""
OUR_LOGGERS = ("uslm", "uslm_tokenizer", "uslm_app")


class Console:
    """The two streams of one run of a command."""

    def __init__(self, stdout: TextIO, stderr: TextIO) -> None:
        self.stdout = stdout
        self.stderr = stderr
        self.quiet = False
        """Whether remarks and warnings are left out; errors never are."""
        self.audio_on_stdout = False
        """Whether stdout carries audio, so that everything else has to go to stderr."""

    def result(self, line: str) -> None:
        """One line of what the user asked for."""
        stream = self.stderr if self.audio_on_stdout else self.stdout
        self._write(stream, harmless(line))

    def json(self, record: dict[str, Any]) -> None:
        """One machine-readable line."""
        text = json.dumps(record, ensure_ascii=False)
        self.result(UNSEEN.sub(lambda found: f"\\u{ord(found[0]):04x}", text))

    def note(self, line: str) -> None:
        """A remark that can be missed."""
        if not self.quiet:
            self._write(self.stderr, f"{PROGRAM}: {one_line(line)}")

    def warn(self, line: str) -> None:
        """Something the user should know, though the work goes on."""
        self.note(f"warning: {line}")

    def error(self, line: str) -> None:
        """The one line that says why it ended."""
        self._write(self.stderr, f"{PROGRAM}: error: {one_line(line)}")

    def binary_stdout(self) -> BinaryIO:
        """Stdout for bytes."""
        self.stdout.flush()
        return self.stdout.buffer

    def _write(self, stream: TextIO, line: str) -> None:
        encoding = getattr(stream, "encoding", None) or "utf-8"
        stream.write(line.encode(encoding, "backslashreplace").decode(encoding) + "\n")
        stream.flush()


def one_line(text: str) -> str:
    """The text with line breaks as spaces and other control characters written out."""
    joined = " ".join(text.split())
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in joined)


def harmless(text: str) -> str:
    """The text with what a terminal would obey, and not show, written out.

    A line may repeat what somebody else wrote: the name of a file, the licence of a voice.
    """
    return UNSEEN.sub(lambda found: repr(found[0])[1:-1], text)


@contextmanager
def open_console(*, keep_noise: bool = False) -> Iterator[Console]:
    """A console for one command; what anything else prints meanwhile is dropped.

    Libraries warn, log and print, some of them (mpg123, torch) from C straight to the file
    descriptors; on stdout that would even end up inside the audio. So both descriptors point to
    nowhere for the time, and the console writes to copies. `keep_noise` leaves all as it is.
    """
    if keep_noise:
        yield Console(sys.stdout, sys.stderr)
        return
    with ExitStack() as stack:
        nowhere = stack.enter_context(open(os.devnull, "w"))
        stdout = _set_aside(stack, sys.stdout, 1, nowhere)
        stderr = _set_aside(stack, sys.stderr, 2, nowhere)
        stack.enter_context(redirect_stdout(nowhere))
        stack.enter_context(redirect_stderr(nowhere))
        console = Console(stdout, stderr)
        stack.enter_context(_tamed_logging(console))
        yield console


def _set_aside(stack: ExitStack, stream: TextIO | None, descriptor: int, nowhere: TextIO) -> TextIO:
    """Point `descriptor` to nowhere until the stack unwinds; returns a stream to where it led."""
    if stream is None:  # closed by whoever started us
        return nowhere
    try:
        stream.flush()
        is_the_descriptor = stream.fileno() == descriptor
        copy = os.dup(descriptor)
    except (OSError, ValueError, AttributeError):  # replaced by a test or a notebook, or closed
        return stream
    stack.callback(os.close, copy)
    os.dup2(nowhere.fileno(), descriptor)
    stack.callback(os.dup2, copy, descriptor)
    if not is_the_descriptor:
        return stream
    aside = io.TextIOWrapper(
        os.fdopen(copy, "wb", closefd=False), encoding=stream.encoding, errors="backslashreplace"
    )
    stack.callback(_close_quietly, aside)
    return aside


def _close_quietly(stream: TextIO) -> None:
    # What is still buffered for a reader that has gone is lost with it; that is no second error.
    with suppress(OSError):
        stream.close()


@contextmanager
def _tamed_logging(console: Console) -> Iterator[None]:
    """Warnings and logs of libraries are dropped; those of our own packages become remarks."""
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    handler = _Remarks(console.warn)
    loggers = [logging.getLogger(name) for name in OUR_LOGGERS]
    root_level = logging.root.level
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        logging.root.setLevel(logging.CRITICAL + 1)
        for logger in loggers:
            logger.addHandler(handler)
            logger.setLevel(logging.WARNING)
        try:
            yield
        finally:
            logging.root.setLevel(root_level)
            for logger in loggers:
                logger.removeHandler(handler)
                logger.setLevel(logging.NOTSET)


class _Remarks(logging.Handler):
    """Hands each log message on as a remark."""

    def __init__(self, say: Callable[[str], None]) -> None:
        super().__init__(logging.WARNING)
        self.say = say

    def emit(self, record: logging.LogRecord) -> None:
        self.say(record.getMessage())
