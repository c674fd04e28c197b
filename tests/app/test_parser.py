"""The command line itself: light to import, helpful when mistyped, honest about defaults."""

import subprocess
import sys
from argparse import Namespace
from dataclasses import FrozenInstanceError, fields

import pytest

from uslm import __version__
from uslm_app.cli import main, main_say
from uslm_app.cli.given import OPTIONS, given
from uslm_app.cli.parser import COMMANDS, command_parser


def test_help_imports_nothing_heavy() -> None:
    code = (
        "import sys; from uslm_app.cli import main; main(['say', '--help']); "
        "print([m for m in ('torch', 'numpy', 'transformers', 'soundfile') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.endswith("[]\n")


@pytest.mark.parametrize("words", ["", *COMMANDS])
def test_help_shows_an_example_or_the_commands(
    words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*words.split(), "--help"]) == 0
    out = capsys.readouterr().out
    assert ("examples:" in out) == bool(words)
    assert "exit codes:" in out


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out.startswith("uslm ")


@pytest.mark.parametrize("words", COMMANDS)
def test_every_command_tells_its_version(words: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*words.split(), "--version"]) == 0
    assert capsys.readouterr().out == f"uslm {__version__}\n"


def test_the_package_is_the_command() -> None:
    command = [sys.executable, "-m", "uslm", "voice", "--help"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.startswith("usage: uslm ") and done.stderr == ""


def test_help_leaves_sampling_to_the_model() -> None:
    """Each model's bundle.json has its own values: the help may not promise others."""
    text = " ".join(command_parser("say").format_help().split())
    for option in ("likeliest (default: the model's own)", "from all (default: the model's)"):
        assert option in text
    assert "1: all (default: the model's)" in text
    given = ["--text", "x", "--prompt", "y.wav", "--out", "z.wav"]
    options = command_parser("say").parse_args(given)
    assert (options.temperature, options.top_k, options.top_p) == (None, None, None)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "no command is given"),
        (["sya"], "did you mean say?"),
        (["voice"], "voice create, voice list, voice show"),
        (["--text", "hi"], "uslm say --text"),
        (["say", "--promt", "x"], "did you mean --prompt?"),
        (["convert", "--source", "x", "--prompt", "x"], "--out"),
        (["say", "--out", "x.wav", "two", "words"], "'words'"),
        (["say", "--out", "x.wav", "--seed", "-1"], "--seed must be a whole number, 0 to"),
        (["say", "--out", "x.wav", "--seed", "one"], "'one'"),
        (["say", "--out", "x.wav", "--temperature", "nan"], "from 0 to 5, but is 'nan'"),
        (["say", "--out", "x.wav", "--temperature", "-0.1"], "from 0 to 5"),
        (["say", "--out", "x.wav", "--top-k", "2.5"], "--top-k must be a whole number, 0 or more"),
        (["say", "--out", "x.wav", "--top-p", "0"], "above 0 and at most 1"),
        (["say", "--out", "x.wav", "--top-p", "1.01"], "above 0 and at most 1"),
        (["say", "--out", "x.wav", "--retries", "99"], "0 to 20"),
        (["say", "--out", "x.wav", "--speed", "5"], "--speed must be a number from 0.25 to 4"),
        (["say", "--out", "x.wav", "--dtype", "float23"], "did you mean float32?"),
        (["say", "--out", "x.wav", "--format", "wave"], "did you mean wav?"),
        (["say", "--out", "x.wav", "--threads", "0"], "--threads must be"),
    ],
)
def test_usage_errors_are_one_helpful_line(
    arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("uslm: error: ") and captured.err.count("\n") == 1
    assert words in captured.err


def test_uslm_tts_is_uslm_say(capsys: pytest.CaptureFixture[str]) -> None:
    assert main_say(["--help"]) == 0
    assert capsys.readouterr().out.startswith("usage: uslm say")


@pytest.mark.parametrize("option", ["--temperature", "--top-k"])
def test_an_explicit_zero_is_kept(option: str) -> None:
    found = command_parser("say").parse_args(["--out", "x.wav", option, "0"])
    assert getattr(found, option.removeprefix("--").replace("-", "_")) == 0


@pytest.mark.parametrize("words", COMMANDS)
def test_options_of_a_command_are_those_that_its_parser_knows(words: str) -> None:
    assert OPTIONS.keys() == COMMANDS.keys()
    actions = command_parser(words)._actions
    parsed = {action.dest for action in actions if action.dest not in ("help", "version")}
    assert {field.name for field in fields(OPTIONS[words])} == {"command", *parsed}


def test_what_was_given_is_frozen() -> None:
    common = {"json": False, "quiet": True, "debug": False}
    options = given("voice remove", Namespace(names=["anna", "ben"], **common))
    assert vars(options) == {"command": "voice remove", "names": ("anna", "ben"), **common}
    with pytest.raises(FrozenInstanceError):
        options.quiet = False  # type: ignore[misc]
