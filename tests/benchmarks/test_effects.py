"""Effects show where their mechanism works, and never where it is spoiled on purpose."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from uslm.evaluation.metrics.bootstrap import Estimate
from uslm.evaluation.suites.made_speech import made_speech

FOLDER = Path(__file__).parents[2] / "benchmarks" / "effects"
MODULES = ("run", "effect", "effect_page", "distillation", "kmeans_start", "shorter")


@pytest.fixture(scope="module")
def effects() -> Iterator[Any]:
    """The script, imported; its modules have short names and are forgotten afterwards."""
    before = {name: sys.modules.pop(name, None) for name in MODULES}
    sys.path.insert(0, str(FOLDER))
    yield import_module("run")
    sys.path[:] = [path for path in sys.path if path != str(FOLDER)]
    for name in MODULES:
        sys.modules.pop(name, None)
        if before[name] is not None:
            sys.modules[name] = before[name]


def shown(effects: Any, name: str, broken: str | None = None, scale: float = 0.5) -> Any:
    """What one seed on a little made-up speech comes to."""
    speech = made_speech(num_train=36, num_test=18, num_phonemes=8)
    setting = effects.Setting(
        speech=speech, source="made up", quick=True, scale=scale, broken=broken
    )
    return effects.run_effect(effects.EFFECTS[name], setting, [0]).shows


def test_a_filled_codebook_shows_and_a_forgotten_start_does_not(effects: Any) -> None:
    assert shown(effects, "kmeans_start") is True
    assert shown(effects, "kmeans_start", "start forgotten") is False


def test_distillation_shows_and_neither_cut_nor_shuffled_does(effects: Any) -> None:
    assert shown(effects, "distillation") is True
    assert shown(effects, "distillation", "gradient cut", 0.2) is False
    assert shown(effects, "distillation", "labels shuffled", 0.2) is False


def test_shorter_sequences_without_the_right_answers_show_nothing(effects: Any) -> None:
    assert shown(effects, "merging", "labels shuffled", 0.3) is False
    assert shown(effects, "deduplication", "text shuffled", 0.3) is False


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


def test_the_script_lists_prints_and_writes(
    effects: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: Any
) -> None:
    assert effects.main(["--list"]) == 0
    listed = capsys.readouterr().out.splitlines()
    assert [line.partition(":")[0] for line in listed] == list(effects.EFFECTS)
    monkeypatch.setattr(effects, "SIZES", {True: (12, 6), False: (12, 6)})
    only = {"kmeans_start": effects.EFFECTS["kmeans_start"]}
    monkeypatch.setattr(effects, "EFFECTS", only)
    assert effects.main(["--all", "--quick", "--seeds", "1", "--out", str(tmp_path)]) == 0
    record = json.loads(capsys.readouterr().out)
    assert set(record) >= {"name", "arms", "control", "shows"}
    assert set(record["arms"]["random start"]) == {"value", "low", "high", "count"}
    page = (tmp_path / "kmeans_start.html").read_text()
    assert "<svg" in page and "run.py kmeans_start --seeds 1 --quick" in page
    assert "kmeans_start.html" in (tmp_path / "index.html").read_text()
    assert json.loads((tmp_path / "kmeans_start.json").read_text())["paper"]
    assert effects.main(["kmeans_start", "--manifest", "gone.jsonl"]) == 1
    assert "no manifest" in capsys.readouterr().err
