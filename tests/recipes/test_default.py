"""recipes/default.sh, the one command, works from recordings to a card."""

from __future__ import annotations

import json
from pathlib import Path

from uslm.tts import ZeroShotTTS
from uslm_recipes.cards.training_facts import read_run

STAGES = ("units", "codec", "ar", "nar", "joint")


def test_every_stage_ran_once(trained_default: Path) -> None:
    lines = (trained_default / "command.log").read_text("utf-8").splitlines()
    stages = [line.removeprefix("== ") for line in lines if line.startswith("== ")]
    assert stages == [
        "prepare",
        "units",
        "codec",
        "ar",
        "nar",
        "joint",
        "bundle",
        "evaluate",
        "card",
    ]


def test_recordings_are_prepared_from_what_was_transcribed(trained_default: Path) -> None:
    lines = (trained_default / "transcribed" / "1.jsonl").read_text("utf-8").splitlines()
    assert len(lines) == 16 and all(json.loads(line)["text"] for line in lines)


def test_what_was_trained_speaks(trained_default: Path) -> None:
    tts = ZeroShotTTS.from_pretrained(trained_default / "bundle")
    voice = tts.create_voice(trained_default / "made_up" / "0.wav")
    speech = tts.generate("Hello.", voice, seed=1)
    assert speech.waveform.shape[1] > 1600 and bool(speech.waveform.isfinite().all())


def test_the_card_says_what_the_runs_say(trained_default: Path) -> None:
    card = (trained_default / "bundle" / "README.md").read_text("utf-8")
    machine = read_run(trained_default / "units").machines[0]
    assert f"Trained on {machine}." in card
    for stage in STAGES:
        facts = read_run(trained_default / stage)
        assert f"| {stage} | {facts.steps} |" in card
        assert facts.speed.mfu is not None and 0 < facts.speed.mfu < 1
    assert "LibriSpeech" in card and "LJ Speech" in card


def test_the_report_is_of_the_bundle(trained_default: Path) -> None:
    report = json.loads((trained_default / "evaluation" / "report.json").read_text("utf-8"))
    assert report["sections"]["speech"]["rows"]["all"]["wer"]
