"""`uslm export` and `uslm-tts --backend onnx`: as users type them, and without PyTorch."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from uslm.generate.length import LengthConfig
from uslm.systems.two_stage.bundle import save_bundle
from uslm.systems.two_stage.config import BundleConfig
from uslm.systems.two_stage.tiny import speech_like, tiny_pitched_bundle, tiny_voice
from uslm_app.cli.onnx_options import UNKNOWN
from uslm_app.cli.parser import command_parser

WITHOUT = """
import sys
class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("torch", "transformers", "onnx"):
            raise ModuleNotFoundError(f"no {name} here", name=name)
sys.meta_path.insert(0, Refuse())
from uslm_app.cli import main_say
sys.exit(main_say(sys.argv[1:]))
"""


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a model of the default's kinds, a prompt and a voice. Read only."""
    folder = tmp_path_factory.mktemp("onnx")
    hasty = LengthConfig(min_frames_per_symbol=0.5, max_frames_per_symbol=1.0, margin_frames=15)
    bundle = tiny_pitched_bundle(BundleConfig(name="tiny", length=hasty))
    save_bundle(bundle, folder / "model")
    voice = tiny_voice(bundle)
    codes = voice.codes % bundle.tokenizer.num_pitches
    replace(voice, codes=codes).save(folder / "babble.safetensors")
    soundfile.write(folder / "prompt.wav", speech_like().waveform[0].numpy(), 16_000)
    return folder


@pytest.fixture(scope="module")
def exported(place: Path) -> Path:
    from uslm_app.cli import main

    arguments = ("export", str(place / "model"), "--format", "onnx", "--out", str(place / "onnx"))
    assert main([*arguments, "--quiet"]) == 0
    return place / "onnx"


def test_it_speaks_without_pytorch(place: Path, exported: Path, uslm: Any, tmp_path: Path) -> None:
    """The same samples, up to rounding, as with it."""
    common = ("--text", "Hello there.", "--voice", str(place / "babble.safetensors"))
    common += ("--seed", "3", "--json", "--out")
    one, other = tmp_path / "one.wav", tmp_path / "other.wav"
    model = ("--backend", "onnx", "--model", str(exported), "--threads", "1")
    arguments = [sys.executable, "-c", WITHOUT, *common, str(one), *model]
    run = subprocess.run(arguments, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    record = json.loads(run.stdout)
    assert (record["backend"], record["model"], record["seed"]) == ("onnx", "tiny", 3)
    assert uslm("say", *common, str(other), "--model", str(place / "model")).code == 0
    samples = [soundfile.read(path, dtype="int16")[0].astype(int) for path in (one, other)]
    assert len(samples[0]) == len(samples[1]) == round(16_000 * record["seconds"])
    # Rounding differs between processors (2 of 32,768 on one, 3 on another), and random weights
    # enlarge it; speech of another seed differs by thousands.
    assert np.abs(samples[0] - samples[1]).max() <= 16
    assert np.abs(samples[1]).max() > 1_000


def test_a_recording_is_cloned(place: Path, exported: Path, uslm: Any, tmp_path: Path) -> None:
    out = tmp_path / "cloned.flac"
    result = uslm(
        "say", "--backend", "onnx", "--model", str(exported), "--text", "Hello.", "--prompt",
        str(place / "prompt.wav"), "--out", str(out), "--seed", "3", "--sidecar",
    )  # fmt: skip
    assert result.code == 0, result.stderr
    record = json.loads(Path(f"{out}.json").read_text())
    assert record["voice"] == "prompt"
    samples = soundfile.read(out, dtype="int16")[0]
    assert len(samples) == round(16_000 * record["seconds"]) and samples.any()


@pytest.mark.parametrize(
    ("option", "word"),
    [("--verify", "--verify"), ("--speed=1.5", "--speed"), ("--dtype=float16", "--dtype")],
)
def test_what_it_cannot_do_is_refused(
    place: Path, uslm: Any, tmp_path: Path, option: str, word: str
) -> None:
    result = uslm(
        "say", "--backend", "onnx", "--model", "x", "--text", "Hello.", "--prompt",
        str(place / "prompt.wav"), "--out", str(tmp_path / "x.wav"), option,
    )  # fmt: skip
    result.assert_refused(1, word, "--backend onnx")


def test_each_option_is_known_or_refused() -> None:
    """One that `say` learns is not to be passed over in silence here."""
    known = """said text file language any_language lexicon max_chars prompt prompt_text voice out
        format force sidecar seed temperature top_k top_p model backend device threads json quiet
        debug help version"""
    every = {action.dest for action in command_parser("say")._actions}
    assert every == {*known.split(), *UNKNOWN}


def test_another_language_is_refused_as_with_pytorch(
    exported: Path, place: Path, uslm: Any, tmp_path: Path
) -> None:
    common = ("say", "--backend", "onnx", "--model", str(exported), "--prompt")
    common += (str(place / "prompt.wav"), "--out", str(tmp_path / "x.wav"))
    german = "Guten Morgen, wie geht es Ihnen heute, und was machen die Kinder?"
    uslm(*common, "--text", german).assert_refused(1, "--any-language")
    assert uslm(*common, "--text", german, "--any-language").code == 0


def test_it_asks_for_an_exported_model(place: Path, uslm: Any, tmp_path: Path) -> None:
    common = ("say", "--backend", "onnx", "--text", "Hello.", "--prompt", str(place / "prompt.wav"))
    out = ("--out", str(tmp_path / "x.wav"))
    uslm(*common, *out).assert_refused(2, "uslm export default")
    uslm(*common, *out, "--model", str(place / "model")).assert_refused(2, "model.json")


def test_a_folder_that_holds_something_is_not_written_into(place: Path, uslm: Any) -> None:
    result = uslm("export", str(place / "model"), "--out", str(place))
    result.assert_refused(1, "--force")
