"""benchmarks/enhance.py: every arm is given the same noise, and is judged against the recording."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import soundfile
import torch

from uslm.evaluation.metrics.scores import Judges
from uslm.systems.gense.tiny import save_tiny_gense
from uslm.systems.two_stage.tiny import speech_like

FOLDER = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture(scope="module")
def enhance(load_script: Callable[[Path], ModuleType]) -> Iterator[ModuleType]:
    before = sys.modules.pop("voice", None)
    sys.path.insert(0, str(FOLDER))
    yield load_script(FOLDER / "enhance.py")
    sys.path.remove(str(FOLDER))
    del sys.modules["voice"]
    if before is not None:
        sys.modules["voice"] = before


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    """Four utterances of a speaker that is held out."""
    from uslm_recipes.prepare import main

    lines = []
    for number in range(4):
        audio = speech_like(2.5, seed=number)
        soundfile.write(tmp_path / f"{number}.wav", audio.waveform[0].numpy(), 16_000)
        lines.append(
            {"audio": f"{number}.wav", "speaker": "s", "text": "one two three", "split": "test"}
        )
    (tmp_path / "list.jsonl").write_text("\n".join(map(json.dumps, lines)))
    assert (
        main(["--manifest", str(tmp_path / "list.jsonl"), "--out", str(tmp_path / "corpus")]) == 0
    )
    return tmp_path / "corpus"


def test_arms_share_their_noise_and_each_is_judged(
    enhance: ModuleType,
    corpus: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    save_tiny_gense(tmp_path / "model")
    judges = Judges(
        recognizer=lambda waveforms: ["one two"] * len(waveforms),
        normalize=str.lower,
        speaker_model=lambda waveform: torch.stack([waveform.std(), waveform.abs().max()]),
        quality_model=lambda waveform: {"dnsmos": float(waveform.std()), "dnsmos_p808": 3.0},
    )
    monkeypatch.setattr(enhance, "load_judges", lambda *_, **__: judges)
    out = tmp_path / "out"
    options = ["--model", str(tmp_path / "model"), "--corpus", str(corpus), "--recognizer", "x"]
    assert enhance.main([*options, "--snr", "0", "10", "--limit", "3", "--out", str(out)]) == 0
    printed = capsys.readouterr().out
    assert "3 recordings, 8 s" in printed
    rows = [line for line in printed.splitlines() if line.startswith("| ")]
    names = [row.split(" | ")[0].strip("| ") for row in rows]
    arms = ["noisy", "spectral gating", "GenSE", "GenSE without noisy codes"]
    gaps = [f"*GenSE less {name}*" for name in (arms[0], arms[1], arms[3])]
    assert names == [
        "Without noise", "clean recording", "its codec alone", "0 dB", *arms, *gaps, "10 dB", *arms,
        *gaps,
    ]  # fmt: skip
    assert "| clean recording | 33.3 [33.3, 33.3] | 1.000 [1.000, 1.000] |" in printed
    made = {path.parent.name: soundfile.read(path)[0] for path in out.glob("0dB/*/00000.wav")}
    assert made.keys() == set(arms)
    clean = soundfile.read(out / "clean" / "clean recording" / "00000.wav")[0]
    # As loud as the recording, so the noise is half of it at 0 dB: cos(45 degrees).
    likeness = np.corrcoef(made["noisy"], clean)[0, 1]
    assert likeness == pytest.approx(0.5**0.5, abs=0.1)
    assert np.corrcoef(made["spectral gating"], clean)[0, 1] > likeness
    assert not np.array_equal(made["GenSE"], made["GenSE without noisy codes"])
    louder = soundfile.read(out / "10dB" / "noisy" / "00000.wav")[0]
    assert np.corrcoef(louder, clean)[0, 1] > likeness


def test_judges_that_were_not_asked_have_no_column(enhance: ModuleType) -> None:
    """As with --no-dnsmos."""
    rows = [{"word_errors": 1.0, "words": 4.0, "cosine": 0.5}]
    found = {"noisy": rows, "GenSE": rows}
    lines = [*enhance.table("5 dB", found), *enhance.gaps(found)]
    assert lines[0] == "| 5 dB | WER, % | speaker cosine |"
    assert lines[2] == "| noisy | 25.0 [25.0, 25.0] | 0.500 [0.500, 0.500] |"
    assert lines[4] == "| *GenSE less noisy* | 0.0 [0.0, 0.0] | 0.000 [0.000, 0.000] |"
