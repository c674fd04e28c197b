"""Importing is cheap and does nothing: no PyTorch, no network, no folders, no log handlers."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

# One of these in `sys.modules` means seconds before `--help` answers.
HEAVY = {"torch", "transformers", "numpy", "scipy", "gradio", "accelerate", "phonemizer"}

LIGHT_MODULES = [
    "uslm",
    "uslm_tokenizer",
    "uslm_tokenizer.errors",
    "uslm_recipes",
    "uslm_app",
    "uslm_app.cli",
    "uslm_demo",
    "uslm_demo.app",
]


def imported_by(module: str, folder: Path) -> set[str]:
    """Top-level packages in memory after `import module`, in a fresh Python without a network."""
    code = (
        "import json, logging, socket, sys\n"
        "def refuse(*args): raise AssertionError('importing opened a connection')\n"
        "socket.socket.connect = refuse\n"
        f"import {module}\n"
        "assert not logging.getLogger().handlers, 'importing set up logging'\n"
        "print(json.dumps(sorted({name.partition('.')[0] for name in sys.modules})))"
    )
    environment = os.environ | {"HOME": str(folder), "XDG_CACHE_HOME": str(folder / "cache")}
    result = subprocess.run(
        [sys.executable, "-c", code], cwd=folder, env=environment, capture_output=True, text=True
    )
    assert result.returncode == 0, result.stderr
    return set(json.loads(result.stdout))


@pytest.mark.parametrize("module", LIGHT_MODULES)
def test_import_is_light_and_leaves_no_trace(module: str, tmp_path: Path) -> None:
    assert not imported_by(module, tmp_path) & HEAVY
    assert not list(tmp_path.iterdir()), "importing made files"


def all_modules() -> list[str]:
    root = Path(__file__).parents[1]
    folders = [root, *(root / name for name in ("tokenizer", "recipes", "app", "demo"))]
    files = [(folder, file) for folder in folders for file in folder.glob("uslm*/**/*.py")]
    return sorted(
        ".".join(file.relative_to(folder).with_suffix("").parts).removesuffix(".__init__")
        for folder, file in files
        if file.name != "__main__.py"
    )


def test_every_module_imports_without_a_trace(tmp_path: Path) -> None:
    imported_by(", ".join(all_modules()), tmp_path)
    assert not list(tmp_path.iterdir()), "importing made files"


PUBLIC = {
    "uslm": {
        "MakeAVoice",
        "Perth",
        "Score",
        "Speech",
        "SpeechAnswerer",
        "SpeechContinuer",
        "SpeechEnhancer",
        "VoiceConverter",
        "VoiceImitation",
        "VoicePrompt",
        "VoiceStore",
        "ZeroShotTTS",
        "__version__",
        "detect",
        "to_srt",
        "to_vtt",
    },
    "uslm_tokenizer": {
        "Audio",
        "AudioTokenizer",
        "UserError",
        "decode_column",
        "encode_column",
        "load_tokenizer",
        "read_audio",
        "resample",
        "write_audio",
    },
}
"""What users may count on; a name that is added or goes is a decision, and a line here."""


@pytest.mark.parametrize("package", PUBLIC)
def test_public_names_are_listed_and_found(package: str) -> None:
    module = import_module(package)
    assert set(module.__all__) == PUBLIC[package]
    for name in module.__all__:
        assert getattr(module, name) is not None
    assert set(dir(module)) >= PUBLIC[package]
    with pytest.raises(AttributeError, match="has no attribute 'TTS'"):
        _ = module.TTS


EXTENDING = {
    "add-one.md",
    "dual-speech-lm.md",
    "enhance.md",
    "judged-units.md",
    "make-a-voice.md",
    "masked-units.md",
    "melody.md",
    "moshi.md",
    "side-by-side.md",
    "speech-lm.md",
    "valle-r.md",
    "vec-tok.md",
    "vevo.md",
    "vocabulary.md",
    "voxcpm.md",
}
"""Documents for those who extend the project, or take its parts for research: they look inside."""


def test_documents_use_the_public_names_alone() -> None:
    root = Path(__file__).parents[1]
    places = [*root.glob("*.md"), *root.glob("*/README.md"), *(root / "docs").rglob("*.md")]
    found = {
        f"{place.name}: {line}"
        for place in places
        if place.name not in EXTENDING
        for line in re.findall(r"^(?:from|import) uslm\w*\..*", place.read_text("utf-8"), re.M)
    }
    assert not found
