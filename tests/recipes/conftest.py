"""A made-up corpus, teacher and judge, and all that the scripts of recipes/ make of them, once."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import soundfile
from filelock import FileLock

from uslm.systems.two_stage.tiny import speech_like

ROOT = Path(__file__).parents[2]
HEAVY = (
    "torch._dynamo",  # an optimizer asks for it
    "uslm_recipes.bundle",
    "uslm_recipes.encode",
    "uslm_recipes.prepare",
    "uslm_recipes.train_ar",
    "uslm_recipes.train_nar",
    "uslm_recipes.train_source_filter",
    "uslm_recipes.train_units",
    "uslm_recipes.train_joint",
)
"""What a stage has imported before it begins."""
TEXTS = ["Hello there.", "The house stands.", "Seven birds sing.", "Come and see it."]


@pytest.fixture(scope="session")
def script() -> Callable[[str], ModuleType]:
    """A script of this folder as a module; one finds another beside it."""

    def load(name: str) -> ModuleType:
        folder = Path(__file__).parent
        sys.path.insert(0, str(folder))
        try:
            return import_module(name)
        finally:
            sys.path.remove(str(folder))

    return load


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory, forking: Any) -> Path:
    """The folder of recipes/unit_codec.sh, run whole at `tiny` size.

    corpus, units, codec, tokens, ar, nar, joint, bundle, evaluation; and in `made_up` what it was
    given. Processes that test side by side share it: nobody writes there.
    """
    return made_once("unit_codec", tmp_path_factory, forking)


@pytest.fixture(scope="session")
def material(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`corpus` and `made_up` of the same, without anything trained: for recipes of their own."""
    everyone = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        everyone = everyone.parent
    out = everyone / "material"
    with FileLock(everyone / "material.lock"):
        if not (out / "corpus" / "corpus.json").exists():
            from uslm_recipes.commands.prepare import main

            (out / "made_up").mkdir(parents=True, exist_ok=True)
            save_whisper(out / "made_up" / "whisper")
            manifest = write_manifest(out / "made_up")
            assert main([str(manifest), "--out", str(out / "corpus")]) == 0
    return out


@pytest.fixture(scope="session")
def trained_default(tmp_path_factory: pytest.TempPathFactory, forking: Any) -> Path:
    """The same of recipes/default.sh, which makes the default model."""
    return made_once("default", tmp_path_factory, forking)


def made_once(script: str, tmp_path_factory: pytest.TempPathFactory, forking: Any) -> Path:
    """The folder that a script of recipes/ makes, made by whoever asks first."""
    everyone = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        everyone = everyone.parent
    out = everyone / script
    with FileLock(everyone / f"{script}.lock"):
        if not (out / "command.log").exists():
            # The recipes do what `python -m` does, but with PyTorch imported before.
            commands = everyone / f"{script}-bin"
            commands.mkdir(exist_ok=True)
            with forking(commands, ["python"], HEAVY):
                run_script(script, out, commands / "python")
    return out


def run_script(script: str, out: Path, python: Path) -> None:
    made_up = out / "made_up"
    made_up.mkdir(parents=True)
    save_whisper(made_up / "whisper")
    environment = {
        **os.environ,
        "PYTHON": str(python),
        "CONFIG": "tiny",
        "TEACHER": str(made_up / "whisper"),
        "MANIFESTS": str(write_manifest(made_up)),
        "TRANSCRIBER": str(made_up / "whisper"),
        "TRANSCRIBED": "nobody",
        "UNITS_SET": "teacher_layers=[1,2] model.teacher_dim=16",
        "JUDGES": f"--recognizer {made_up / 'whisper'} --voices 1 --sentences 1 --clips 1",
    }
    command = ["bash", str(ROOT / "recipes" / f"{script}.sh"), str(out)]
    run = subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True)
    assert run.returncode == 0, run.stdout[-2000:] + run.stderr[-4000:]
    (out / "command.log").write_text(run.stdout, "utf-8")


def write_manifest(folder: Path) -> Path:
    """Two speakers to learn from, and one that is held out."""
    rows = []
    for number in range(16):
        held_out = number >= 12
        speech = speech_like(3.2 if held_out else 1.2, seed=number).waveform[0].numpy()
        soundfile.write(folder / f"{number}.wav", speech, 16_000)
        rows.append(
            {
                "audio": f"{number}.wav",
                "speaker": "ls/5" if held_out else f"lj/{number % 2}",
                "text": TEXTS[number % 4],
                "language": "en",
                "split": "test" if held_out else "train",
            }
        )
    path = folder / "manifest.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    return path


def save_whisper(folder: Path) -> None:
    """A Whisper with random weights that writes single bytes; teacher and judge in one."""
    import torch
    from tokenizers.pre_tokenizers import ByteLevel
    from transformers import WhisperConfig, WhisperForConditionalGeneration, WhisperTokenizer

    end, *marks = (
        f"<|{name}|>"
        for name in (
            *("endoftext", "startoftranscript", "translate", "transcribe", "startoflm"),
            *("startofprev", "nocaptions", "notimestamps"),
        )
    )
    tokenizer = WhisperTokenizer(
        vocab={symbol: number for number, symbol in enumerate(sorted(ByteLevel.alphabet()))},
        merges=[],
        unk_token=end,
        bos_token=end,
        eos_token=end,
        additional_special_tokens=marks,
    )
    torch.manual_seed(0)
    config = WhisperConfig(
        vocab_size=len(tokenizer),
        d_model=16,
        encoder_layers=2,
        decoder_layers=1,
        encoder_attention_heads=2,
        decoder_attention_heads=2,
        encoder_ffn_dim=32,
        decoder_ffn_dim=32,
        bos_token_id=tokenizer.eos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.eos_token_id,
        decoder_start_token_id=tokenizer.convert_tokens_to_ids(marks[0]),
        suppress_tokens=[],
        begin_suppress_tokens=[],
    )
    WhisperForConditionalGeneration(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    (folder / "normalizer.json").write_text("{}", "utf-8")
