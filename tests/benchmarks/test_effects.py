"""The runner of effects: its verdict, its pairing, its pages."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from importlib import import_module
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
import soundfile

from uslm.evaluation.metrics.bootstrap import Estimate
from uslm.evaluation.suites.made_speech import made_speech
from uslm.evaluation.suites.speech_set import PAUSE, SAMPLE_RATE
from uslm_recipes.data.preparing.run import PrepareConfig, prepare
from uslm_recipes.data.sources.manifest import read_manifest


@pytest.mark.parametrize(
    ("gain", "over_control", "agree", "wanted"),
    [
        ((0.1, 0.2), (0.1, 0.2), True, True),
        ((0.1, 0.2), (0.1, 0.2), False, "no difference"),  # one seed says otherwise
        ((-0.1, 0.2), (0.1, 0.2), True, "no difference"),
        ((-0.1, 0.01), (0.1, 0.2), False, False),  # nothing that would matter
        ((0.1, 0.2), (-0.1, 0.01), True, False),  # the control does as well
        ((0.1, 0.2), (-0.1, 0.2), True, "no difference"),
    ],
)
def test_the_verdict(
    gain: tuple[float, float],
    over_control: tuple[float, float],
    agree: bool,
    wanted: object,
    effects: Any,
) -> None:
    one, other = (
        Estimate(value=(low + high) / 2, low=low, high=high, count=9)
        for low, high in (gain, over_control)
    )
    found = sys.modules["effect"].verdict(one, other, agree=agree, margin=0.02)
    assert found is wanted or found == wanted == "no difference"


def test_arms_are_compared_on_the_same_utterances(effects: Any) -> None:
    """Hard and easy utterances are far apart, the arms are not: paired, the gain is certain."""
    module = sys.modules["effect"]
    sizes = (10.0,) * 8
    better = module.Measured(totals=(0.0, 1, 2, 3, 5, 6, 7, 8), sizes=sizes)
    worse = module.Measured(totals=(1.0, 2, 3, 4, 6, 7, 8, 9), sizes=sizes)
    gain = module.difference([better], [worse], -1.0)
    assert gain.low == pytest.approx(0.1) == gain.high
    assert module.together([better]).high - module.together([better]).low > 0.3


def test_speech_of_a_corpus_keeps_its_phonemes_times_and_speakers(
    effects: Any, tmp_path: Path
) -> None:
    made = made_speech(num_train=12, num_test=6, num_phonemes=12)
    rows = []
    for split in ("train", "test"):
        for number, speech in enumerate(getattr(made, split)):
            quiet = 0.5 * speech.waveform[0]  # what is cut off is rejected
            soundfile.write(tmp_path / f"{split}{number}.wav", quiet, SAMPLE_RATE)
            times = [each.end - each.start for each in speech.segments]
            rest = speech.seconds - speech.segments[-1].end
            row = {
                "audio": f"{split}{number}.wav", "speaker": speech.labels["speaker"],
                "split": split, "phonemes": "".join(speech.phonemes), "durations": [*times, rest],
            }  # fmt: skip
            rows.append(json.dumps(row))
    (tmp_path / "manifest.jsonl").write_text("\n".join(rows))
    prepare(
        read_manifest(tmp_path / "manifest.jsonl"),
        tmp_path / "corpus",
        PrepareConfig(num_workers=0),
    )
    found = effects.Setting(corpus=tmp_path / "corpus", num_train=9, num_test=6).speech
    assert (len(found.train), len(found.test)) == (9, 6)
    speakers = [{each.labels["speaker"] for each in rows} for rows in (found.train, found.test)]
    assert not speakers[0] & speakers[1]
    letters = str.maketrans({"r": "ɹ", "x": "k"})  # what the vocabulary has in their place
    by_text = {"".join(each.phonemes).translate(letters): each for each in made.test}
    for each in found.test:
        truth = by_text["".join(each.phonemes)]
        wanted = [(s.symbol.translate(letters), s.end) for s in truth.segments if s.symbol != PAUSE]
        received = [(s.symbol, s.end) for s in each.segments if s.symbol != PAUSE]
        assert [symbol for symbol, _ in received] == [symbol for symbol, _ in wanted]
        assert [t for _, t in received] == pytest.approx([t for _, t in wanted], abs=1e-3)


def test_the_script_lists_prints_and_writes(
    effects: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: Any
) -> None:
    assert effects.main(["--list"]) == 0
    listed = capsys.readouterr().out.splitlines()
    known = effects.find_effects()
    assert [line.partition(":")[0] for line in listed] == list(known)
    monkeypatch.setattr(effects, "SIZES", {True: (12, 6), False: (12, 6)})
    run = ["kmeans_start", "--quick", "--seeds", "1", "--scale", "0.1", "--out", str(tmp_path)]
    assert effects.main(run) == 0
    record = json.loads(capsys.readouterr().out)
    assert set(record) >= {"name", "arms", "control", "shows"}
    assert set(record["arms"]["random start"]) == {"value", "low", "high", "count"}
    page = (tmp_path / "kmeans_start.md").read_text()
    assert "run.py kmeans_start --seeds 1 --quick --scale 0.1`" in page
    assert f"| random start | {record['arms']['random start']['value']:.3f} [" in page
    drawing = ElementTree.parse(tmp_path / "kmeans_start.svg").getroot()
    dots = [each for each in drawing.iter() if each.tag.endswith("}circle")]
    assert len(dots) == len(known["kmeans_start"].arms)
    index = (tmp_path / "index.md").read_text()
    assert index.count("](") == 1 and "](kmeans_start.md)" in index
    assert json.loads((tmp_path / "kmeans_start.json").read_text())["paper"]
    assert effects.main(["kmeans_start", "--corpus", str(tmp_path / "gone")]) == 1
    assert "gone" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        effects.main(["kmeans_start", "--broken", "nothing"])


@pytest.mark.parametrize(("gain", "said"), [(0.03, False), (0.01, True)])
def test_a_page_says_where_a_gain_is_smaller_than_what_would_matter(
    effects: Any, tmp_path: Path, gain: float, said: bool
) -> None:
    effect = effects.find_effects()["voxcpm_drift"]  # its margin is 0.02
    page, module = import_module("effect_page"), import_module("effect")
    value = Estimate(value=gain, low=gain / 2, high=2 * gain, count=9)
    outcome = module.Outcome(
        name=effect.name, arms=dict.fromkeys(effect.arms, value),
        by_seed={arm: [gain] for arm in effect.arms}, gain=value,
        control={"arm": effect.arms[2], "gain": asdict(value)}, shows=True, source="",
        broken=None,
    )  # fmt: skip
    text = page.write_effect(effect, outcome, "run.py", tmp_path).read_text()
    assert ("would matter: 0.02; what is shown is smaller." in text) == said
