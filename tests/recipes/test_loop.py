"""A run that was stopped and resumed is the run that was never stopped."""

from __future__ import annotations

import json
import os
import shutil
import signal
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from uslm_recipes.loop import (
    LoopConfig,
    Losses,
    Progress,
    Run,
    TrainBatch,
    TrainingDiverged,
    after_step,
    each_batch,
    finish_run,
    fraction_done,
    keep_going,
    make_optimizer,
    schedule,
    update,
)
from uslm_recipes.loop.checkpoint import list_checkpoints
from uslm_recipes.loop.testing import draw_toy, toy_run, train_toy
from uslm_tokenizer.errors import ConfigError, UserError

LOOP = LoopConfig(steps=12, warmup_steps=3, log_every=4, validate_every=5, learning_rate=0.01)


def read_log(out: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]


def assert_same(a: Run, b: Run) -> None:
    for state in ("models", "ema"):
        left, right = (getattr(r.state, state)["model"].state_dict() for r in (a, b))
        assert left.keys() == right.keys()
        assert all(torch.equal(left[name], right[name]) for name in left)
    assert vars(a.progress) | {"seconds_used": 0} == vars(b.progress) | {"seconds_used": 0}


@pytest.mark.parametrize("accumulation", [1, 3])
@pytest.mark.parametrize("stops", [[1], [5], [2, 3, 9, 11]])
def test_resumed_equals_uninterrupted(tmp_path: Path, accumulation: int, stops: list[int]) -> None:
    loop = replace(LOOP, gradient_accumulation=accumulation, save_every_minutes=1e-9)
    whole = train_toy(loop, tmp_path / "whole")
    for i, stop in enumerate(stops):
        train_toy(loop, tmp_path / "resumed", resume=i > 0, stop_at=stop)
    resumed = train_toy(loop, tmp_path / "resumed", resume=True)
    assert_same(whole, resumed)
    steps = [line["step"] for line in read_log(tmp_path / "resumed") if line["kind"] == "train"]
    assert steps == [4, 8, 12]


def test_work_after_the_last_checkpoint_is_done_again(tmp_path: Path) -> None:
    whole = train_toy(LOOP, tmp_path / "whole")
    with toy_run(LOOP, tmp_path / "resumed") as run:
        finish_run(run)
    train_toy(LOOP, tmp_path / "resumed", resume=True, stop_at=7)  # no checkpoint was due
    assert_same(whole, train_toy(LOOP, tmp_path / "resumed", resume=True))


@pytest.mark.parametrize("damage", ["cut", "missing", "changed"])
def test_damaged_checkpoint_is_passed_over(
    tmp_path: Path, damage: str, caplog: pytest.LogCaptureFixture
) -> None:
    loop = replace(LOOP, save_every_minutes=1e-9)
    whole = train_toy(loop, tmp_path / "whole")
    train_toy(loop, tmp_path / "resumed", stop_at=8)
    newest = list_checkpoints(tmp_path / "resumed/checkpoints")[0]
    weights = newest / "model.safetensors"
    data = bytearray(weights.read_bytes())
    if damage == "missing":
        weights.unlink()
    else:
        data[-1] ^= 1
        weights.write_bytes(data[:-5] if damage == "cut" else data)
    assert_same(whole, train_toy(loop, tmp_path / "resumed", resume=True))
    assert "damaged" in caplog.text and newest.name in caplog.text


def test_half_written_checkpoint_is_no_checkpoint(tmp_path: Path) -> None:
    run = train_toy(replace(LOOP, steps=2), tmp_path)
    [whole] = list_checkpoints(tmp_path / "checkpoints")
    shutil.copytree(whole, whole.with_name(".step-00000099.part"))
    assert list_checkpoints(tmp_path / "checkpoints") == [whole]
    assert run.progress.step == 2


def test_only_the_newest_checkpoints_are_kept(tmp_path: Path) -> None:
    train_toy(replace(LOOP, save_every_minutes=1e-9, keep_last=3), tmp_path)
    names = [path.name for path in list_checkpoints(tmp_path / "checkpoints")]
    assert names == ["step-00000012", "step-00000011", "step-00000010"]


def test_a_folder_holds_one_run(tmp_path: Path) -> None:
    train_toy(LOOP, tmp_path)
    with pytest.raises(UserError, match="--resume"):
        train_toy(LOOP, tmp_path)


def test_resume_without_a_checkpoint_begins(tmp_path: Path) -> None:
    assert_same(train_toy(LOOP, tmp_path / "a"), train_toy(LOOP, tmp_path / "b", resume=True))


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signal_ends_the_run_with_a_checkpoint(tmp_path: Path, number: signal.Signals) -> None:
    former = signal.getsignal(number)
    with toy_run(LOOP, tmp_path) as run:
        assert keep_going(run)
        os.kill(os.getpid(), number)
        assert not keep_going(run)
        assert not finish_run(run)
    assert signal.getsignal(number) == former
    assert list_checkpoints(tmp_path / "checkpoints")


def test_signal_waits_for_the_whole_step(tmp_path: Path) -> None:
    loop, batches = replace(LOOP, gradient_accumulation=2), 0
    with toy_run(loop, tmp_path) as run:
        model = run.state.models["model"]
        for train_batch in each_batch(run, lambda: draw_toy(run)):
            with run.accelerator.accumulate(model):
                loss = model(torch.randn(3, 4))
                update(run, loss)
            after_step(run, Losses(loss), train_batch)
            run.stop.requested, batches = True, batches + 1
    assert run.progress.step == 1 and batches == 2


@pytest.mark.parametrize("fused", [True, False])
def test_bad_step_changes_nothing_and_names_its_batch(tmp_path: Path, fused: bool) -> None:
    optimizer = make_optimizer if fused else plain_adamw
    with toy_run(LOOP, tmp_path, optimizer=optimizer) as run:
        model = run.state.models["model"]
        before = [p.detach().clone() for p in model.parameters()]
        for data, same in ((torch.full((3, 4), float("inf")), True), (torch.randn(3, 4), False)):
            model.eval()  # the running averages of BatchNorm would keep what is not finite
            with run.accelerator.accumulate(model):
                loss = model(data)
                update(run, loss)
            after_step(run, Losses(loss), TrainBatch(batch=None, name=["utterance-17"]))
            weights = list(model.parameters())
            assert all(torch.equal(a, b) for a, b in zip(before, weights, strict=True)) is same
        finish_run(run)
    assert run.progress.skipped_steps == 1
    [skipped] = [line for line in read_log(tmp_path) if line["kind"] == "skipped"]
    assert skipped["step"] == 1 and "utterance-17" in skipped["batch"]


def plain_adamw(model: nn.Module, loop: LoopConfig) -> torch.optim.Optimizer:
    return torch.optim.AdamW(model.parameters(), lr=loop.learning_rate, foreach=False)


def test_many_bad_steps_end_the_run(tmp_path: Path) -> None:
    loop = replace(LOOP, max_skipped_in_a_row=3, log_every=1)
    with pytest.raises(TrainingDiverged, match="3 steps in a row"):
        train_toy(loop, tmp_path, poison=range(4, 12))


def test_weights_that_are_not_a_number_are_never_saved(tmp_path: Path) -> None:
    with toy_run(LOOP, tmp_path) as run, pytest.raises(TrainingDiverged, match=r"norm\.running"):
        run.state.models["model"].norm.running_mean.fill_(float("nan"))  # type: ignore[union-attr,operator]
        finish_run(run)
    assert not list_checkpoints(tmp_path / "checkpoints")


def test_checkpoint_of_another_config_is_told(tmp_path: Path) -> None:
    train_toy(LOOP, tmp_path)
    with pytest.raises(UserError, match="another model config"):
        toy_run(LOOP, tmp_path, resume=True, model=lambda: nn.Linear(3, 3))


def test_schedule_rises_and_falls_to_its_floor() -> None:
    loop = LoopConfig(steps=100, warmup_steps=10, min_learning_rate_ratio=0.1)
    factors = [schedule(Progress(step=step), loop) for step in range(101)]
    assert factors[0] == pytest.approx(0.1, rel=0.01) and factors[100] == pytest.approx(0.1)
    assert np.argmax(factors) in (9, 10)
    assert all(a >= b for a, b in pairwise(factors[10:]))


def test_schedule_follows_the_time_of_all_processes() -> None:
    loop = LoopConfig(max_minutes=10, warmup_steps=1)
    assert fraction_done(Progress(step=5, seconds_used=300), loop) == pytest.approx(0.5)
    assert schedule(Progress(step=5, seconds_used=599), loop) < 0.06
    assert fraction_done(Progress(seconds_used=601), loop) == 1


def test_warm_up_by_the_clock() -> None:
    loop = LoopConfig(max_minutes=100, warmup_minutes=10, warmup_steps=10_000)
    factors = [schedule(Progress(seconds_used=60 * m), loop) for m in (0, 2.5, 5, 10, 11, 50)]
    assert factors[0] == 0
    assert factors[1:3] == pytest.approx([0.25, 0.5], abs=0.01)
    assert factors[3] > factors[4] > factors[5]


def test_a_process_ends_before_the_run(tmp_path: Path) -> None:
    loop = replace(LOOP, stop_after_minutes=1e-9)
    with toy_run(loop, tmp_path) as run:
        assert not keep_going(run)
        assert not finish_run(run)
    assert train_toy(LOOP, tmp_path, resume=True).progress.step == 12


def test_run_needs_a_length(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="max_minutes"):
        toy_run(LoopConfig(), tmp_path)


def test_a_run_that_read_ahead_and_took_nothing_has_not_moved(tmp_path: Path) -> None:
    loop = replace(LOOP, stop_after_minutes=1e-9, read_ahead=4)
    assert train_toy(loop, tmp_path / "resumed").progress.step == 0
    whole = train_toy(LOOP, tmp_path / "whole")
    assert_same(whole, train_toy(LOOP, tmp_path / "resumed", resume=True))


def test_autocast_bf16_trains(tmp_path: Path) -> None:
    run = train_toy(replace(LOOP, precision="bf16"), tmp_path)
    assert all(p.dtype == torch.float32 for p in run.state.models["model"].parameters())
