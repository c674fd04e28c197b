"""`uslm say` with a model that babbles: where text comes from, where sound goes, what is told."""

# ruff: noqa: RUF001 (phonemes look like letters)

from __future__ import annotations

import io
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from uslm.systems.two_stage.bundle import load_bundle
from uslm.tts import ZeroShotTTS
from uslm.voices.prompt import VoicePrompt

Say = Callable[..., Any]
TEXT = "Hello there, you and all your friends. The second sentence is here, at last."


@pytest.fixture(scope="module")
def spoken(tiny_files: Path) -> np.ndarray:
    """What the library says for the same text and seed."""
    tts = ZeroShotTTS(load_bundle(tiny_files / "model"))
    voice = VoicePrompt.load(tiny_files / "babble.safetensors")
    samples: np.ndarray = tts.generate(TEXT, voice, seed=7).waveform[0].numpy()
    return samples


@pytest.mark.parametrize("suffix", ["wav", "flac", "ogg", "opus", "mp3", "raw"])
def test_every_format_is_written(say: Say, suffix: str, tmp_path: Path) -> None:
    result = say("--text", "Hello.", "--out", f"speech.{suffix}")
    assert (result.code, result.stdout) == (0, b"")
    assert f"speech.{suffix}: " in result.stderr and "seed " in result.stderr
    assert (tmp_path / f"speech.{suffix}").stat().st_size > 100


def test_the_file_holds_what_the_library_says(say: Say, tmp_path: Path, spoken: np.ndarray) -> None:
    assert say("--text", TEXT, "--out", "a.wav", "--format", "wav-float", "--seed", 7).code == 0
    samples, rate = soundfile.read(tmp_path / "a.wav", dtype="float32")
    assert rate == 16_000
    np.testing.assert_array_equal(samples, spoken)


def test_same_seed_same_bytes(say: Say, tmp_path: Path) -> None:
    for name in ("a.wav", "b.wav"):
        assert say("--text", TEXT, "--out", name, "--seed", 3).code == 0
    assert (tmp_path / "a.wav").read_bytes() == (tmp_path / "b.wav").read_bytes()


@pytest.mark.parametrize("way", ["text", "file", "pipe", "dash", "file dash"])
def test_text_comes_from_anywhere(say: Say, way: str, tmp_path: Path) -> None:
    (tmp_path / "text.txt").write_bytes("\ufeffGood day.\r\n".encode())
    arguments = {
        "text": ["--text", "Good day."],
        "file": ["--file", "text.txt"],
        "pipe": [],
        "dash": ["--text", "-"],
        "file dash": ["--file", "-"],
    }[way]
    result = say(*arguments, "--out", "a.wav", "--json", stdin=b"Good day.")
    assert result.code == 0, result.stderr
    assert json.loads(result.out)["text"].strip() == "Good day."


def test_audio_streams_to_stdout_and_the_report_to_stderr(
    say: Say, spoken: np.ndarray, tmp_path: Path
) -> None:
    result = say("--text", TEXT, "--out", "-", "--format", "raw", "--seed", 7, "--json")
    assert result.code == 0
    samples = np.frombuffer(result.stdout, "<i2") / 32768
    np.testing.assert_allclose(samples, spoken, atol=1 / 32000)
    assert json.loads(result.stderr)["seed"] == 7
    assert list(tmp_path.iterdir()) == []


def test_stdout_is_wav_unless_told_otherwise(say: Say) -> None:
    result = say("--text", "Hello.", "--out", "-", "--quiet")
    assert result.stderr == ""
    samples, rate = soundfile.read(io.BytesIO(result.stdout))
    assert rate == 16_000 and len(samples) > 1000


def test_json_is_one_line_that_says_how_to_do_it_again(say: Say, tmp_path: Path) -> None:
    result = say("--text", TEXT, "--out", "a.wav", "--json", "--top-k", 0, "--quiet", seed=None)
    assert result.stderr == "" and result.out.count("\n") == 1
    record = json.loads(result.out)
    assert record["settings"] == {"top_k": 0, "verify": False}
    assert record["model"] == "tiny" and record["voice"] == "babble"
    assert record["seconds"] == pytest.approx(soundfile.info(tmp_path / "a.wav").duration, abs=1e-3)
    assert [segment["index"] for segment in record["segments"]] == [0, 1]
    assert 0 < record["timings"]["first_audio"] <= record["timings"]["total"]
    again = say("--text", TEXT, "--out", "b.wav", "--seed", record["seed"], "--top-k", 0)
    assert again.code == 0
    assert (tmp_path / "a.wav").read_bytes() == (tmp_path / "b.wav").read_bytes()


def test_sidecar_lies_beside_the_output(say: Say, tmp_path: Path) -> None:
    assert say("--text", "Hello.", "--out", "a.wav", "--sidecar").code == 0
    record = json.loads((tmp_path / "a.wav.json").read_text())
    assert record["text"] == "Hello." and isinstance(record["seed"], int)
    (tmp_path / "a.wav").unlink()
    result = say("--text", "Hello.", "--out", "a.wav", "--sidecar")
    assert result.code == 1 and "a.wav.json" in result.stderr
    assert not (tmp_path / "a.wav").exists()


def test_an_existing_file_is_replaced_only_by_force(say: Say, tmp_path: Path) -> None:
    (tmp_path / "a.wav").write_bytes(b"precious")
    result = say("--text", "Hello.", "--out", "a.wav")
    assert result.code == 1 and "--force" in result.stderr
    assert (tmp_path / "a.wav").read_bytes() == b"precious"
    assert say("--text", "Hello.", "--out", "a.wav", "--force").code == 0
    assert (tmp_path / "a.wav").read_bytes()[:4] == b"RIFF"


def test_verified_speech_says_what_was_drawn_again(say: Say) -> None:
    result = say("--text", "Hello.", "--out", "a.wav", "--verify", "--retries", 1, "--json")
    assert result.code == 0
    [segment] = json.loads(result.out)["segments"]
    assert segment["attempts"] == 2 and segment["phoneme_error_rate"] > 0
    assert "drawn 2 times" in result.stderr


def test_speed_changes_the_length(say: Say) -> None:
    lengths = [
        json.loads(
            say("--text", TEXT, "--out", f"{x}.wav", "--speed", x, "--seed", 1, "--json").out
        )
        for x in (1, 2)
    ]
    assert lengths[1]["seconds"] < 0.75 * lengths[0]["seconds"]


def test_a_lexicon_respells(say: Say, tmp_path: Path) -> None:
    (tmp_path / "words.tsv").write_text("Xyzzy\tmagic\n")
    result = say("--text", "Xyzzy.", "--lexicon", "words.tsv", "--out", "a.wav", "--json")
    assert json.loads(result.out)["segments"][0]["phonemes"] == "mˈædʒɪk."


def test_dry_run_shows_the_chunks_and_loads_no_weights(
    say: Say, tiny_files: Path, tmp_path: Path
) -> None:
    model = tmp_path / "weightless"
    model.mkdir()
    (model / "bundle.json").write_bytes((tiny_files / "model" / "bundle.json").read_bytes())
    prompt = tiny_files / "prompt.wav"
    arguments = ("--text", "It costs $5. [pause:0.5] Bye.", "--out", "a.wav", "--prompt", prompt)
    result = say(*arguments, "--model", model, "--dry-run")
    assert result.code == 0 and result.stderr == ""
    assert "It costs five dollars." in result.out and "pause   0.5 s" in result.out
    assert "bˈaɪ" in result.out
    record = json.loads(say(*arguments, "--model", model, "--dry-run", "--json").out)
    assert [segment.get("text") for segment in record["segments"]] == ["It costs $5.", None, "Bye."]
    assert not (tmp_path / "a.wav").exists()


def test_quiet_says_nothing(say: Say) -> None:
    result = say("--text", "Hello.", "--out", "a.wav", "--quiet")
    assert (result.code, result.stdout, result.stderr) == (0, b"", "")


def test_a_long_text_loses_no_word(say: Say) -> None:
    text = " ".join(f"Sentence number {i} is said here, and it goes on a bit." for i in range(5))
    record = json.loads(say("--text", text, "--out", "a.wav", "--json", "--quiet").out)
    assert " ".join(segment["text"] for segment in record["segments"]) == text


@pytest.mark.parametrize("text", ["Hello \U0001f600 world", "tab\there", "Hello мир 世界", "a\0b"])
def test_odd_text_with_words_in_it_is_spoken(say: Say, text: str, tmp_path: Path) -> None:
    (tmp_path / "text.txt").write_text(text, "utf-8")
    assert say("--file", "text.txt", "--out", "a.wav").code == 0


def test_a_reader_that_leaves_is_no_error(tiny_files: Path) -> None:
    code = (
        "import sys; from uslm_app.cli import main; sys.exit(main(sys.argv[1:]))",
        *(
            "say",
            "--text",
            f"{TEXT} {TEXT}",
            "--seed",
            "1",
            "--voice",
            str(tiny_files / "babble.safetensors"),
        ),
        *("--model", str(tiny_files / "model"), "--out", "-", "--format", "raw"),
    )
    process = subprocess.Popen(
        [sys.executable, "-c", *code], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert process.stdout is not None and process.stderr is not None
    process.stdout.read(100)
    process.stdout.close()
    assert process.stderr.read() == b""
    process.stderr.close()
    assert process.wait() == 141


def test_subtitles_and_timestamps_are_written(say: Say, tmp_path: Path) -> None:
    subtitles = ("--srt", "a.srt", "--vtt", "a.vtt")
    slowly = ("--speed", "0.5")  # the babbler speaks too fast for any recogniser
    assert say("--text", TEXT, "--out", "a.wav", "--sidecar", *subtitles, *slowly).code == 0
    segments = json.loads((tmp_path / "a.wav.json").read_text())["segments"]
    words = [word for segment in segments for word in segment["words"]]
    assert [word["text"] for word in words] == TEXT.split()
    srt, vtt = ((tmp_path / name).read_text("utf-8") for name in ("a.srt", "a.vtt"))
    assert srt.startswith("1\n00:00:00,") and "the second sentence" in srt.lower()
    assert vtt.startswith("WEBVTT\n\n00:00:00.")
    again = say("--text", TEXT, "--out", "b.wav", *subtitles)
    again.assert_refused(1, "a.srt", "exists")
    same = say("--text", TEXT, "--out", "b.wav", "--srt", "b.wav")
    same.assert_refused(1, "'b.wav' is named for two outputs")


def test_timestamps_alone(say: Say) -> None:
    result = say(
        "--text", "Hello there.", "--out", "a.wav", "--json", "--timestamps", "--speed", "0.5"
    )
    [segment] = json.loads(result.out)["segments"]
    assert [word["text"] for word in segment["words"]] == ["Hello", "there."]
    plain = say("--text", "Hello there.", "--out", "b.wav", "--json", "--quiet")
    assert json.loads(plain.out)["segments"][0]["words"] is None
