"""What reaches the user: our own lines, and nothing that libraries print, warn, log or draw."""

from __future__ import annotations

import errno
import io
import json
import logging
import os
import sys
import warnings
from types import ModuleType

import pytest

from uslm_app.cli import main
from uslm_app.cli.console import Console, one_line, open_console
from uslm_app.cli.exit_codes import ExitCode, explain
from uslm_app.cli.progress import TextProgress
from uslm_tokenizer.errors import (
    ConfigError,
    EnvironmentProblem,
    GenerationError,
    MissingResource,
    UserError,
)


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """A stand-in for `uslm bench`; tests give it a `run`."""
    module = ModuleType("uslm_app.commands.bench")
    monkeypatch.setitem(sys.modules, "uslm_app.commands.bench", module)
    return module


def test_the_noise_of_libraries_is_dropped(
    command: ModuleType, capfd: pytest.CaptureFixture[str]
) -> None:
    def run(options: object, console: Console) -> None:
        print("print")
        print("print", file=sys.stderr)
        os.write(1, b"from C")
        os.write(2, b"from C")
        warnings.warn("a warning", stacklevel=1)
        logging.getLogger("transformers").error("a log line")
        logging.getLogger("uslm.text").warning("ours")
        console.result("the result")
        console.note("a note")

    command.run = run  # type: ignore[attr-defined]
    assert main(["bench"]) == 0
    captured = capfd.readouterr()
    assert captured.out == "the result\n"
    assert captured.err == "uslm: warning: ours\nuslm: a note\n"
    print("as before")
    os.write(2, b"too")
    captured = capfd.readouterr()
    assert (captured.out, captured.err) == ("as before\n", "too")


def test_quiet_keeps_results_and_drops_remarks(
    command: ModuleType, capfd: pytest.CaptureFixture[str]
) -> None:
    def run(options: object, console: Console) -> None:
        logging.getLogger("uslm.text").warning("ours")
        console.warn("a warning")
        console.json({"é": 1})

    command.run = run  # type: ignore[attr-defined]
    assert main(["bench", "--quiet"]) == 0
    captured = capfd.readouterr()
    assert (captured.out, captured.err) == ('{"é": 1}\n', "")


def test_debug_shows_the_traceback(command: ModuleType) -> None:
    def run(options: object, console: Console) -> None:
        raise UserError("too bad")

    command.run = run  # type: ignore[attr-defined]
    with pytest.raises(UserError, match="too bad"):
        main(["bench", "--debug"])


@pytest.mark.parametrize(
    ("error", "code", "words"),
    [
        (UserError("x"), 1, "x"),
        (ConfigError("x"), 1, "x"),
        (MissingResource("x"), 2, "x"),
        (FileNotFoundError(errno.ENOENT, "gone", "a.wav"), 2, "'a.wav': gone"),
        (PermissionError(errno.EACCES, "denied", "a.wav"), 1, "'a.wav': denied"),
        (EnvironmentProblem("x"), 3, "x"),
        (ModuleNotFoundError("no module named x"), 3, "a package is missing or broken"),
        (MemoryError(), 3, "not enough memory"),
        (RuntimeError("DefaultCPUAllocator: not enough memory: 9 GB"), 3, "not enough memory"),
        (OSError(errno.ENOSPC, "No space left on device"), 3, "free some space"),
        (OSError(errno.EIO, "I/O error"), 3, "I/O error"),
        (GenerationError("x"), 4, "x"),
        (KeyError("x"), 4, "internal error, KeyError: 'x'; --debug"),
        (BrokenPipeError(), 141, ""),
        (KeyboardInterrupt(), 130, ""),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, BaseException) else None,
)
def test_every_error_has_its_exit_code_and_one_line(
    error: BaseException,
    code: int,
    words: str,
    command: ModuleType,
    capfd: pytest.CaptureFixture[str],
) -> None:
    def run(options: object, console: Console) -> None:
        raise error

    command.run = run  # type: ignore[attr-defined]
    assert main(["bench"]) == code
    captured = capfd.readouterr()
    assert captured.out == ""
    assert captured.err.count("\n") == (1 if words else 0)
    assert words in captured.err


def test_a_full_disk_below_another_error_is_found() -> None:
    error = UserError("'a.wav' could not be written")
    error.__cause__ = OSError(errno.ENOSPC, "No space left on device")
    assert explain(error) == (ExitCode.ENVIRONMENT, "'a.wav' could not be written")


def test_lines_stay_lines() -> None:
    assert one_line("two\nlines\tand \x1b[31mred\x00") == "two lines and \\x1b[31mred\\x00"


def test_characters_that_a_terminal_lacks_are_written_out(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with open_console() as console:
        console.result("half a pair: \udc80")
    assert capfd.readouterr().out == "half a pair: \\udc80\n"


def test_progress_is_shown_for_long_texts_to_people_only(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def shown(num_chars: int, *, tty: bool, quiet: bool = False) -> bool:
        monkeypatch.setattr(sys.stderr, "isatty", lambda: tty)
        console = Console(sys.stdout, sys.stderr)
        console.quiet = quiet
        with TextProgress(num_chars, console) as progress:
            progress.advance(num_chars // 2)
        return "speaking" in capsys.readouterr().err

    assert shown(5_000, tty=True)
    assert not shown(5_000, tty=False)
    assert not shown(5_000, tty=True, quiet=True)
    assert not shown(50, tty=True)


@pytest.mark.parametrize(
    "odd", ["\x1b[2J", "\x9b2J", "\r", "\n", "\x07", "\x7f", "\u202e", "\u2028", "\u2066"]
)
def test_what_a_terminal_would_obey_is_written_out(odd: str) -> None:
    """A voice file says who agreed to what, and may have been written by anybody."""
    out = io.StringIO()
    console = Console(out, io.StringIO())
    console.result(f"licence  CC0{odd}licence  mine")
    console.json({"licence": f"CC0{odd}"})
    plain, record = out.getvalue().removesuffix("\n").split("\n")
    assert not set(odd) & set(plain + record) - set("[2J")
    assert json.loads(record) == {"licence": f"CC0{odd}"}


def test_all_writing_is_shown_as_it_is() -> None:
    out = io.StringIO()
    text = "naïve\t日本語 \u200dعربي\u200c 👩\u200d💻 ðɪs\xa0ɪz"  # noqa: RUF001
    Console(out, io.StringIO()).result(text)
    assert out.getvalue() == f"{text}\n"
