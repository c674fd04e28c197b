"""Types of an option's value; anything else is refused with words that say so."""

from __future__ import annotations

import difflib
from argparse import ArgumentTypeError
from collections.abc import Callable, Iterable, Sequence

from uslm.voices.names import is_voice_name

STANDARD_OUTPUT = ("/dev/stdout", "/dev/fd/1", "/proc/self/fd/1")
STANDARD_ERROR = ("/dev/stderr", "/dev/fd/2", "/proc/self/fd/2")


def whole(low: int, high: int | None = None) -> Callable[[str], int]:
    """A whole number within limits."""
    wanted = f"a whole number, {low} {'or more' if high is None else f'to {high}'}"

    def convert(text: str) -> int:
        try:
            value = int(text)
        except ValueError:
            raise _refused(wanted, text) from None
        if value < low or (high is not None and value > high):
            raise _refused(wanted, text)
        return value

    return convert


def address(text: str) -> tuple[str, int]:
    """`PORT` of this machine alone, or `ADDRESS:PORT`; an IPv6 address stands in brackets."""
    host, _, port = text.rpartition(":")
    host = host or "127.0.0.1"
    bare = host[1:-1] if host.startswith("[") and host.endswith("]") else host
    if not (port.isascii() and port.isdigit() and int(port) < 2**16) or (
        bare == host and ":" in host
    ):
        raise _refused("a port, 0 to 65535, or ADDRESS:PORT", text)
    return bare, int(port)


def number(low: float, high: float, *, above: bool = False) -> Callable[[str], float]:
    """A number within limits; `above` leaves the lower one out."""
    wanted = f"a number {f'above {low} and at most' if above else f'from {low} to'} {high}"

    def convert(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            raise _refused(wanted, text) from None
        if not low <= value <= high or (above and value == low):  # NaN fails too
            raise _refused(wanted, text)
        return value

    return convert


def one_of(choices: Sequence[str]) -> Callable[[str], str]:
    """One of a few words."""

    def convert(text: str) -> str:
        if text not in choices:
            raise _refused(f"one of {', '.join(choices)}", text, did_you_mean(text, choices))
        return text

    return convert


def named(text: str) -> tuple[str, str]:
    """A name and what it stands for."""
    name, _, value = text.partition("=")
    if not (is_voice_name(name) and value):
        raise _refused("NAME=VOICE, as in anna=anna.wav", text)
    return name, value


def stream_or_file(text: str) -> str:
    """Target of audio, `-` for every name of standard output: while we run, its descriptor leads
    to nowhere, and so would the file of that name."""
    return "-" if text in STANDARD_OUTPUT else text


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """`; did you mean ...?`, or nothing where no known name is near."""
    near = difflib.get_close_matches(name, list(known), n=1)
    return f"; did you mean {near[0]}?" if near else ""


def _refused(wanted: str, text: str, hint: str = "") -> ArgumentTypeError:
    return ArgumentTypeError(f"must be {wanted}, but is {text!r}{hint}")
