"""What a run hands over: averaged weights, a filled card, and if asked a folder on the Hub."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import torch

from uslm.systems.two_stage.monotonic import MonotonicLM
from uslm_recipes.cards.export import export
from uslm_recipes.loop import (
    LoopConfig,
    Run,
    TrainingState,
    finish_run,
    make_optimizer,
    start_run,
)
from uslm_recipes.loop.training_data import TrainingData
from uslm_recipes.train.ar import Objective
from uslm_tokenizer.errors import EnvironmentProblem


@dataclass(frozen=True)
class Recipe:
    """As small as a recipe's config can be."""

    loop: LoopConfig


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    header = {"hours_by_source": {"mine": 1.0}, "hours_by_split": {"train": 1.0}}
    folder = tmp_path / "corpus"
    folder.mkdir()
    (folder / "corpus.json").write_text(json.dumps(header), "utf-8")
    return folder


def finished(out: Path, corpus: Path, loop: LoopConfig) -> tuple[Run, MonotonicLM]:
    """A run of no step, whose averages are all 0.5."""
    model = MonotonicLM(MonotonicLM.tiny_config())
    objective = Objective(model)
    state = TrainingState(
        models={"model": objective}, optimizers={"model": make_optimizer(objective, loop)}
    )
    data = TrainingData(folders=(corpus,))
    with start_run(Recipe(loop), out, state, data=data) as run:
        for average in run.state.ema["model"].state_dict().values():
            average.fill_(0.5)
        run.state.progress.step = 1
        finish_run(run)
        run.log.record("train", 1, {"steps_per_second": 1.0, "minutes": 0.1})
    return run, model


LOOP = LoopConfig(steps=1)


def test_the_averages_are_exported_and_the_model_stays(tmp_path: Path, corpus: Path) -> None:
    run, model = finished(tmp_path / "run", corpus, replace(LOOP, licence="cc0-1.0"))
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    export(run, "model", {"model": model})
    saved = MonotonicLM.from_pretrained(tmp_path / "run" / "model")
    assert all(bool((parameter == 0.5).all()) for parameter in saved.parameters())
    assert all(torch.equal(before[name], now) for name, now in model.state_dict().items())
    card = (tmp_path / "run" / "model" / "README.md").read_text("utf-8")
    assert "license: cc0-1.0" in card and "| mine | 1.00 | not stated |" in card


class Hub:
    """Remembers what was sent."""

    sent: dict[str, Any]

    def __init__(self, token: str | None = None) -> None:
        type(self).sent = {}

    def create_repo(self, name: str, **options: Any) -> None:
        self.sent["name"] = name

    def upload_folder(self, *, repo_id: str, folder_path: Path) -> str:
        self.sent[repo_id] = sorted(path.name for path in Path(folder_path).iterdir())
        return f"https://hub/{repo_id}/commit/1"


def test_it_is_sent_to_the_hub_with_its_card(
    tmp_path: Path, corpus: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.HfApi", Hub)
    run, model = finished(tmp_path / "run", corpus, replace(LOOP, push_to_hub="me/voice"))
    export(run, "model", {"model": model})
    assert Hub.sent["me/voice"] == ["README.md", "config.json", "model.safetensors"]
    last = (tmp_path / "run" / "log.jsonl").read_text("utf-8").splitlines()[-1]
    assert json.loads(last)["address"] == "https://hub/me/voice/commit/1"


def test_a_hub_out_of_reach_loses_nothing(tmp_path: Path, corpus: Path) -> None:
    """Tests are offline."""
    run, model = finished(tmp_path / "run", corpus, replace(LOOP, push_to_hub="me/voice"))
    with pytest.raises(EnvironmentProblem, match="could not be sent to the Hub as 'me/voice'"):
        export(run, "model", {"model": model})
    assert (tmp_path / "run" / "model" / "model.safetensors").is_file()
    assert (tmp_path / "run" / "model" / "README.md").is_file()
