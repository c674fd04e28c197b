"""Trouble around a run: a full disk, too little memory, half precision, an old checkpoint."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from uslm_recipes.loop import LoopConfig, finish_run, make_accelerator
from uslm_recipes.loop.checkpoint import CheckpointNotWritten, list_checkpoints, newest_whole
from uslm_recipes.loop.sealed import check_seal, seal
from uslm_recipes.loop.testing import Toy, toy_run, train_toy
from uslm_tokenizer.errors import ConfigError, EnvironmentProblem

LOOP = LoopConfig(steps=6, warmup_steps=1, log_every=2, save_every_minutes=1e-9, samples=0)


def kinds(out: Path) -> list[str]:
    return [json.loads(line)["kind"] for line in (out / "log.jsonl").read_text().splitlines()]


def same_weights(left: Path, right: Path) -> bool:
    files = (newest_whole(out / "checkpoints") for out in (left, right))
    first, second = ((file / "model.safetensors").read_bytes() for file in files if file)
    return first == second


# ---- the disk


@contextmanager
def full_disk() -> Iterator[None]:
    """No file may grow beyond 2 kB."""
    resource = pytest.importorskip("resource")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2048, limits[1]))
    try:
        # What is printed goes nowhere: pytest keeps it in a file, which is long by now.
        with redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
            yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


def test_a_full_disk_keeps_the_former_checkpoint(tmp_path: Path) -> None:
    train_toy(LOOP, tmp_path, stop_at=2)
    with full_disk(), pytest.raises(CheckpointNotWritten, match=r"step-00000006.*are kept"):
        train_toy(LOOP, tmp_path, resume=True)
    names = sorted(path.name for path in (tmp_path / "checkpoints").iterdir())
    assert names == ["step-00000001", "step-00000002"]
    for path in list_checkpoints(tmp_path / "checkpoints"):
        check_seal(path)


def test_a_disk_that_is_full_for_a_while_costs_no_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = train_toy(LOOP, tmp_path / "whole")
    out = tmp_path / "tight"
    with toy_run(LOOP, out) as run:
        finish_run(run)
    monkeypatch.setattr("uslm_recipes.loop.checkpoint.seal", sealing_fails_twice())
    tight = train_toy(LOOP, out, resume=True)
    assert kinds(out).count("unsaved") == 2
    assert tight.progress.step == whole.progress.step == 6
    assert same_weights(whole.out, out)


def sealing_fails_twice() -> object:
    failures = iter([True, True])

    def sealing(folder: Path) -> None:
        if next(failures, False):
            raise OSError(28, "No space left on device")
        seal(folder)

    return sealing


# ---- memory


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory"),
        RuntimeError("DefaultCPUAllocator: can't allocate memory"),
        MemoryError(),
    ],
)
def test_too_little_memory_names_the_knob_and_keeps_the_checkpoint(
    tmp_path: Path, error: Exception
) -> None:
    class Hungry(Toy):
        """Too large for the device from the fourth batch on."""

        batches = 0

        def forward(self, x: Tensor) -> Tensor:
            self.batches += 1
            if self.batches == 4:
                raise error
            return super().forward(x)

    with pytest.raises(EnvironmentProblem) as told:
        train_toy(LOOP, tmp_path, model=Hungry)
    message = str(told.value)
    assert "at step 3" in message and "step-00000003 is kept" in message
    assert "seconds_per_batch smaller (it is 8.0)" in message
    assert "--set seconds_per_batch=4.0 --set loop.gradient_accumulation=2" in message
    check_seal(list_checkpoints(tmp_path / "checkpoints")[0])
    # The advice works: the run goes on.
    smaller = replace(LOOP, gradient_accumulation=2, accept_changes=True)
    assert train_toy(smaller, tmp_path, resume=True).progress.step == 6


def test_other_errors_stay_as_they_are(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="shapes"), toy_run(LOOP, tmp_path):
        raise RuntimeError("shapes do not fit")


# ---- precision


def test_half_precision_needs_a_gpu(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="fp16 needs a GPU"):
        make_accelerator(replace(LOOP, precision="fp16"), tmp_path)


def test_the_gradient_scaler_of_fp16_resumes_too(tmp_path: Path) -> None:
    """On the CPU the scaler is put in by hand; step 3 overflows, and so the scale is halved."""

    def train(out: Path, *, resume: bool = False, stop_at: int | None = None) -> float:
        accelerator = make_accelerator(LOOP, out)
        accelerator.scaler = torch.amp.GradScaler("cpu", init_scale=2.0**10, growth_interval=2)
        run = train_toy(
            LOOP,
            out,
            accelerator=accelerator,
            resume=resume,
            stop_at=stop_at,
            poison=range(3, 4),
            model=Unspoiled,
        )
        assert run.progress.skipped_steps == (0 if stop_at else 1)
        return float(accelerator.scaler.get_scale())

    scale = train(tmp_path / "whole")
    assert scale == 2.0**11  # twice up, once down, once up
    train(tmp_path / "pieces", stop_at=2)
    assert train(tmp_path / "pieces", resume=True) == scale
    assert same_weights(tmp_path / "whole", tmp_path / "pieces")


class Unspoiled(Toy):
    """The running averages of a BatchNorm would keep what is not finite."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = torch.nn.Identity()  # type: ignore[assignment]


# ---- checkpoints of former versions


def test_a_checkpoint_that_knows_no_config_is_let_pass(tmp_path: Path) -> None:
    whole = train_toy(LOOP, tmp_path / "whole")
    train_toy(LOOP, tmp_path / "old", stop_at=3)
    newest = list_checkpoints(tmp_path / "old" / "checkpoints")[0]
    about = json.loads((newest / "state.json").read_text())
    del about["config"], about["data"]
    (newest / "state.json").write_text(json.dumps(about))
    (newest / "complete.json").unlink()
    seal(newest)
    resumed = train_toy(replace(LOOP, keep_last=3), tmp_path / "old", resume=True)
    assert resumed.progress.step == 6 and same_weights(whole.out, resumed.out)
