"""convert, encode, decode, voice and bench with a model that babbles."""

from __future__ import annotations

import json
import runpy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch
from safetensors.torch import load_file

from uslm.systems.registry import model_class
from uslm.systems.two_stage.tiny import speech_like, tiny_bundle
from uslm.voices.prompt import VoicePrompt
from uslm_app.actions.codes_file import CodesFile

Uslm = Callable[..., Any]
BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture
def model(tiny_files: Path) -> tuple[str, Path]:
    """The option that names the tiny model."""
    return "--model", tiny_files / "model"


@pytest.fixture
def tokenizer(tiny_files: Path) -> tuple[str, Path]:
    """The option that names its tokenizer."""
    return "--tokenizer", tiny_files / "model" / "tokenizer"


@pytest.mark.parametrize("way", ["--prompt", "--voice"])
def test_convert_keeps_the_length(
    way: str, uslm: Uslm, tiny_files: Path, model: tuple[str, Path], tmp_path: Path
) -> None:
    voice = tiny_files / ("prompt.wav" if way == "--prompt" else "babble.safetensors")
    stereo = np.stack([speech_like(1.5).waveform[0]] * 2, axis=1)
    soundfile.write(tmp_path / "source.flac", stereo, 8_000)
    arguments = ("--source", "source.flac", way, voice, "--out", "a.wav", "--seed", 3, *model)
    result = uslm("convert", *arguments, "--json", "--sidecar")
    assert result.code == 0, result.stderr
    record = json.loads(result.out)
    assert record["seed"] == 3 and record["seconds"] == pytest.approx(3.0, abs=0.01)
    assert soundfile.info(tmp_path / "a.wav").frames == round(16_000 * record["seconds"])
    assert json.loads((tmp_path / "a.wav.json").read_text()) == record


def test_convert_needs_a_source(uslm: Uslm, tiny_files: Path) -> None:
    voice = tiny_files / "babble.safetensors"
    result = uslm("convert", "--source", "gone.wav", "--voice", voice, "--out", "a.wav")
    result.assert_refused(2, "source 'gone.wav' is not there")


@pytest.fixture
def codes(uslm: Uslm, tiny_files: Path, tokenizer: tuple[str, Path], tmp_path: Path) -> Path:
    """The prompt as codes."""
    path = tmp_path / "codes.safetensors"
    result = uslm("encode", "--audio", tiny_files / "prompt.wav", "--out", path, *tokenizer)
    assert result.code == 0 and "4 x 200 codes" in result.stderr
    return path


def test_decoded_codes_are_what_the_tokenizer_makes_of_the_audio(
    codes: Path, uslm: Uslm, tokenizer: tuple[str, Path], tmp_path: Path
) -> None:
    arguments = ("--codes", codes, "--out", "a.wav", "--format", "wav-float", "--json")
    result = uslm("decode", *arguments, *tokenizer)
    assert json.loads(result.out) == {"out": "a.wav", "seconds": 4.0, "sample_rate": 16_000}
    loaded = load_file(codes)["codes"].long()
    wanted = tiny_bundle().tokenizer.decode(loaded[None])[0, 0].clamp(-1, 1)
    samples, _ = soundfile.read(tmp_path / "a.wav", dtype="float32")
    np.testing.assert_allclose(samples, wanted.detach().numpy(), atol=1e-5)


def test_codes_of_another_tokenizer_are_refused(codes: Path, uslm: Uslm, tmp_path: Path) -> None:
    other = tiny_bundle(seed=9).tokenizer.save_pretrained(tmp_path / "other")
    result = uslm("decode", "--codes", codes, "--out", "a.wav", "--tokenizer", other)
    result.assert_refused(1, "another tokenizer", "--tokenizer")
    assert not (tmp_path / "a.wav").exists()


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["encode", "--audio", "gone.wav", "--out", "x.safetensors"], 2, ["gone.wav"]),
        (["encode", "--audio", "TEXT", "--out", "x.npz"], 1, ["must end in .safetensors"]),
        (["encode", "--audio", "TEXT", "--out", "x.safetensors"], 1, ["TEXT"]),
        (["decode", "--codes", "gone.safetensors", "--out", "a.wav"], 2, ["gone.safetensors"]),
        (["decode", "--codes", "TEXT", "--out", "a.wav"], 1, ["TEXT", "not a codes file"]),
        (["decode", "--codes", "TEXT", "--out", "a.xyz"], 1, [".xyz"]),
        (["voice", "show", "gone.safetensors"], 2, ["gone.safetensors"]),
        (["voice", "show", "TEXT"], 1, ["TEXT", "not a voice file"]),
        (
            ["voice", "create", "--prompt", "TEXT", "--out", "v.wav"],
            1,
            ["must end in .safetensors"],
        ),
        (["voice", "create", "--prompt", "TEXT", "--out", "v.safetensors"], 1, ["TEXT"]),
        (["bench", "--model", "gone"], 2, ["gone"]),
        (["bench", "--prompt", "gone.wav"], 2, ["gone.wav"]),
    ],
    ids=lambda value: " ".join(value[:4]) if isinstance(value, list) else None,
)
def test_wrong_files_are_named(
    arguments: list[str], code: int, words: list[str], uslm: Uslm, tiny_files: Path, tmp_path: Path
) -> None:
    (tmp_path / "TEXT").write_text("Only a text.\n" * 30)
    if arguments[0] in ("encode", "decode"):
        arguments = [*arguments, "--tokenizer", str(tiny_files / "model" / "tokenizer")]
    if arguments[:2] == ["voice", "create"]:
        arguments = [*arguments, "--model", str(tiny_files / "model")]
    uslm(*arguments).assert_refused(code, *words)
    assert [path.name for path in tmp_path.iterdir()] == ["TEXT"]


def test_windows_of_a_long_recording_make_all_its_codes() -> None:
    tokenizer = tiny_bundle().tokenizer
    waveform = speech_like(70.0).waveform
    codes = tokenizer.encode_long(waveform)
    assert codes.shape == (4, 3500)
    whole = tokenizer.encode(waveform[None])[0]
    assert (codes == whole).float().mean() > 0.95


def test_a_voice_is_made_shown_and_spoken_with(
    uslm: Uslm, tiny_files: Path, model: tuple[str, Path], tmp_path: Path
) -> None:
    create = ("voice", "create", "--prompt", tiny_files / "prompt.wav", "--out", "anna.safetensors")
    result = uslm(*create, "--name", "Anna", "--json", *model)
    assert result.code == 0, result.stderr
    assert json.loads(result.out)["name"] == "Anna"
    assert VoicePrompt.load(tmp_path / "anna.safetensors").name == "Anna"
    shown = uslm("voice", "show", "anna.safetensors")
    assert "name            Anna\n" in shown.out and "transcript      unknown\n" in shown.out
    record = json.loads(uslm("voice", "show", "anna.safetensors", "--json").out)
    assert record["model"] == "tiny" and record["num_codebooks"] == 4
    voice = ("--voice", "anna.safetensors")
    said = uslm("say", "--text", "Hi there.", *voice, "--out", "a.wav", "--quiet", *model)
    assert said.code == 0, said.stderr
    uslm(*create, *model).assert_refused(1, "--force")


def test_bench_measures_every_stage(uslm: Uslm, model: tuple[str, Path]) -> None:
    arguments = ["bench", *model, "--repeats", 1, "--batch", 2, "--text", "Hi."]
    record = json.loads(uslm(*arguments, "--json", "--seed", 1).out)
    assert [stage["name"] for stage in record["speech"]["stages"]] == [
        "front end", "stage 1", "stage 2", "decoder", "in all",
    ]  # fmt: skip
    assert all(stage["seconds"] > 0 for stage in record["speech"]["stages"])
    assert record["machine"]["cpu"] and record["machine"]["torch"] == torch.__version__
    assert record["bandwidth"] > 1e6 and record["peak_memory_bytes"] > 1e7
    assert [step["rows"] for step in record["steps"]] == [1, 2]
    assert record["steps"][0]["uncached_seconds"] > record["steps"][0]["cached_seconds"]
    script = runpy.run_path(str(BENCHMARKS / "default_model.py"))
    table = "\n".join(script["table"](record, script["goals"](record, help_seconds=0.1)))
    assert "| first audio |" in table and "| 2 at once |" in table
    out = uslm(*arguments, "--seed", 1).out
    assert "first audio" in out and "times reading, memory" in out


def test_bench_has_a_voice_for_the_default_model(uslm: Uslm) -> None:
    """Pitches have fewer codes than the other rows: random ones are none of a voice."""
    done = uslm("bench", "--repeats", 1, "--batch", 2, "--text", "Hi.")
    assert done.code == 0, done.stderr


@pytest.mark.parametrize("name", ["semantic_lm", "monotonic_lm"])
def test_a_step_reads_the_cache_and_the_weights_that_speak(name: str) -> None:
    from uslm_app.bench.measure import step_bytes

    found: Any = model_class(name)
    model = found(found.tiny_config()).eval()
    # The one reads text and units with the same layers, the other has layers for each.
    speaking = ("transformer.", "decoder.", "to_logits.", "to_advance.")
    weights = 4 * sum(
        part.numel() for key, part in model.named_parameters() if key.startswith(speaking)
    )
    assert step_bytes(model, rows=1, context=0) == weights
    per_token = 2 * 4 * 32 * 2  # keys and values, float32, width 32, two layers
    assert step_bytes(model, rows=3, context=10) == weights + 30 * per_token


def test_codes_survive_the_disk(codes: Path) -> None:
    file = CodesFile.load(str(codes))
    assert file.codes.shape == (4, 200) and file.info.num_samples == 64_000
    file.fit(tiny_bundle().tokenizer)
