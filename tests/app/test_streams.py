"""Where sound goes and what a dry run promises: nothing is lost with exit code 0."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from uslm.systems.two_stage import parts
from uslm.systems.two_stage.tiny import tiny_bundle, tiny_voice
from uslm.voices.prompt import VoicePrompt
from uslm_tokenizer import hub
from uslm_tokenizer.errors import UserError

Run = Callable[..., Any]
DEAD_ENDS = ["/dev/stderr", "/dev/fd/2"]


def test_a_text_of_another_language_is_refused_unless_it_is_asked_for(say: Run) -> None:
    german = ("Guten Morgen, wie geht es dir?", "--out", "a.wav")
    for way in ([], ["--dry-run"]):
        say(*german, *way).assert_refused(1, "German", "'tiny' speaks English", "--any-language")
    say("Hello.", "--language", "de_DE", "--out", "a.wav").assert_refused(1, "read as German")
    assert say(*german, "--any-language", "--dry-run").code == 0
    result = say(*german, "--any-language", "--language", "de-DE", "--json")
    assert result.code == 0, result.stderr
    assert json.loads(result.out)["settings"]["any_language"] is True
    assert say("Hello.", "--language", "en_US.UTF-8", "--out", "b.wav").code == 0


def test_a_prompt_may_come_through_a_pipe(
    uslm: Run, tiny_files: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("USLM_VOICES", str(tmp_path / "voices"))
    recording, model = (tiny_files / "prompt.wav").read_bytes(), ("--model", tiny_files / "model")
    say = ("say", "Hello there.", "--seed", 1, "--json", *model)
    piped = uslm(*say, "--prompt", "-", "--out", "a.wav", stdin=recording)
    assert piped.code == 0, piped.stderr
    assert uslm(*say, "--prompt", tiny_files / "prompt.wav", "--out", "b.wav").code == 0
    assert Path("a.wav").read_bytes() == Path("b.wav").read_bytes()
    assert json.loads(piped.out)["voice"] == "voice"
    uslm(*say, "--prompt", "-", stdin=b"").assert_refused(1, "is empty (0 bytes)")
    both = ("say", "--prompt", "-", "--out", "c.wav", *model)
    uslm(*both, stdin=recording).assert_refused(1, "both the text and the prompt")
    create = ("voice", "create", "--prompt", "-", *model)
    uslm(*create, stdin=recording).assert_refused(1, "--name NAME")
    assert uslm(*create, "--name", "ann", stdin=recording).code == 0
    assert (tmp_path / "voices" / "ann.safetensors").is_file()


@pytest.mark.parametrize("name", ["/dev/stdout", "/dev/fd/1", "/proc/self/fd/1"])
def test_every_name_of_standard_output_gives_the_sound(name: str, say: Run) -> None:
    piped = say("--text", "Hello.", "--out", name)
    assert piped.code == 0 and piped.stdout == say("--text", "Hello.", "--out", "-").stdout
    assert piped.stdout.startswith(b"RIFF") and len(piped.stdout) > 1000


@pytest.mark.parametrize("name", DEAD_ENDS)
def test_standard_error_takes_no_sound(name: str, say: Run) -> None:
    say("--text", "Hello.", "--out", name, "--format", "wav").assert_refused(1, name, "file")


def test_subtitles_cannot_go_where_nothing_comes_out(say: Run) -> None:
    result = say("--text", "Hello.", "--out", "a.wav", "--srt", "/dev/stdout")
    result.assert_refused(1, "/dev/stdout", "name a file")


@pytest.fixture
def odd_voices(tmp_path: Path, tiny_files: Path) -> None:
    """Voices that the tiny model cannot speak with."""
    tiny_voice(tiny_bundle(seed=5)).save(tmp_path / "of another model.safetensors")
    voice = VoicePrompt.load(tiny_files / "babble.safetensors")
    other_codes = replace(voice, codes=voice.codes + 10_000)
    other_codes.save(tmp_path / "of other codes.safetensors")
    other_symbols = replace(voice, text_ids=voice.text_ids + 10_000)
    other_symbols.save(tmp_path / "of other symbols.safetensors")


@pytest.mark.parametrize(
    "arguments",
    [
        ["--text", "你好"],
        ["--text", "[pause:1] 你"],
        ["--text", "Hello.", "--prompt", "SHELF/prompt.wav", "--prompt-text", "你好"],
        ["--text", "Hello.", "--prompt", "SHELF/prompt.wav", "--prompt-text", "?!"],
        ["--text", "Hello.", "--language", "xx"],
        ["--text", "Hello.", "--device", "cuda:77"],
        ["--text", "Hello.", "--device", "gpu"],
        ["--text", "Hello.", "--voice", "of another model.safetensors"],
        ["--text", "Hello.", "--voice", "of other codes.safetensors"],
        ["--text", "Hello.", "--voice", "of other symbols.safetensors"],
        ["--text", "[x] Hello.", "--script", "--voice-for", "x=of another model.safetensors"],
    ],
)
def test_a_dry_run_ends_as_the_run_would(
    arguments: list[str], say: Run, tiny_files: Path, odd_voices: None
) -> None:
    arguments = [each.replace("SHELF", str(tiny_files)) for each in arguments]
    run = say(*arguments, "--out", "a.wav")
    dry = say(*arguments, "--out", "a.wav", "--dry-run")
    assert run.code != 0 and dry.code == run.code
    assert dry.stderr.split(", but")[0].strip() == run.stderr.split(", but")[0].strip()
    dry.assert_refused(run.code)


@pytest.mark.parametrize("option", ["--verify", "--retries"])
def test_a_dry_run_asks_whether_the_model_can_verify(
    option: str, say: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(tokenizer: object) -> None:
        raise UserError("it recognises no phonemes")

    monkeypatch.setattr(parts, "recognizer", refuse)
    given = (
        "--text",
        "Hello.",
        "--out",
        "a.wav",
        option,
        *(["1"] if option == "--retries" else []),
    )
    say(*given).assert_refused(1, "it recognises no phonemes")
    say(*given, "--dry-run").assert_refused(1, "it recognises no phonemes")


def test_a_dry_run_reads_no_weights(say: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub, "load_weights", None)
    assert say("--text", "Hello.", "--out", "a.wav", "--dry-run").code == 0
    assert say("--text", "Hello.", "--out", "a.wav").code != 0


def test_a_dry_run_passes_over_what_the_run_passes_over(say: Run) -> None:
    assert say("--text", "你好。\n\nHello there.", "--out", "a.wav", "--dry-run").code == 0


@pytest.mark.skipif(sys.platform == "win32", reason="a folder in use cannot be deleted there")
def test_a_deleted_working_folder_is_named(tmp_path: Path) -> None:
    code = (
        "import os, sys\n"
        "os.mkdir('gone'); os.chdir('gone'); os.rmdir('../gone')\n"
        "from uslm_app.cli import main\n"
        "sys.exit(main(['codecs']))\n"
    )
    path = os.pathsep.join(os.path.abspath(each) for each in sys.path if each)
    environment = {**os.environ, "PYTHONPATH": path}
    run = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env=environment, capture_output=True, text=True
    )
    assert run.returncode == 2 and "was deleted" in run.stderr


def test_a_folder_that_is_no_model_hides_no_pretrained_one(say: Run, tmp_path: Path) -> None:
    (tmp_path / "uslm").mkdir()  # as in the clone
    (tmp_path / "mimi").mkdir()
    for model in ("uslm", "./uslm"):
        result = say("--text", "Hello.", "--out", "a.wav", "--model", model)
        assert (result.code, "bundle.json" in result.stderr) == (2, model == "./uslm")


def test_a_voice_behind_a_long_silence_is_found(say: Run, tiny_files: Path, tmp_path: Path) -> None:
    voice, rate = soundfile.read(tiny_files / "prompt.wav")
    late = np.concatenate([np.zeros(70 * rate), voice])
    soundfile.write(tmp_path / "late.flac", late, rate)
    result = say("--text", "Hello.", "--prompt", "late.flac", "--out", "a.wav", "--dry-run")
    assert result.code == 0 and "69.9 s of silence" in result.stderr
