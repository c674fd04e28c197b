"""`make_pairs` and `evaluate_lm`: sets from our own voices and data, a report of two models."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from uslm.evaluation.suites.made_speech import made_speech
from uslm.systems.lst.model import PatchLM
from uslm.systems.two_stage.bundle import save_bundle
from uslm.systems.two_stage.tiny import tiny_bundle, tiny_voice
from uslm_recipes.commands import evaluate_lm, make_pairs
from uslm_tokenizer.audio.write import write_audio
from uslm_tokenizer.codecs.unit_tokenizer.model import UnitTokenizer


def test_sets_are_made_and_models_judged(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bundle = tiny_bundle()
    save_bundle(bundle, tmp_path / "speaks")
    voice = tiny_voice(bundle).save(tmp_path / "babble.safetensors")
    lines = []
    for number, row in enumerate(made_speech(num_train=0, num_test=12).test):
        write_audio(tmp_path / f"{number}.wav", 0.5 * row.waveform, 16_000)
        lines.append(json.dumps({"audio": f"{number}.wav", "split": "test", **row.labels}) + "\n")
    (tmp_path / "speech.jsonl").write_text("".join([*lines, lines[0].replace("test", "train")]))
    given = ["--model", str(tmp_path / "speaks"), "--voices", str(voice), "--count", "2"]
    given += ["--kinds", "words", "stories", "consistency"]
    out = ["--out", str(tmp_path / "pairs")]
    assert make_pairs.main([*given, *out]) == 1
    assert "--manifest must name recordings" in capsys.readouterr().err
    given += ["--manifest", str(tmp_path / "speech.jsonl")]
    assert make_pairs.main([*given, *out]) == 0
    assert capsys.readouterr().out.endswith("10 pairs\n")
    assert make_pairs.main([*given, *out]) == 1
    assert "holds pairs; give another --out" in capsys.readouterr().err

    torch.manual_seed(0)
    UnitTokenizer(UnitTokenizer.tiny_config()).save_pretrained(tmp_path / "units")
    for name, size in (("plain", 1), ("patches", 3)):
        config = replace(PatchLM.tiny_config(), patch_size=size)
        PatchLM(config).save_pretrained(tmp_path / name)
    models = [str(tmp_path / name) for name in ("plain", "patches")]
    given = ["--tokenizer", str(tmp_path / "units"), "--pairs", str(tmp_path / "pairs")]
    given += ["--out", str(tmp_path / "report")]
    assert evaluate_lm.main(["--lm", *models, *given]) == 0
    report = json.loads((tmp_path / "report" / "report.json").read_text())
    assert set(report["sections"]) == {"words", "stories", "speaker", "background", "room"}
    row = report["sections"]["words"]["rows"][models[0]]
    assert 0 <= row["pair_accuracy"]["value"] <= 1 and row["pair_accuracy"]["count"] == 2
    assert row["token_rate"]["value"] == pytest.approx(50, rel=0.1)
    assert "by second, %" in capsys.readouterr().out
    assert evaluate_lm.main(["--lm", str(tmp_path / "speaks" / "semantic"), *given]) == 1
    assert "must be a speech language model" in capsys.readouterr().err
