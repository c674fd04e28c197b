"""benchmarks/voice.py: two models side by side; what got worse is found, chance is not."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest
import torch

from uslm.evaluation.metrics.scores import Judges
from uslm.systems.two_stage.bundle import save_bundle
from uslm.systems.two_stage.config import BundleConfig, LengthConfig
from uslm.systems.two_stage.tiny import speech_like, tiny_bundle
from uslm_tokenizer.audio.write import write_audio

SCRIPT = Path(__file__).parents[1] / "benchmarks" / "voice.py"
JUDGES = Judges(
    recognizer=lambda waveforms: ["the first words"] * len(waveforms),
    normalize=lambda text: text.lower().strip("."),
    speaker_model=lambda waveform: torch.fft.rfft(waveform, 64).abs() + 1e-3,
    quality_model=lambda waveform: {"dnsmos": 3.0, "dnsmos_p808": 3.5},
)


@pytest.fixture(scope="module")
def benchmark(load_script: Callable[[Path], ModuleType]) -> ModuleType:
    return load_script(SCRIPT)


def test_it_speaks_judges_and_compares(
    benchmark: ModuleType,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(benchmark, "load_judges", lambda *_, **__: JUDGES)
    hasty = LengthConfig(min_frames_per_symbol=0.5, max_frames_per_symbol=1.0, margin_frames=15)
    model = save_bundle(tiny_bundle(BundleConfig(name="tiny", length=hasty)), tmp_path / "model")
    sentences = tmp_path / "sentences.txt"
    sentences.write_text("The first words.\nThe second words.\n")
    voices = []
    for seed in range(2):
        audio = speech_like(3.2, seed=seed)
        voices.append(str(tmp_path / f"{seed}.wav"))
        write_audio(voices[-1], audio.waveform, audio.sample_rate)
    options = ["--recognizer", "judges", "--sentences", str(sentences), "--voices", *voices]
    code = benchmark.main(
        [*options, "--model", str(model), "--against", str(model), "--out", str(tmp_path / "out")]
    )
    printed = capsys.readouterr().out
    assert code == 0  # a model is no worse than itself
    [words] = [line for line in printed.splitlines() if line.startswith("| WER")]
    assert words.split(" | ")[1].startswith("16.7 ")  # one word of six
    assert words.split(" | ")[3].startswith("0.0 [0.0, 0.0]")
    assert sorted((tmp_path / "out/now/prompts").iterdir())[1].name == "1.wav"


def rows(values: list[float], name: str) -> list[dict[str, float]]:
    return [{name: value} for value in values]


@pytest.mark.parametrize(
    ("name", "now", "before", "found"),
    [
        ("cosine", [0.5, 0.6, 0.4, 0.5], [0.7, 0.8, 0.6, 0.75], ["cosine"]),
        ("cosine", [0.7, 0.8, 0.6, 0.75], [0.5, 0.6, 0.4, 0.5], []),  # it got better
        ("cosine", [0.5, 0.9, 0.4, 0.8], [0.6, 0.8, 0.5, 0.7], []),  # chance
        ("pitch_error", [2.0, 3.0, 2.5, 2.0], [0.5, 0.4, 0.2, 0.3], ["pitch_error"]),
        ("rate", [20.0, 21.0, 20.0, 22.0], [10.0, 11.0, 10.0, 12.0], []),  # neither good nor bad
    ],
)
def test_only_what_surely_got_worse_is_told(
    benchmark: ModuleType, name: str, now: list[float], before: list[float], found: list[str]
) -> None:
    scores = {
        "now": [{**row, "word_errors": 0, "words": 3, "character_errors": 0, "characters": 9}
                for row in rows(now, name)],
        "before": [{**row, "word_errors": 0, "words": 3, "character_errors": 0, "characters": 9}
                   for row in rows(before, name)],
    }  # fmt: skip
    assert benchmark.worse(scores) == found


def test_the_pitch_of_a_voice_is_compared_in_half_tones(benchmark: ModuleType) -> None:
    assert benchmark.half_tones(220.0, 110.0) == pytest.approx(12)
    assert benchmark.half_tones(100.0, 200.0) == pytest.approx(-12)


def test_a_revision_of_this_repository_is_unpacked(benchmark: ModuleType, tmp_path: Path) -> None:
    folder = Path(benchmark.unpacked("git:HEAD", tmp_path))
    assert (folder / "bundle.json").is_file() and folder.is_relative_to(tmp_path)
    assert benchmark.unpacked("default", tmp_path) == "default"
