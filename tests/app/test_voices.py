"""uslm voice: voices are made, kept by name, listed, heard, handed on and removed."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import soundfile
from safetensors import SafetensorError

from uslm.output import playing
from uslm.voices.prompt import VoicePrompt
from uslm.voices.stock import stock_voices
from uslm.voices.store import VoiceStore
from uslm_tokenizer.errors import EnvironmentProblem

Uslm = Callable[..., Any]


@pytest.fixture(autouse=True)
def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder that voices are kept in; it does not exist yet."""
    folder = tmp_path / "kept"
    monkeypatch.setenv("USLM_VOICES", str(folder))
    return folder


@pytest.fixture
def model(tiny_files: Path) -> tuple[str, Path]:
    """The option that names the tiny model."""
    return "--model", tiny_files / "model"


@pytest.fixture
def babble(uslm: Uslm, tiny_files: Path, kept: Path) -> Path:
    """The file of a kept voice."""
    result = uslm("voice", "import", tiny_files / "babble.safetensors")
    assert result.code == 0 and "the voice 'babble', made by the model 'tiny'" in result.stderr
    return kept / "babble.safetensors"


def test_a_voice_is_made_kept_and_spoken_with(
    uslm: Uslm, tiny_files: Path, model: tuple[str, Path], kept: Path, tmp_path: Path
) -> None:
    about = ("--licence", "CC BY 4.0", "--consent", "Ann agreed, by letter")
    create = (
        "voice",
        "create",
        "--prompt",
        tiny_files / "prompt.wav",
        "--name",
        "ann",
        *about,
        *model,
    )
    made = uslm(*create, "--json")
    assert made.code == 0, made.stderr
    record = json.loads(made.out)
    assert record["out"] == str(kept / "ann.safetensors")
    assert (record["licence"], record["consent"]) == ("CC BY 4.0", "Ann agreed, by letter")
    assert record["recording"] == "prompt.wav" and record["model_hash"]
    assert "licence         CC BY 4.0\n" in uslm("voice", "show", "ann").out
    said = uslm("say", "--text", "Hi there.", "--voice", "ann", "--out", "a.wav", *model)
    assert said.code == 0, said.stderr
    converted = uslm(
        "convert", "--source", tiny_files / "prompt.wav", "--voice", "ann", "--out", "b.wav", *model
    )
    assert converted.code == 0, converted.stderr
    uslm(*create).assert_refused(1, "there is a voice 'ann' already", "--force")
    assert uslm(*create, "--force").code == 0


def test_any_speaker_model_makes_the_vector(
    uslm: Uslm, tiny_files: Path, model: tuple[str, Path], kept: Path, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    (tmp_path / "voice_judges.py").write_text("def embed(waveform): return waveform[:3] * 0 + 7\n")
    monkeypatch.syspath_prepend(tmp_path)
    create = ("voice", "create", "--prompt", tiny_files / "prompt.wav", "--name", "ann", *model)
    assert uslm(*create, "--speaker-model", "voice_judges:embed").code == 0
    voice = VoicePrompt.load(kept / "ann.safetensors")
    assert voice.speaker_embedding is not None and voice.speaker_embedding.tolist() == [7, 7, 7]
    assert voice.speaker_model == "voice_judges:embed"
    wrong = uslm(*create, "--force", "--speaker-model", "ecapa")
    wrong.assert_refused(1, "speaker model must be", "'ecapa'")


def test_the_file_names_a_voice_unless_it_cannot(
    uslm: Uslm, tiny_files: Path, model: tuple[str, Path], kept: Path, tmp_path: Path
) -> None:
    samples, rate = soundfile.read(tiny_files / "prompt.wav")
    soundfile.write(tmp_path / "my voice.wav", samples, rate)
    create = ("voice", "create", "--prompt", "my voice.wav", *model)
    uslm(*create).assert_refused(1, "name must be", "'my voice'")
    assert not kept.exists()
    assert uslm(*create, "--name", "mine").code == 0
    assert [path.name for path in kept.iterdir()] == ["mine.safetensors"]


def test_kept_voices_are_listed(uslm: Uslm, babble: Path) -> None:
    (babble.parent / "torn.safetensors").write_bytes(babble.read_bytes()[:100])
    result = uslm("voice", "list")
    assert result.code == 0
    kept, *stock = result.out.splitlines()
    assert kept == "babble    1.2 s  tiny  licence unknown"
    assert [line.split()[0] for line in stock] == list(stock_voices())
    assert all("comes with uslm" in line for line in stock)
    assert "warning: voice 'torn'" in result.stderr and "not a voice file" in result.stderr
    record = json.loads(uslm("voice", "list", "--json").out)
    assert record["folder"] == str(babble.parent)
    assert [voice["name"] for voice in record["voices"]] == ["babble"]
    assert [voice["name"] for voice in record["stock"]] == list(stock_voices())


def test_an_empty_list_says_where_it_looked(uslm: Uslm, kept: Path) -> None:
    result = uslm("voice", "list")
    assert result.code == 0 and str(kept) in result.stderr
    assert len(result.out.splitlines()) == len(stock_voices())
    assert not kept.exists()


def test_a_text_is_spoken_by_a_voice_that_comes_along(
    uslm: Uslm, model: tuple[str, Path], tmp_path: Path
) -> None:
    for out in ("speech.wav", "speech-2.wav"):
        said = uslm("say", "Hello there.", *model, "--seed", 1, "--json")
        assert said.code == 0, said.stderr
        record = json.loads(said.out)
        assert (record["voice"], record["out"], record["text"]) == ("ada", out, "Hello there.")
        assert soundfile.info(out).duration == pytest.approx(record["seconds"], abs=0.01)
    other = uslm("say", "Hello there.", "--voice", "ben", "--format", "flac", *model, "--json")
    assert json.loads(other.out)["voice"] == "ben" and Path("speech.flac").is_file()
    prompt_text = uslm("say", "Hello.", "--prompt-text", "Hi.", *model)
    prompt_text.assert_refused(1, "--prompt-text goes with --prompt")


def test_stock_voices_are_voices_but_are_not_removed(
    uslm: Uslm, tiny_files: Path, model: tuple[str, Path], babble: Path, tmp_path: Path
) -> None:
    assert "Apache-2.0" in uslm("voice", "show", "ada").out
    refused = uslm("voice", "remove", "babble", "ada")
    refused.assert_refused(1, "'ada' comes with uslm")
    assert babble.exists()
    uslm("voice", "show", "adda").assert_refused(2, "no voice 'adda'", "did you mean 'ada'?")
    source = ("convert", "--source", tiny_files / "prompt.wav", "--out", "b.wav", *model)
    uslm(*source).assert_refused(1, "neither is given", "ada, ben")
    assert uslm(*source, "--voice", "ada").code == 0
    # A voice of the user's own goes before.
    assert uslm("voice", "import", babble, "--name", "ada").code == 0
    assert "model           tiny" in uslm("voice", "show", "ada").out
    assert "ada       1.2 s" in uslm("voice", "list").out
    assert uslm("voice", "remove", "ada").code == 0


def test_a_voice_is_called_what_it_is_kept_under(
    uslm: Uslm, model: tuple[str, Path], babble: Path
) -> None:
    VoiceStore(babble.parent).rename("babble", "anna")
    said = uslm("say", "--text", "Hi.", "--voice", "anna", "--out", "a.wav", "--json", *model)
    assert json.loads(said.out)["voice"] == "anna"
    assert json.loads(uslm("voice", "show", "anna", "--json").out)["name"] == "anna"
    assert uslm("voice", "export", "anna", "--out", "elsewhere.safetensors").code == 0
    assert VoicePrompt.load("elsewhere.safetensors").name == "anna"


def test_a_voice_is_imported_under_any_name(uslm: Uslm, babble: Path, tiny_files: Path) -> None:
    file = tiny_files / "babble.safetensors"
    uslm("voice", "import", file).assert_refused(1, "there is a voice 'babble' already")
    assert uslm("voice", "import", file, "--name", "other").code == 0
    assert VoicePrompt.load(babble.with_name("other.safetensors")).name == "other"
    uslm("voice", "import", file, "--name", "../out").assert_refused(1, "name must be")
    uslm("voice", "import", tiny_files / "prompt.wav").assert_refused(1, "not a voice file")


def test_a_voice_whose_name_is_none_for_the_store_needs_another(
    uslm: Uslm, tiny_files: Path, tmp_path: Path
) -> None:
    from dataclasses import replace

    voice = replace(VoicePrompt.load(tiny_files / "babble.safetensors"), name="Ann Müller")
    voice.save(tmp_path / "a.safetensors")
    uslm("voice", "import", "a.safetensors").assert_refused(1, "Ann M", "--name")


def test_a_voice_is_exported_as_file_and_sound(
    uslm: Uslm, babble: Path, model: tuple[str, Path], tmp_path: Path
) -> None:
    export = ("voice", "export", "babble", "--out", "b.safetensors", "b.flac", *model)
    result = uslm(*export)
    assert result.code == 0, result.stderr
    assert VoicePrompt.load(tmp_path / "b.safetensors").facts() == VoicePrompt.load(babble).facts()
    info = soundfile.info(tmp_path / "b.flac")
    assert (info.samplerate, info.frames) == (16_000, 19_200)
    uslm(*export).assert_refused(1, "exists")
    wrong = ("voice", "export", "babble", "--out", "b.xyz", *model)
    uslm(*wrong).assert_refused(1, ".xyz")
    assert not (tmp_path / "b.xyz").exists()


def test_a_voice_of_another_model_is_refused_by_name(
    uslm: Uslm, babble: Path, tmp_path: Path
) -> None:
    result = uslm("voice", "export", "babble", "--out", "b.wav")  # with the embedded model
    result.assert_refused(1, "'babble' was made with the tokenizer of model 'tiny'")


def test_voices_are_removed_all_or_none(uslm: Uslm, babble: Path, tiny_files: Path) -> None:
    uslm("voice", "import", tiny_files / "babble.safetensors", "--name", "b2")
    uslm("voice", "remove", "b2", "bable").assert_refused(2, "'bable'", "did you mean 'babble'?")
    uslm("voice", "remove", "../kept/babble").assert_refused(1, "name must be")
    assert json.loads(uslm("voice", "remove", "b2", "babble", "--json").out) == {
        "removed": ["b2", "babble"]
    }
    assert not list(babble.parent.iterdir())


def test_a_voice_that_is_not_there_is_missed_before_any_work(uslm: Uslm, babble: Path) -> None:
    for command in (["say", "--text", "Hi.", "--out", "a.wav", "--voice"], ["voice", "show"]):
        uslm(*command, "bable").assert_refused(2, "no voice 'bable'", "did you mean 'babble'?")
        uslm(*command, "gone.safetensors").assert_refused(2, "'gone.safetensors' is not there")


def test_the_output_may_not_be_the_voice_itself(
    uslm: Uslm, babble: Path, model: tuple[str, Path]
) -> None:
    before = babble.read_bytes()
    for arguments in (
        ("say", "--text", "Hi.", "--voice", "babble", "--format", "raw"),
        ("voice", "export", "babble"),
    ):
        uslm(*arguments, "--out", babble, "--force", *model).assert_refused(1, "also an input")
    assert babble.read_bytes() == before


# ---- playing


def test_a_voice_is_played_by_the_package(
    uslm: Uslm, babble: Path, model: tuple[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    played: list[tuple[np.ndarray, int]] = []
    module = SimpleNamespace(
        check_output_settings=lambda: None,
        play=lambda samples, rate: played.append((samples, rate)),
        wait=lambda: played.append("waited"),
    )
    monkeypatch.setitem(sys.modules, "sounddevice", module)
    result = uslm("voice", "play", "babble", "--json", *model)
    assert json.loads(result.out) == {"voice": "babble", "seconds": 1.2}
    (samples, rate), waited = played
    assert (samples.shape, samples.dtype, rate, waited) == ((19_200,), np.float32, 16_000, "waited")


def test_a_voice_that_the_disk_has_no_room_for(
    uslm: Uslm,
    tiny_files: Path,
    model: tuple[str, Path],
    kept: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Safetensors tells it in words of its own."""

    def fail(*arguments: Any, **more: Any) -> None:
        raise SafetensorError("I/O error: No space left on device (os error 28)")

    monkeypatch.setattr("uslm.voices.prompt.save_file", fail)
    create = ("voice", "create", "--prompt", tiny_files / "prompt.wav", "--name", "ann", *model)
    uslm(*create).assert_refused(3, "could not be written: No space left on device")
    assert not list(kept.iterdir())


@pytest.fixture
def no_package(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """As if sounddevice were not installed; the folder where programs are looked for."""
    monkeypatch.setitem(sys.modules, "sounddevice", None)
    programs = tmp_path / "programs"
    programs.mkdir()
    monkeypatch.setenv("PATH", f"{programs}")
    return programs


def write_program(folder: Path, script: str) -> None:
    path = folder / "aplay"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)


@pytest.mark.skipif(os.name == "nt", reason="a shell script stands in for the player")
def test_a_voice_is_played_by_a_program(
    uslm: Uslm, babble: Path, model: tuple[str, Path], no_package: Path, tmp_path: Path
) -> None:
    write_program(no_package, f'/bin/cp "$2" {tmp_path}/heard.wav')
    assert uslm("voice", "play", "babble", *model).code == 0
    assert soundfile.info(tmp_path / "heard.wav").frames == 19_200
    write_program(no_package, "echo no such device >&2; exit 1")
    result = uslm("voice", "play", "babble", *model)
    result.assert_refused(3, "aplay could not play: no such device")


def test_where_nothing_plays_it_says_what_would(
    uslm: Uslm, babble: Path, no_package: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    result = uslm("voice", "play", "babble")
    result.assert_refused(3, "uslm[play]", "aplay", "uslm voice export")


def test_a_machine_without_sound_has_no_package(monkeypatch: pytest.MonkeyPatch) -> None:
    class PortAudioError(Exception):
        pass

    def check_output_settings() -> None:
        raise PortAudioError("no device")

    module = SimpleNamespace(check_output_settings=check_output_settings)
    monkeypatch.setitem(sys.modules, "sounddevice", module)
    monkeypatch.setenv("PATH", "")
    with pytest.raises(EnvironmentProblem, match="nothing here plays sound"):
        playing.find_player()
