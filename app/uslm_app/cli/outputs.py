"""Targets of results, checked before anything slow begins; and files that are no audio."""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Iterable
from itertools import chain, count
from pathlib import Path
from typing import Any, BinaryIO

from uslm_app.cli.console import Console
from uslm_app.cli.exit_codes import UsageError
from uslm_app.cli.option_types import STANDARD_ERROR, STANDARD_OUTPUT
from uslm_tokenizer.audio.output import open_output
from uslm_tokenizer.errors import UserError

AudioTarget = str | BinaryIO


def check_output(path: str, *, force: bool, inputs: Iterable[str | None]) -> None:
    """Raise unless a file can be made there, without harm to what goes in."""
    if path in STANDARD_OUTPUT + STANDARD_ERROR:
        raise UsageError(f"{path!r} cannot be written to; name a file")
    for name in inputs:
        if name and os.path.exists(path) and os.path.samefile(path, name):
            raise UserError(f"the output {path!r} is also an input; choose another name")
    if os.path.exists(path) and not stat.S_ISREG(os.stat(path).st_mode):
        if os.path.isdir(path):
            raise UserError(f"the output {path!r} is a folder; name a file in it")
        return  # a device or a named pipe: opening it only to look would disturb its reader
    open_output(path, force=force).abort()


def check_distinct(paths: Iterable[str | None]) -> None:
    """Raise if two outputs of one command would be one file."""
    seen: set[str] = set()
    for path in paths:
        if path is None:
            continue
        if (real := os.path.realpath(path)) in seen:
            raise UsageError(f"{path!r} is named for two outputs; give each its own file")
        seen.add(real)


def audio_target(
    out: str, format: str | None, console: Console, *, force: bool, inputs: Iterable[str | None]
) -> AudioTarget:
    """Target of a StreamWriter: the path, checked, or standard output."""
    if out != "-":
        check_output(out, force=force, inputs=inputs)
        return out
    if console.stdout.isatty():
        raise UsageError(
            "audio does not go to a terminal; redirect it, or name a file: --out X.wav"
        )
    if format == "mp3":
        raise UsageError(
            "mp3 cannot be streamed; --format may be wav, flac, ogg, opus, aac, m4a or raw"
        )
    console.audio_on_stdout = True
    return console.binary_stdout()


def unused_file(stem: str, format: str | None) -> str:
    """A file of this folder that is not there yet: `speech.wav`, `speech-2.wav`, ..."""
    suffix = (format or "wav").partition("-")[0]
    names = (f"{stem}{number}.{suffix}" for number in chain([""], (f"-{n}" for n in count(2))))
    return next(name for name in names if not os.path.lexists(name))


def sidecar_path(out: str, *, force: bool) -> str:
    """Path of the JSON beside an audio file, checked."""
    if out == "-":
        raise UsageError("--sidecar needs a file beside which to lie; --json works with --out -")
    path = f"{out}.json"
    check_output(path, force=force, inputs=())
    return path


def check_suffix(path: str, suffix: str, what: str) -> None:
    """Raise unless the path ends so."""
    if Path(path).suffix.lower() != suffix:
        raise UsageError(f"{what} must end in {suffix}, but is {path!r}")


def write_json(path: str, record: dict[str, Any], *, force: bool) -> None:
    """Write a record for people and programs to read."""
    text = json.dumps(record, ensure_ascii=False, indent=2) + "\n"
    write_file(path, text.encode("utf-8", "backslashreplace"), force=force)


def write_file(path: str, data: bytes, *, force: bool) -> None:
    """Write a file that appears only when it is whole."""
    output = open_output(path, force=force)
    try:
        output.file.write(data)
        output.finish()
    except OSError as error:
        raise output.failure(error) from error
    finally:
        output.abort()
