"""Inputs, looked at before anything slow begins: the text, recordings, voice files."""

from __future__ import annotations

import difflib
import os
import sys
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO, TypeVar

from uslm.text.clean import clean
from uslm.text.script import spoken_text
from uslm.voices.names import (
    SUFFIX,
    default_folder,
    existing_voice,
    is_voice_name,
    voice_names,
    voice_path,
)
from uslm.voices.stock import stock_voice, stock_voices
from uslm_app.cli.exit_codes import UsageError
from uslm_app.cli.given import SayOptions
from uslm_app.cli.option_groups import MannerOptions, VoiceOptions
from uslm_tokenizer.errors import MissingResource, TextError, UserError

Given = TypeVar("Given", bound=VoiceOptions)
Mannered = TypeVar("Mannered", bound=MannerOptions)


def read_text(options: SayOptions) -> str:
    """The text to say, from `--text`, `--file` or a pipe; raises TextError if it cannot be said."""
    text, where = _find_text(options)
    if not text.strip():
        raise TextError(f"{where} must have something to say, but is empty")
    if options.max_chars and len(text) > options.max_chars:
        raise TextError(
            f"{where} must have at most {options.max_chars:,} characters, but has {len(text):,} "
            f"(about {len(text) / 54_000:.1f} hours of speech); --max-chars 0 lifts the limit"
        )
    try:
        spoken = clean(spoken_text(text))
    except TextError as error:
        raise TextError(f"{where}: {error}") from error
    if not any(char.isalnum() for char in spoken.text):
        dropped = f" and {', '.join(spoken.dropped[:3])}" if spoken.dropped else ""
        raise TextError(
            f"{where} must have something to say, but {_shortened(text)!r} has no letter or digit, "
            f"only punctuation, symbols or pauses{dropped}"
        )
    return text


def check_file(path: str, what: str) -> None:
    """Raise unless there is a file with something in it; audio is judged later, by reading it."""
    try:
        status = os.stat(path)
    except FileNotFoundError:
        raise MissingResource(f"{what} {path!r} is not there{_nearest(Path(path))}") from None
    except (OSError, ValueError) as error:  # ValueError: a NUL byte in the path
        raise UserError(f"{what} {path!r} cannot be read: {_reason(error)}") from error
    if os.path.isdir(path):
        raise UserError(f"{what} {path!r} must be a file, but is a folder")
    if os.path.isfile(path) and status.st_size == 0:
        raise UserError(f"{what} {path!r} is empty (0 bytes)")
    if not os.access(path, os.R_OK):
        raise UserError(f"{what} {path!r} cannot be read: permission denied")


def check_voice_options(options: Given, *, default: str | None = None) -> Given:
    """The options with the file of a voice in place of its name; where none is given, `default`'s.

    Raises unless the voice is given at most once, and its files are there.
    """
    voice = options.voice
    if options.prompt is not None and options.voice is not None:
        raise UsageError("the voice must be given by --prompt AUDIO or --voice VOICE; not both")
    if options.prompt is None and options.voice is None:
        if default is None:
            raise UsageError(
                "the voice must be given by --prompt AUDIO or --voice VOICE; neither is given; "
                f"{', '.join(stock_voices())} come with uslm"
            )
        if options.prompt_text is not None:
            raise UsageError("--prompt-text goes with --prompt")
        voice = default
    if voice is not None:
        if options.prompt_text is not None:
            raise UsageError("--prompt-text goes with --prompt; a voice file has its own text")
        voice = find_voice(voice)
    elif options.prompt is not None:
        check_prompt(options.prompt)
    if options.prompt_text is not None and not options.prompt_text.strip():
        raise UsageError("--prompt-text must not be empty; leave it out to have it recognised")
    return replace(options, voice=voice)


def check_prompt(prompt: str) -> None:
    """Raise unless it is a file, or standard input with something on it."""
    if prompt != "-":
        check_file(prompt, "the prompt")
    elif sys.stdin is None or sys.stdin.isatty():
        raise UsageError("--prompt - reads standard input, but nothing is piped in")


def read_prompt(prompt: str) -> str | bytes:
    """Source of a recording: the file's name, or the bytes on standard input."""
    return sys.stdin.buffer.read() if prompt == "-" else prompt


def find_voice(name_or_file: str) -> str:
    """The file of a voice: of a kept one, else the file of that name, else of a stock voice."""
    folder = default_folder()
    if is_voice_name(name_or_file):
        if (path := voice_path(folder, name_or_file)).is_file():
            return str(path)
        if not os.path.exists(name_or_file):
            if name_or_file in stock_voices():
                return str(stock_voice(name_or_file).path)
            # Says which names there are.
            existing_voice(folder, name_or_file, others=tuple(stock_voices()))
    check_file(name_or_file, "the voice file")
    return name_or_file


def find_voice_or_recording(voice: str, what: str) -> str:
    """The file of a voice that has a name, or a voice's or a recording's own file."""
    if voice in voice_files() or not Path(voice).suffix:
        return find_voice(voice)
    check_file(voice, what)
    return voice


def check_manner(options: Mannered) -> Mannered:
    """The options with the file of the voice that gives the manner in place of its name."""
    if options.manner is None:
        if options.manner_text is not None:
            raise UsageError("--manner-text goes with --manner, which names the recording")
        return options
    found = find_voice_or_recording(options.manner, "the voice of --manner")
    if options.manner_text is not None:
        if is_voice_file(found):
            raise UsageError("--manner-text goes with a recording; a voice file has its own text")
        if not options.manner_text.strip():
            raise UsageError("--manner-text must not be empty; leave it out to have it recognised")
    return replace(options, manner=found)


def is_voice_file(path: str) -> bool:
    """Whether it is a voice, rather than a recording that is to become one."""
    return Path(path).suffix == SUFFIX


def voice_files() -> dict[str, str]:
    """The files of all voices that have a name: kept ones, and stock voices of other names."""
    folder = default_folder()
    files = {name: str(stock.path) for name, stock in stock_voices().items()}
    return files | {name: str(voice_path(folder, name)) for name in voice_names(folder)}


def _find_text(options: SayOptions) -> tuple[str, str]:
    if options.said is not None and options.text is not None:
        raise UsageError(
            f"the text is given twice, as {_shortened(options.said)!r} and by --text; quote a text "
            "of several words"
        )
    text = options.said if options.text is None else options.text
    if text is not None and options.file is not None:
        raise UsageError("the text must be given by itself or by --file, not both")
    from_stdin = text == "-" or options.file == "-"
    if options.prompt == "-" and (from_stdin or (text is None and options.file is None)):
        raise UsageError("standard input cannot be both the text and the prompt")
    if text is not None and text != "-":
        return text, "the text"
    if options.file is not None and options.file != "-":
        check_file(options.file, "the text file")
        with open(options.file, "rb") as file:
            return _decode(file, options, repr(options.file)), f"the text of {options.file!r}"
    asked_for = "-" in (text, options.file)
    if sys.stdin is None or (sys.stdin.isatty() and not asked_for):
        raise UsageError("no text is given; say it in quotes, use --file, or pipe it in")
    return _decode(sys.stdin.buffer, options, "standard input"), "the text on standard input"


def _decode(file: BinaryIO, options: SayOptions, name: str) -> str:
    # A letter takes at most four bytes: more than that cannot be within the limit.
    limit = 4 * options.max_chars + 4 if options.max_chars else -1
    data = file.read(limit)
    cut_off = len(data) == limit
    try:
        return data.decode("utf-8-sig", errors="ignore" if cut_off else "strict")
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise TextError(
            f"{name} must be UTF-8 text, but byte {error.start + 1} (line {line}) is "
            f"0x{data[error.start]:02X}"
        ) from error


def _nearest(path: Path) -> str:
    folder = path.parent
    if not folder.is_dir():
        return f"; there is no folder {str(folder)!r}"
    near = difflib.get_close_matches(path.name, os.listdir(folder), n=1)
    return f"; did you mean {str(folder / near[0])!r}?" if near else ""


def _reason(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error)


def _shortened(text: str) -> str:
    return text if len(text) <= 40 else text[:37] + "..."
