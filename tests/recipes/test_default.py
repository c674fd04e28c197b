"""recipes/default.sh, the one command, works from recordings to a card."""

from __future__ import annotations

import json
from pathlib import Path

from uslm.tts import ZeroShotTTS
from uslm_recipes.cards.training_facts import read_run

STAGES = ("units", "codec", "ar", "nar", "tune")


def test_every_stage_ran_once(trained: Path) -> None:
    lines = (trained / "command.log").read_text("utf-8").splitlines()
    stages = [line.removeprefix("== ") for line in lines if line.startswith("== ")]
    assert stages == [
        "prepare",
        "units",
        "codec",
        "encode",
        "ar",
        "nar",
        "tune",
        "bundle",
        "evaluate",
        "card",
    ]


def test_what_was_trained_speaks(trained: Path) -> None:
    tts = ZeroShotTTS.from_pretrained(trained / "bundle")
    voice = tts.create_voice(trained / "made_up" / "0.wav")
    speech = tts.generate("Hello.", voice, seed=1)
    assert speech.waveform.shape[1] > 1600 and bool(speech.waveform.isfinite().all())


def test_the_card_says_what_the_runs_say(trained: Path) -> None:
    card = (trained / "bundle" / "README.md").read_text("utf-8")
    machine = read_run(trained / "units").machines[0]
    assert f"Trained on {machine}." in card
    for stage in STAGES:
        facts = read_run(trained / stage)
        assert f"| {stage} | {facts.steps} |" in card
        assert facts.speed.mfu is not None and 0 < facts.speed.mfu < 1
    assert "LibriSpeech" in card and "LJ Speech" in card


def test_the_report_is_of_the_bundle(trained: Path) -> None:
    report = json.loads((trained / "evaluation" / "report.json").read_text("utf-8"))
    assert report["sections"]["speech"]["rows"]["all"]["wer"]
