"""uslm evaluate with a model that babbles and judges made up for the test."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import soundfile

from uslm.evaluation.suites.bench_config import QUICK
from uslm.evaluation.suites.made_speech import made_speech
from uslm.systems.two_stage.tiny import speech_like

Uslm = Callable[..., Any]
JUDGES = ("--recognizer", "my_judges:hear", "--speaker-model", "my_judges:voice")


@pytest.fixture
def listed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A list of two lines, its prompts, and judges to import."""
    (tmp_path / "my_judges.py").write_text(
        "def hear(waveforms): return ['Hello, World'] * len(waveforms)\n"
        "def voice(waveform): return waveform[:400].abs() + 0.01\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    for seed, name in enumerate(("a", "b")):
        speech = speech_like(2.0, seed=seed)
        soundfile.write(tmp_path / f"{name}.wav", speech.waveform[0].numpy(), 16_000)
    path = tmp_path / "meta.lst"
    path.write_text("one|words|a.wav|Hello world.\ntwo|words|b.wav|Another four word text.\n")
    return path


def test_a_model_is_evaluated(uslm: Uslm, tiny_files: Path, listed: Path, tmp_path: Path) -> None:
    arguments = (
        "evaluate",
        "--list",
        listed,
        *JUDGES,
        "--model",
        tiny_files / "model",
        "--out",
        "out",
    )
    result = uslm(*arguments, "--recordings", "a.wav", "b.wav")
    assert result.code == 0, result.stderr
    assert "## Speech from text" in result.out and "SIM-r" in result.out
    assert "report.html" in result.stderr
    out = tmp_path / "out"
    report = json.loads((out / "report.json").read_text())
    assert set(report["sections"]) == {"speech", "speed", "codec", "codes"}
    row = report["sections"]["speech"]["rows"]["all"]
    assert row["wer"]["value"] == pytest.approx(4 / 6)
    assert row["wer_mean"]["value"] == pytest.approx(1 / 2)
    assert {"sim_o", "sim_r"} <= set(row)
    assert report["model"]["name"] == "tiny" and report["machine"]["device"] == "cpu"
    assert report["config"]["seed"] == 0 and "quiet" not in report["config"]
    assert (out / "wavs" / "one.wav").is_file() and (out / "codec" / "0001-decoded.wav").is_file()
    assert "data:audio/mpeg" in (out / "report.html").read_text()
    uslm(*arguments).assert_refused(1, "'out' holds an evaluation", "--force")


def test_speech_of_others_is_judged(uslm: Uslm, listed: Path, tmp_path: Path) -> None:
    (tmp_path / "theirs").mkdir()
    arguments = ("evaluate", "--list", listed, *JUDGES, "--speech", "theirs", "--out", "out")
    uslm(*arguments).assert_refused(2, "lacks 2 of 2 utterances, as one.wav")
    for name in ("one", "two"):
        soundfile.write(tmp_path / "theirs" / f"{name}.wav", speech_like(1.0).waveform[0], 16_000)
    result = uslm(*arguments, "--json")
    assert result.code == 0, result.stderr
    record = json.loads(result.out)
    assert record["title"] == "Evaluation of theirs"
    assert list(record["sections"]) == ["speech"]
    assert "sim_r" not in record["sections"]["speech"]["rows"]["all"]


def test_a_codec_alone(uslm: Uslm, tiny_files: Path, listed: Path, tmp_path: Path) -> None:
    tokenizer = tiny_files / "model" / "tokenizer"
    result = uslm(
        "evaluate", "--recordings", "a.wav", "--tokenizer", tokenizer, "--out", "out", "--json"
    )
    assert result.code == 0, result.stderr
    sections = json.loads(result.out)["sections"]
    assert set(sections) == {"codec", "codes"}
    assert sections["codes"]["rows"]["all"]["bit_rate"]["value"] == 50 * 4 * 5


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        ([], 1, "nothing to judge"),
        (["--list", "meta.lst"], 1, "--list needs --recognizer"),
        (["--list", "gone.lst", *JUDGES], 2, "'gone.lst' is not there"),
        (["--recordings", "gone.wav"], 2, "'gone.wav' is not there"),
        (["--recordings", "a.wav", "--speech", "x"], 1, "--speech needs the --list"),
        (["--list", "meta.lst", "--recognizer", "no_ears:hear"], 1, "cannot be imported"),
        (["--list", "meta.lst", *JUDGES, "--model", "gone"], 2, "gone"),
        (["--list", "meta.lst", *JUDGES, "--limit", "0"], 1, "--limit must be"),
        (["--list", "meta.lst", *JUDGES, "--normalizer", "x"], 1, "one of seed-tts-eval, whisper"),
    ],
)
def test_what_cannot_be_evaluated_is_refused(
    arguments: list[str], code: int, words: str, uslm: Uslm, listed: Path, tmp_path: Path
) -> None:
    uslm("evaluate", *arguments, "--out", "out").assert_refused(code, words)
    assert not (tmp_path / "out").exists()


def test_a_list_with_a_gap_is_refused_before_any_work(
    uslm: Uslm, listed: Path, tmp_path: Path
) -> None:
    (tmp_path / "b.wav").unlink()
    result = uslm("evaluate", "--list", listed, *JUDGES, "--out", "out")
    result.assert_refused(2, "1 of 2 prompts are missing", "b.wav")


@pytest.fixture
def manifest(tmp_path: Path) -> Path:
    """Six speakers of made-up speech, with everything that is known of it."""
    speech = made_speech(num_train=12, num_test=6, num_phonemes=6)
    lines = []
    for number, (split, each) in enumerate(
        [("train", each) for each in speech.train] + [("test", each) for each in speech.test]
    ):
        soundfile.write(tmp_path / f"{number}.wav", each.waveform[0].numpy(), 16_000)
        seconds = [segment.end - segment.start for segment in each.segments]
        lines.append(
            {
                "audio": f"{number}.wav",
                "text": each.text,
                "phonemes": "".join(each.phonemes),
                "durations": [*seconds, 0.1],
                "speaker": each.labels["speaker"],
                "split": split,
            }
        )
    path = tmp_path / "speech.jsonl"
    path.write_text("\n".join(map(json.dumps, lines)))
    return path


def test_tokenizers_go_through_the_bench(
    uslm: Uslm, tiny_files: Path, manifest: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    probe = replace(QUICK.probe, dim=8, steps=2)
    quick = replace(QUICK, probe=probe, num_decoded=1, ratios=(0.5,), shares=(1.0,))
    monkeypatch.setattr("uslm_app.actions.benching.QUICK", quick)
    known, gone = tiny_files / "model" / "tokenizer", "nobody/has-this"
    arguments = ("evaluate", "--manifest", manifest, "--tokenizer", known, gone, "--quick")
    result = uslm(*arguments, "--seeds", "2", "--out", "out", "--json")
    assert result.code == 0, result.stderr
    record = json.loads(result.out)
    assert list(record["skipped"]) == [gone]
    sections = record["sections"]
    assert set(sections) == {
        "use", "alignment", "preservation", "stream", "phonemes", "labels", "robustness",
        "compression",
    }  # fmt: skip
    rows = sections["alignment"]["rows"]
    assert {f"{known}, {part}" for part in ("codebook 1", "codebooks 1-4", "codebooks 2-4")} <= set(
        rows
    )
    assert rows[f"{known}, codebook 1: codebook permuted"]["phoneme_errors"]["count"] == 6
    assert all(
        len(values) == 2
        for row in sections["phonemes"]["by_seed"].values()
        for values in row.values()
    )
    page = (tmp_path / "out" / "report.html").read_text()
    assert page.count("<svg") >= 6 and "<polyline" in page
    uslm(*arguments, "--out", "out").assert_refused(1, "'out' holds an evaluation")


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["--manifest", "gone.jsonl"], 2, "'gone.jsonl' is not there"),
        (["--manifest", "speech.jsonl", "--recordings", "0.wav"], 1, "a bench of its own"),
        (["--recordings", "0.wav", "--tokenizer", "a", "b"], 1, "several tokenizers are for"),
        (["--manifest", "speech.jsonl", "--suites", "x"], 1, "one of alignment"),
        (["--manifest", "speech.jsonl", "--tokenizer", "no/such"], 2, "no tokenizer is there"),
    ],
)
def test_what_cannot_be_benched_is_refused(
    arguments: list[str], code: int, words: str, uslm: Uslm, manifest: Path
) -> None:
    result = uslm("evaluate", *arguments, "--out", "out", "--quiet")
    assert result.code == code and words in result.stderr
