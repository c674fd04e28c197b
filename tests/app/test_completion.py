"""The shells complete what the commands have."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from uslm_app.cli.completion import completion_script
from uslm_app.cli.parser import COMMANDS, command_parser

ASK = """
source "$1"; shift
COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); COMPREPLY=()
_shtab_uslm
printf '%s\\n' "${COMPREPLY[@]}"
"""


def completed(script: Path, *words: str) -> set[str]:
    """What bash offers for the last word."""
    command = ["bash", "-c", ASK, "bash", str(script), *words]
    run = subprocess.run(command, capture_output=True, text=True, check=True)
    return {line.strip() for line in run.stdout.splitlines() if line.strip()}


@pytest.fixture(scope="module")
def script(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("completion") / "uslm.bash"
    path.write_text(completion_script("bash"), "utf-8")
    return path


def test_bash_completes_every_command(script: Path) -> None:
    firsts = {words.split()[0] for words in COMMANDS}
    assert completed(script, "uslm", "") == firsts
    assert completed(script, "uslm", "voice", "") == {
        words.split()[1] for words in COMMANDS if words.startswith("voice ")
    }
    assert completed(script, "uslm", "mod") == {"models"}


@pytest.mark.parametrize("words", COMMANDS)
def test_bash_completes_the_options_of_each(script: Path, words: str) -> None:
    own = {name for name in command_parser(words)._option_string_actions if name.startswith("--")}
    assert completed(script, "uslm", *words.split(), "--") == own - {"--version"}


def test_bash_completes_files_where_a_file_is_meant(
    script: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("me.wav").touch()
    Path("more").mkdir()
    assert completed(script, "uslm", "say", "--prompt", "m") == {"me.wav", "more"}
    assert completed(script, "uslm", "serve", "--voices", "m") == {"more"}
    assert completed(script, "uslm", "say", "--seed", "m") == set()


def test_uslm_tts_has_a_script_of_its_own() -> None:
    assert "--prompt" in completion_script("bash", "uslm-tts")


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_other_shells_can_read_theirs(shell: str, tmp_path: Path) -> None:
    text = completion_script(shell)
    assert all(option in text for option in ("prompt-text", "voice-alias", "any-language"))
    if shutil.which(shell):
        path = tmp_path / "script"
        path.write_text(text, "utf-8")
        subprocess.run([shell, "-n", str(path)], check=True)
