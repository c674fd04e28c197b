"""Whatever is given: the exit code, one line that names the thing, and nothing left behind."""

from __future__ import annotations

import errno
import io
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch
from safetensors.numpy import load_file, save_file

from uslm.systems.two_stage.bundle import load_bundle
from uslm.systems.two_stage.tiny import speech_like, tiny_bundle, tiny_voice
from uslm_tokenizer.audio import output as audio_output

Say = Callable[..., Any]
RATE = 16_000
HELLO = ("--text", "Hello.", "--out", "a.wav")


@pytest.fixture(autouse=True)
def nothing_is_left(tmp_path: Path) -> Any:
    """After the test no file is there that the test did not make itself."""
    yield
    left = [path for path in tmp_path.rglob("*") if path.suffix in (".wav", ".part", ".json")]
    assert [path for path in left if path.name.startswith(("a.", "."))] == []


TEXTS = {
    "nothing": (b"", ["empty"]),
    "spaces": (b" \n\t ", ["empty"]),
    "only punctuation": (b"... !?", ["'... !?'", "letter or digit"]),
    "only emoji": ("\U0001f600\U0001f389".encode(), ["\U0001f600", "letter or digit"]),
    "only NUL": (b"\0\0", ["letter or digit", "U+0000"]),
    "only control characters": (b"\x01\x02\x1b", ["letter or digit", "U+0001"]),
    "only a pause": (b"[pause:1]", ["letter or digit"]),
    "a megabyte": (b"words " * 170_000, ["200,000 characters", "--max-chars"]),
    "a surrogate": (b"cut \xed\xa0\xbd off", ["UTF-8", "byte 5", "0xED"]),
    "Latin-1": (b"line one\ncaf\xe9", ["UTF-8", "line 2", "0xE9"]),
    "an endless pause": (b"Wait. [pause:99] Go.", ["[pause:99]", "0 to 10"]),
}


@pytest.mark.parametrize("name", TEXTS)
@pytest.mark.parametrize("way", ["file", "pipe"])
def test_text_that_cannot_be_said(name: str, way: str, say: Say, tmp_path: Path) -> None:
    data, words = TEXTS[name]
    (tmp_path / "text.txt").write_bytes(data)
    if way == "file":
        say("--file", "text.txt", "--out", "a.wav").assert_refused(1, "text.txt", *words)
    else:
        say("--out", "a.wav", stdin=data).assert_refused(1, "standard input", *words)


def test_a_lone_surrogate_on_the_command_line(say: Say) -> None:
    result = say("--text", "caf\udce9 au lait", "--out", "a.wav")
    result.assert_refused(1, "lone surrogate", "character 4")


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["--text", "x", "--file", "y"], 1, ["by --file, not both"]),
        (["y", "--text", "x"], 1, ["given twice, as 'y'", "quote a text"]),
        (["--file", "gone.txt"], 2, ["text file 'gone.txt' is not there"]),
        (["--file", "."], 1, ["'.'", "folder"]),
        (["--text", "Hi.", "--lexicon", "gone.tsv"], 2, ["lexicon 'gone.tsv' is not there"]),
    ],
)
def test_text_from_nowhere(arguments: list[str], code: int, words: list[str], say: Say) -> None:
    say(*arguments, "--out", "a.wav").assert_refused(code, *words)


def test_no_text_at_all(say: Say) -> None:
    say("--out", "a.wav", stdin=None).assert_refused(1, "no text is given", "in quotes", "pipe")


def test_a_lexicon_that_is_none(say: Say, tmp_path: Path) -> None:
    (tmp_path / "words.tsv").write_text("no tab here\n")
    say(*HELLO, "--lexicon", "words.tsv").assert_refused(1, "words.tsv:1", "no tab here")


def write_prompt(path: Path, kind: str) -> None:
    """A recording that no voice can be made of."""
    voice = speech_like(4.0).waveform[0].numpy()
    samples = {
        "silent": np.zeros(RATE * 3),
        "clipped": np.clip(voice * 1000, -1, 1),
        "a click": voice[: RATE // 10],
        "NaN": np.full(RATE, np.nan),
        "no samples": np.zeros(0),
        "noise": np.random.default_rng(0).standard_normal(RATE * 3) * 0.1,
    }
    if kind in samples:
        soundfile.write(path, samples[kind].astype(np.float32), RATE, subtype="FLOAT")
        return
    soundfile.write(path, voice, RATE)
    data = path.read_bytes()
    contents = {
        "empty": b"",
        "a header": data[:44],
        "truncated": data[:1000],
        "a text": b"This is no sound.\n" * 20,
        "zeros": bytes(4000),
    }
    path.write_bytes(contents[kind])


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("silent", ["silent"]),
        ("clipped", ["clip"]),
        ("a click", ["too short", "0.10 s"]),
        ("NaN", ["NaN", "16,000"]),
        ("no samples", ["without a single sample"]),
        ("noise", []),
        ("empty", ["0 bytes"]),
        ("a header", []),
        ("truncated", ["truncated"]),
        ("a text", ["text"]),
        ("zeros", []),
    ],
)
def test_a_prompt_that_is_no_voice(kind: str, words: list[str], say: Say, tmp_path: Path) -> None:
    write_prompt(tmp_path / "voice.wav", kind)
    say(*HELLO, "--prompt", "voice.wav").assert_refused(1, "voice.wav", *words)


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["--prompt", "gone.wav"], 2, ["'gone.wav' is not there"]),
        (["--prompt", "no/folder/x.wav"], 2, ["no folder 'no/folder'"]),
        (["--prompt", "."], 1, ["folder"]),
        (["--prompt", "x.wav", "--voice", "y"], 1, ["--prompt AUDIO or --voice VOICE; not both"]),
        (["--voice", "gone.safetensors"], 2, ["gone.safetensors"]),
        (["--voice", "TEXT"], 1, ["not a voice file"]),
        (["--voice", "SHELF/babble.safetensors", "--prompt-text", "Hi"], 1, ["--prompt-text"]),
        (["--prompt", "SHELF/prompt.wav", "--prompt-text", " "], 1, ["--prompt-text", "empty"]),
        (["--prompt", "SHELF/prompt.wav", "--prompt-text", "?!"], 1, ["only punctuation"]),
    ],
)
def test_a_voice_from_nowhere(
    arguments: list[str], code: int, words: list[str], say: Say, tiny_files: Path, tmp_path: Path
) -> None:
    (tmp_path / "TEXT").write_text("I am no voice.")
    arguments = [argument.replace("SHELF", str(tiny_files)) for argument in arguments]
    say(*HELLO, *arguments).assert_refused(code, *words)


def test_a_mistyped_prompt_is_guessed(say: Say, tiny_files: Path) -> None:
    say(*HELLO, "--prompt", tiny_files / "promt.wav").assert_refused(
        2, "did you mean", "prompt.wav"
    )


def test_a_voice_of_another_model(say: Say, tmp_path: Path) -> None:
    tiny_voice(tiny_bundle(seed=5)).save(tmp_path / "other.safetensors")
    say(*HELLO, "--voice", "other.safetensors").assert_refused(1, "tokenizer", "'babble'")


@pytest.mark.parametrize("kind", ["eight channels", "an hour"])
def test_a_prompt_that_can_be_mended(kind: str, say: Say, tmp_path: Path) -> None:
    voice = speech_like(4.0).waveform[0].numpy()
    if kind == "eight channels":
        soundfile.write(tmp_path / "voice.flac", np.stack([voice] * 8, axis=1), RATE)
    else:
        path = tmp_path / "voice.flac"
        soundfile.write(path, voice, RATE, format="WAV")
        # An hour of silence after it, as a hole in the file; and a header that knows.
        num_bytes = 2 * RATE * 3600
        os.truncate(path, 44 + num_bytes)
        with path.open("r+b") as file:
            file.seek(4)
            file.write((num_bytes + 36).to_bytes(4, "little"))
            file.seek(40)
            file.write(num_bytes.to_bytes(4, "little"))
    result = say(*HELLO, "--prompt", "voice.flac")
    assert result.code == 0, result.stderr
    (tmp_path / "a.wav").unlink()


@pytest.mark.parametrize(
    ("out", "words"),
    [
        ("a.xyz", ["'.xyz'", ".wav"]),
        ("a", ["no suffix"]),
        (".", ["folder"]),
        ("gone/a.wav", ["folder 'gone'"]),
        ("TEXT/a.wav", ["TEXT/a.wav"]),
        pytest.param(
            "/proc/a.wav", ["/proc/a.wav"], marks=pytest.mark.skipif(
                sys.platform != "linux", reason="a folder where not even root may write"
            ),
        ),
    ],
)  # fmt: skip
def test_an_output_that_cannot_be(out: str, words: list[str], say: Say, tmp_path: Path) -> None:
    (tmp_path / "TEXT").write_text("I am no folder.")
    say("--text", "Hello.", "--out", out).assert_refused(1, *words)


def test_no_input_is_overwritten_not_even_by_force(
    say: Say, tiny_files: Path, tmp_path: Path
) -> None:
    shutil.copy(tiny_files / "prompt.wav", tmp_path / "mine.wav")
    before = (tmp_path / "mine.wav").read_bytes()
    result = say("--text", "Hello.", "--prompt", "mine.wav", "--out", "./mine.wav", "--force")
    result.assert_refused(1, "also an input")
    assert (tmp_path / "mine.wav").read_bytes() == before


def test_mp3_cannot_be_streamed(say: Say) -> None:
    say("--text", "Hello.", "--out", "-", "--format", "mp3").assert_refused(1, "mp3", "wav")


def test_a_sidecar_needs_a_file(say: Say) -> None:
    say("--text", "Hello.", "--out", "-", "--sidecar").assert_refused(1, "--json")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
@pytest.mark.parametrize("format", ["wav", "flac", "ogg"])
def test_a_full_disk(format: str, say: Say) -> None:
    result = say("--text", "Hello.", "--out", "/dev/full", "--format", format)
    result.assert_refused(3, "/dev/full", "No space left")


class FillingDisk(io.FileIO):
    """A new file on a disk with room for 2,000 bytes."""

    def __init__(self, path: Path, mode: str) -> None:
        super().__init__(path, mode.removesuffix("b"))

    def write(self, data: Any) -> int:
        if self.tell() + len(data) > 2_000:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return super().write(data)


@pytest.mark.parametrize("suffix", ["wav", "flac", "mp3"])
def test_a_disk_that_fills_up_leaves_no_half_file(
    suffix: str, say: Say, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(audio_output, "open", FillingDisk, raising=False)
    (tmp_path / f"old.{suffix}").write_bytes(b"precious")
    text = "Hello there, all of you. And good bye."
    result = say("--text", text, "--out", f"old.{suffix}", "--force")
    result.assert_refused(3, f"old.{suffix}", "No space left", "no half-written file")
    assert [path.read_bytes() for path in tmp_path.iterdir()] == [b"precious"]


@pytest.fixture
def model(tiny_files: Path, tmp_path: Path) -> Path:
    """A copy of the model, to be broken."""
    return Path(shutil.copytree(tiny_files / "model", tmp_path / "model"))


@pytest.mark.parametrize("part", ["tokenizer", "semantic", "acoustic"])
@pytest.mark.parametrize("damage", ["empty", "half", "scrambled", "missing", "renamed", "reshaped"])
def test_broken_weights(part: str, damage: str, say: Say, model: Path) -> None:
    path = model / part / "model.safetensors"
    code, words = 1, [f"{part}/model.safetensors"]
    tensors = load_file(path)
    name = max(tensors, key=lambda key: tensors[key].size)
    if damage == "empty":
        path.write_bytes(b"")
    elif damage == "half":
        data = path.read_bytes()
        path.write_bytes(data[: len(data) // 2])
    elif damage == "scrambled":
        path.write_bytes(b"\xff" * 2000)
    elif damage == "missing":
        path.unlink()
        code = 2
    elif damage == "renamed":
        save_file({key + "_": value for key, value in tensors.items()}, path)
        words.append("lacks")
    else:
        wanted = tuple(tensors[name].shape)
        tensors[name] = np.concatenate([tensors[name], tensors[name]])
        save_file(tensors, path)
        words += [repr(name), str(tensors[name].shape), str(wanted)]
    say(*HELLO, "--model", model).assert_refused(code, *words)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda facts: facts.update(nmae="x"), ["nmae", "did you mean 'name'"]),
        (lambda facts: facts.pop("name"), ["name is missing"]),
        (lambda facts: facts.update(format=99), ["format 99", "upgrade"]),
        (lambda facts: facts["sampling"].update(top_p=2), ["top_p", "2"]),
    ],
)
def test_a_broken_bundle(
    change: Callable[[dict[str, Any]], object], words: list[str], say: Say, model: Path
) -> None:
    path = model / "bundle.json"
    facts = json.loads(path.read_text())
    change(facts)
    path.write_text(json.dumps(facts))
    say(*HELLO, "--model", model).assert_refused(1, "bundle.json", *words)


def test_parts_that_do_not_fit_each_other(say: Say, model: Path) -> None:
    bundle = load_bundle(model)
    other = type(bundle.acoustic)(
        type(bundle.acoustic).config_class(
            num_codebooks=2,
            codebook_groups=(1,),
            dim=32,
            num_heads=2,
            num_layers=1,
            codebook_size=32,
        )
    )
    other.save_pretrained(model / "acoustic")
    say(*HELLO, "--model", model).assert_refused(1, "codebooks", "2")


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["--model", "gone"], 2, ["'gone'"]),
        (["--model", "."], 2, ["bundle.json"]),
        (["--device", "tpu"], 1, ["--device", "cpu, cuda", "'tpu'"]),
        (["--device", "meta"], 1, ["--device", "'meta'"]),
        pytest.param(
            ["--device", "cuda"], 3, ["--device cuda", "--device cpu"],
            marks=pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU"),
        ),
        (["--language", "tlh-qo"], 1, ["tlh-qo"]),
    ],
)  # fmt: skip
def test_a_model_that_cannot_be_had(
    arguments: list[str], code: int, words: list[str], say: Say
) -> None:
    say(*HELLO, *arguments).assert_refused(code, *words)


@pytest.mark.skipif(sys.platform != "linux", reason="asks /proc whether a process waits")
def test_ctrl_c_ends_quietly(tiny_files: Path, tmp_path: Path) -> None:
    code = "import sys; from uslm_app.cli import main; sys.exit(main(sys.argv[1:]))"
    process = subprocess.Popen(
        [sys.executable, "-c", code, "say", "--out", "a.wav", "--model", str(tiny_files / "model"),
         "--voice", str(tiny_files / "babble.safetensors")],
        stdin=subprocess.PIPE, stderr=subprocess.PIPE, cwd=tmp_path,
    )  # fmt: skip
    assert process.stdin is not None and process.stderr is not None
    process.stdin.write(b"Hello")
    process.stdin.flush()
    # It waits for the rest of the text, so it is certainly there to be interrupted.
    while not _sleeps(process.pid):
        pass
    process.send_signal(signal.SIGINT)
    assert process.wait() == 130
    assert process.stderr.read() == b""
    process.stdin.close()
    process.stderr.close()
    assert list(tmp_path.iterdir()) == []


def _sleeps(pid: int) -> bool:
    stat = Path(f"/proc/{pid}/wchan")
    return stat.exists() and "pipe" in stat.read_text()
