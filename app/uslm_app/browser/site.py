"""The folder of the page: its files, the model's graphs, the stock voices, the npm packages."""

from __future__ import annotations

import json
import shutil
from importlib.resources import as_file, files
from pathlib import Path

from uslm.onnx.config import Precision
from uslm.systems.two_stage.bundle import Bundle
from uslm.systems.two_stage.onnx_export import describe, export_onnx
from uslm.tts import ZeroShotTTS
from uslm.voices.stock import stock_voices
from uslm_app.browser.npm_packages import fetch_packages
from uslm_app.browser.settings import page_settings
from uslm_tokenizer.errors import ConfigError
from uslm_tokenizer.whole_files import write_atomically

MODEL, VOICES, VENDOR = "model", "voices", "vendor"


def write_site(bundle: Bundle, folder: Path, *, precision: Precision = "int8") -> Path:
    """Write the folder, which any server of files can then serve; the page itself comes last.

    Raises ConfigError where the model cannot be exported, or needs its prompt's units.
    """
    onnx_config = describe(bundle, precision)
    if onnx_config.use_prompt_units:
        raise ConfigError(
            f"{onnx_config.name!r} goes on from the units of a prompt, which the page for browsers "
            "cannot; export it with --format onnx"
        )
    folder.mkdir(parents=True, exist_ok=True)
    fetch_packages(folder / VENDOR)  # what is most likely to fail comes first
    export_onnx(bundle, folder / MODEL, precision=precision)
    _write_json(folder / "settings.json", page_settings(onnx_config))
    _write_voices(bundle, folder / VOICES)
    with as_file(files("uslm_app.browser") / "page") as page:
        shutil.copytree(page, folder, dirs_exist_ok=True)
    return folder


def _write_voices(bundle: Bundle, folder: Path) -> None:
    """The stock voices in the model's codes, and what the page tells of each."""
    folder.mkdir(exist_ok=True)
    tts = ZeroShotTTS(bundle)
    for name in stock_voices():
        tts.stock_voice(name).save(folder / f"{name}.safetensors", overwrite=True)
    known = [
        {"name": voice.name, "description": voice.description} for voice in stock_voices().values()
    ]
    _write_json(folder / "voices.json", known)


def _write_json(path: Path, content: object) -> None:
    text = json.dumps(content, ensure_ascii=False, indent=2) + "\n"
    write_atomically(path, lambda to: to.write_text(text, "utf-8"))
