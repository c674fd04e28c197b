"""The speaker encoder and DNSMOS with made-up weights: shapes, windows, invariances."""

from __future__ import annotations

import math
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from uslm.evaluation.judges import resemblyzer
from uslm.evaluation.judges.dnsmos import WINDOW_SAMPLES, Dnsmos, p808_features
from uslm.evaluation.judges.resemblyzer import Resemblyzer
from uslm_tokenizer.errors import EnvironmentProblem


class Detector:
    """Frames of a sound are speech."""

    def __init__(self, strictness: int) -> None:
        self.strictness = strictness

    def is_speech(self, frame: bytes, sample_rate: int) -> bool:
        return bool(np.abs(np.frombuffer(frame, np.int16)).max() > 300)


@pytest.fixture(autouse=True)
def detector(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "webrtcvad", SimpleNamespace(Vad=Detector))


def sound(seconds: float) -> torch.Tensor:
    return 0.3 * torch.randn(int(16_000 * seconds), generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("seconds", [0.05, 1.0, 1.6, 7.3])
def test_voice_is_a_vector_of_length_one(seconds: float) -> None:
    voice = Resemblyzer().eval()(sound(seconds))
    assert voice.shape == (256,)
    assert float(voice.norm()) == pytest.approx(1, abs=1e-5)


def test_silence_around_speech_does_not_matter() -> None:
    model, speech = Resemblyzer().eval(), sound(2.4)
    around = torch.cat([torch.zeros(24_000), speech, torch.zeros(24_000)])
    assert float(model(speech) @ model(around)) > 0.999


def test_only_silence_still_has_a_voice() -> None:
    assert Resemblyzer().eval()(torch.zeros(16_000)).isfinite().all()


def test_quiet_speech_is_levelled() -> None:
    level = resemblyzer._levelled(0.001 * sound(1)).square().mean().log10() * 10
    assert float(level) == pytest.approx(-30, abs=0.1)
    assert torch.equal(resemblyzer._levelled(sound(1)), sound(1))


def test_windows_cover_the_speech() -> None:
    for samples in range(800, 160_000, 7_000):
        starts = resemblyzer._window_starts(samples)
        assert starts[0] == 0
        assert (starts[-1] + 160) * 160 >= samples - 0.75 * 25_600


def test_weights_are_read_without_running_code(tmp_path: Path) -> None:
    model = Resemblyzer()
    state = {**model.state_dict(), "similarity_weight": torch.ones(1)}
    torch.save({"model_state": state}, tmp_path / "pretrained.pt")
    loaded = Resemblyzer.from_file(tmp_path / "pretrained.pt")
    assert torch.equal(loaded.linear.weight, model.linear.weight)
    assert not loaded.training


def test_packages_that_are_missing_are_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "pretrained.pt").touch()
    monkeypatch.setitem(sys.modules, "webrtcvad", None)
    with pytest.raises(EnvironmentProblem, match="pip install webrtcvad-wheels"):
        Resemblyzer.from_file(tmp_path / "pretrained.pt")
    monkeypatch.setattr(resemblyzer, "find_spec", lambda name: None)
    with pytest.raises(EnvironmentProblem, match="pip install --no-deps Resemblyzer"):
        Resemblyzer.from_package()
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(EnvironmentProblem, match="onnxruntime"):
        Dnsmos.from_package()


class Session:
    """An ONNX session with its mind made up, that keeps what it was given."""

    def __init__(self, *answer: float) -> None:
        self.answer = np.array([answer], dtype=np.float32)
        self.received: list[Any] = []

    def run(self, outputs: None, inputs: dict[str, Any]) -> list[Any]:
        self.received.append(inputs["input_1"])
        return [self.answer]


@pytest.mark.parametrize(("seconds", "windows"), [(0.5, 1), (9.5, 1), (12.3, 3), (60.0, 8)])
def test_dnsmos_takes_whole_windows(seconds: float, windows: int) -> None:
    session, p808 = Session(1.0, 2.0, 3.0), Session(3.5)
    scores = Dnsmos(session, p808)(2 * sound(seconds))
    assert set(scores) == {"dnsmos", "dnsmos_signal", "dnsmos_background", "dnsmos_p808"}
    assert scores["dnsmos_p808"] == pytest.approx(3.5)
    assert len(p808.received) == len(session.received)
    assert {each.shape for each in p808.received} == {(1, 900, 120)}
    assert scores["dnsmos"] == pytest.approx(-0.06766283 * 9 + 1.11546468 * 3 + 0.04602535)
    assert all(each.shape == (1, WINDOW_SAMPLES) for each in session.received)
    assert all(np.abs(each).max() <= 1 for each in session.received)
    if seconds >= 9.01:
        assert len(session.received) == windows


def test_p808_sees_where_the_energy_lies() -> None:
    # A tone of 1 kHz is loudest in the mel band around it, and alone at the top of the range.
    tone = torch.sin(2 * torch.pi * 1000 * torch.arange(WINDOW_SAMPLES) / 16_000)
    features = p808_features(tone)
    bands = features[100:800].argmax(dim=1)
    edges = torch.linspace(0, 15 + math.log(8) / (math.log(6.4) / 27), 122)  # Slaney's mels
    assert set(bands.tolist()) == {int((edges[1:-1] - 15).abs().argmin())}
    assert float(features.max()) == pytest.approx(1.0) and float(features.min()) == -1.0
