"""What a run tells while it trains: speed, samples, trackers."""

from __future__ import annotations

import io
import json
import sys
import time
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from uslm_recipes.loop import LoopConfig, Progress, Validation, make_accelerator
from uslm_recipes.loop.bar import Bar
from uslm_recipes.loop.flops import COUNT_EVERY, COUNTED, FlopMeter, peak_flops
from uslm_recipes.loop.meter import Meter
from uslm_recipes.loop.pictures import draw_mels
from uslm_recipes.loop.reader import TrainBatch
from uslm_recipes.loop.testing import toy_run, train_toy
from uslm_recipes.loop.trackers import play_sound, show_picture, trackers_named
from uslm_tokenizer.errors import ConfigError, EnvironmentProblem

LOOP = LoopConfig(steps=6, warmup_steps=1, log_every=3, validate_every=3, keep_last=1)


def records(out: Path, kind: str) -> list[dict[str, Any]]:
    lines = map(json.loads, (out / "log.jsonl").read_text().splitlines())
    return [line for line in lines if line["kind"] == kind]


def shown() -> Validation:
    waveform = torch.sin(torch.arange(8000) / 8)
    return Validation(
        values={"loss": 0.5},
        sounds={"tone": (waveform, 16_000)},
        pictures={"tone": draw_mels({"tone": waveform}, 16_000)},
        texts={"said": "beep"},
    )


# ---- speed


def test_flops_are_those_of_the_formula() -> None:
    """A linear layer: two for each weight and row forward, twice that backward."""
    layer, meter = nn.Linear(8, 16, bias=False), FlopMeter()
    for _ in range(COUNTED):
        meter.begin()
        layer(torch.randn(10, 8, requires_grad=True)).sum().backward()
        meter.end(10)
    assert meter.per_slot == 3 * 2 * 8 * 16


def test_counting_changes_no_bit_and_is_rare() -> None:
    meter, counted = FlopMeter(), 0
    layer, x = nn.Linear(8, 8), torch.randn(4, 8)
    expected = layer(x)
    for _ in range(COUNT_EVERY + 1):
        meter.begin()
        counted += meter._mode is not None
        assert torch.equal(layer(x), expected)
        meter.end(4)
    assert counted == COUNTED + 1
    meter.abandon()


def test_the_measured_peak_is_no_lower_than_what_small_products_reach() -> None:
    assert peak_flops(torch.device("cpu"), torch.float32) > 1e8


def test_mfu_counts_frames_and_not_their_padding() -> None:
    meter = Meter(peak_flops=1e9, num_devices=2)
    meter.add({"loss": 1.0})
    meter.count(TrainBatch(batch=None, audio_seconds=1.5, tokens=30, padded_frames=40), processes=2)
    meter.steps = 1
    meter.waited = 0.0
    values = meter.read(flops_per_slot=1e6)
    assert values["padding"] == pytest.approx(0.25)
    assert values["tflops"] == pytest.approx(values["tokens_per_second"] * 1e6 / 1e12)
    assert values["mfu"] == pytest.approx(values["tflops"] * 1e12 / 2e9)
    assert values["audio_seconds_per_second"] == pytest.approx(values["tokens_per_second"] / 20)


def test_the_log_names_the_machine_and_the_speed(tmp_path: Path) -> None:
    train_toy(LOOP, tmp_path)
    [machine] = records(tmp_path, "machine")
    assert machine["cpu"] and machine["processes"] == 1 and machine["peak_tflops"] > 0
    last = records(tmp_path, "train")[-1]
    assert {"steps_per_second", "tokens_per_second", "mfu", "waiting"} <= last.keys()
    assert 0 <= last["waiting"] <= 1


# ---- what a validation shows


def test_samples_lie_beside_the_log(tmp_path: Path) -> None:
    train_toy(LOOP, tmp_path, validate=shown)
    folders = sorted(path.name for path in (tmp_path / "validation").iterdir())
    assert folders == ["step-00000003", "step-00000006"]
    names = {path.name for path in (tmp_path / "validation" / folders[0]).iterdir()}
    assert names == {"tone.wav", "tone.png", "texts.txt"}
    assert [line["loss"] for line in records(tmp_path, "valid")] == [0.5, 0.5]


def test_tensorboard_gets_numbers_sounds_and_pictures(tmp_path: Path) -> None:
    loop = replace(LOOP, trackers=("tensorboard", "json"))
    train_toy(loop, tmp_path, validate=shown)
    reading = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    events = reading.EventAccumulator(str(tmp_path / "uslm"))
    events.Reload()
    tags = events.Tags()
    assert {"train/loss", "train/mfu", "valid/loss"} <= set(tags["scalars"])
    assert tags["images"] == ["valid/tone"] and tags["audio"] == ["valid/tone"]
    steps = [event.step for event in events.Scalars("train/loss")]
    assert steps == [line["step"] for line in records(tmp_path, "train")]


def test_wandb_gets_sounds_and_pictures_in_its_own_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reported: dict[str, Any] = {}
    wandb = SimpleNamespace(Audio=lambda samples, sample_rate: (len(samples), sample_rate))
    monkeypatch.setitem(sys.modules, "wandb", wandb)
    tracker = SimpleNamespace(
        name="wandb",
        log=lambda values, step: reported.update(values),
        log_images=lambda values, step: reported.update(values),
    )
    accelerator: Any = SimpleNamespace(trackers=[tracker])
    play_sound(accelerator, "tone", torch.zeros(80), 16_000, 3)
    assert reported["tone"] == (80, 16_000)
    draw_mels({"tone": torch.zeros(1600)}, 16_000).savefig(tmp_path / "tone.png")
    show_picture(accelerator, "tone", tmp_path / "tone.png", 3)
    assert np.ndim(reported["tone"]) == 4 and len(reported["tone"]) == 1


def test_trackers_that_cannot_be_used_are_told() -> None:
    assert trackers_named(["json"]) == []
    with pytest.raises(ConfigError, match=r"may name .*json.*names 'tensorbord'"):
        trackers_named(["tensorbord"])
    with pytest.raises(EnvironmentProblem, match="pip install clearml"):
        trackers_named(["clearml"])


def test_no_run_begins_with_a_tracker_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(EnvironmentProblem, match="aim"):
        make_accelerator(replace(LOOP, trackers=("aim",)), tmp_path)


# ---- the bar


def test_the_bar_shows_the_share_that_is_over(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    screen = io.StringIO()
    monkeypatch.setattr("sys.stderr", screen)
    progress = Progress(step=0)
    bar = Bar(LoopConfig(steps=10), progress, shown=True)
    progress.step = 5
    time.sleep(0.11)  # it is drawn ten times per second at most
    bar.update(loss=0.25)
    bar.close()
    assert "50%" in screen.getvalue() and "loss=0.25" in screen.getvalue()
    Bar(LoopConfig(steps=10), progress, shown=False).update()
    Bar.print_above("a line")
    assert capsys.readouterr().out == "a line\n"


# ---- batches that are not finite


def test_a_skipped_batch_is_named(tmp_path: Path) -> None:
    class Touchy(nn.Linear):
        """Never finite."""

        def __init__(self) -> None:
            super().__init__(4, 4)

        def forward(self, x: Tensor) -> Tensor:
            return super().forward(x).sum() * float("inf")

    with toy_run(replace(LOOP, max_skipped_in_a_row=2), tmp_path):
        pass
    with pytest.raises(RuntimeError, match="2 steps in a row"):
        train_toy(replace(LOOP, max_skipped_in_a_row=2), tmp_path, model=Touchy)
    skipped = records(tmp_path, "skipped")
    assert len(skipped) == 2 and skipped[0]["batch"].startswith("[")
