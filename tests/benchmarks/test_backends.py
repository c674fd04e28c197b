"""benchmarks/backends.py: each arm speaks in a process of its own, and has its row."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import pytest
import soundfile

from uslm.generate.length import LengthConfig
from uslm.systems.two_stage.bundle import save_bundle
from uslm.systems.two_stage.config import BundleConfig
from uslm.systems.two_stage.tiny import speech_like, tiny_pitched_bundle

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "backends.py"


@pytest.fixture(scope="module")
def backends(load_script: Callable[[Path], ModuleType]) -> ModuleType:
    return load_script(SCRIPT)


def test_an_arm_speaks_and_is_measured(
    backends: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    hasty = LengthConfig(min_frames_per_symbol=0.5, max_frames_per_symbol=1.0, margin_frames=15)
    model = save_bundle(
        tiny_pitched_bundle(BundleConfig(name="tiny", length=hasty)), tmp_path / "model"
    )
    prompt = tmp_path / "prompt.wav"
    soundfile.write(prompt, speech_like().waveform[0].numpy(), 16_000)
    options = ["--model", str(model), "--prompt", str(prompt), "--out", str(tmp_path / "out")]
    assert backends.main([*options, "--arms", "onnx float32", "--limit", "1"]) == 0
    [row] = [line for line in capsys.readouterr().out.splitlines() if line.startswith("| onnx")]
    values = [float(cell) for cell in row.split("|")[2:-1]]
    factor, first_audio, start, memory, size = values
    assert factor > 0 and first_audio > 0 and start > 0.05 and memory > 20 and size > 1
    assert soundfile.info(tmp_path / "out" / "onnx-float32-00.wav").frames > 0


def test_error_rates_are_weighed_by_length(
    backends: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from uslm.evaluation.judges import loading
    from uslm.evaluation.metrics.scores import Judges

    soundfile.write(tmp_path / "a.wav", speech_like(1.0).waveform[0].numpy(), 16_000)
    run = backends.Run(
        text="one two three", audio=tmp_path / "a.wav", start_seconds=1.0,
        first_audio_seconds=0.1, total_seconds=0.5, seconds=1.0, peak_bytes=10**8,
    )  # fmt: skip
    judges = Judges(
        recognizer=lambda waveforms: ["one two three"] * len(waveforms),
        normalize=str.lower,
        speaker_model=None,
        quality_model=lambda waveform: {"dnsmos": 3.0},
    )
    monkeypatch.setattr(loading, "load_judges", lambda *_, **__: judges)
    given = backends.parser().parse_args(["--recognizer", "x", "--out", str(tmp_path)])
    found = backends.judged({"onnx int8": [run, replace(run, text="seven")]}, given)
    assert found["onnx int8"]["wer"] == pytest.approx(3 / 4)  # one wrong, two beyond, of 4 words
    lines = list(backends.table({"onnx int8": [run]}, {"onnx int8": 10**6}, found, 2))
    assert lines[-1] == "| onnx int8 | 0.500 | 100 | 1.00 | 100 | 1.0 | 75.0 | 3.00 |"
