"""benchmarks/samples.py: a page whose players lead to the files, each voice with its own."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest
import soundfile

from uslm.generate.length import LengthConfig
from uslm.systems.two_stage.bundle import load_bundle, save_bundle
from uslm.systems.two_stage.config import BundleConfig
from uslm.systems.two_stage.tiny import speech_like, tiny_pitched_bundle

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "benchmarks" / "samples.py"


@pytest.fixture(scope="module")
def samples(load_script: Callable[[Path], ModuleType]) -> ModuleType:
    return load_script(SCRIPT)


def voice_list(folder: Path, *names: str) -> Path:
    for seed, name in enumerate(names):
        audio = speech_like(3.2, seed=seed)
        soundfile.write(folder / f"{name}.wav", audio.waveform[0].numpy(), audio.sample_rate)
    lines = [
        {"name": name, "audio": f"{name}.wav", "licence": "CC0", "source": f"corpus, {name}"}
        for name in names
    ]
    path = folder / "voices.jsonl"
    path.write_text("\n".join(map(json.dumps, lines)))
    return path


def test_each_player_has_its_file(samples: ModuleType, tmp_path: Path) -> None:
    hasty = LengthConfig(min_frames_per_symbol=0.5, max_frames_per_symbol=1.0, margin_frames=15)
    model = save_bundle(
        tiny_pitched_bundle(BundleConfig(name="tiny", length=hasty)), tmp_path / "model"
    )
    voices, out = voice_list(tmp_path, "anna", "ben"), tmp_path / "samples"
    sentences = ["One.", "Two & three.", "Four."]
    options = ["--voices", str(voices), "--model", str(model), "--out", str(out)]
    assert samples.main([*options, "--sentences", *sentences]) == 0
    page = (out / "index.md").read_text("utf-8")
    played = re.findall(r'src="(.*?)"', page)
    # Each voice has its prompt, then every second sentence.
    assert played == ["anna.opus", "01.opus", "03.opus", "ben.opus", "02.opus"]
    assert {path.name for path in out.iterdir()} == {*played, "index.md"}
    for name in played:
        assert soundfile.info(out / name).subtype == "OPUS"
        assert soundfile.info(out / name).duration > 0.1
    assert "corpus, ben, CC0" in page and "Two &amp; three." in page


def test_two_voices_of_one_name_are_refused(samples: ModuleType, tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match="names of their own"):
        samples.read_voices(voice_list(tmp_path, "anna", "anna"))


def test_the_page_is_of_the_weights_that_are_shipped(samples: ModuleType) -> None:
    """Whoever changes the default model has its samples made anew."""
    folder = ROOT / "docs" / "samples"
    page = (folder / "index.md").read_text("utf-8")
    assert f"weights {load_bundle('default').hash}" in page
    played = re.findall(r'src="(.*?)"', page)
    assert {path.name for path in folder.iterdir()} == {*played, "index.md"}
    assert len(played) == len(samples.SENTENCES) + len(samples.read_voices(samples.VOICES)) == 18
    assert all((folder / name).stat().st_size < 60_000 for name in played)
    for sentence in samples.SENTENCES:
        assert f"*{html.escape(sentence)}*" in page
