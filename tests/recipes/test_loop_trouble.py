"""Trouble around a run: a full disk, too little memory, half precision, an old checkpoint."""

from __future__ import annotations

import errno
import io
import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from uslm_recipes.loop import LoopConfig, finish_run, make_accelerator
from uslm_recipes.loop.atomic_dir import DamagedCheckpoint, check_checksums, write_checksums
from uslm_recipes.loop.checkpoint import CheckpointNotWritten, list_checkpoints, newest_whole
from uslm_recipes.loop.testing import Toy, toy_run, train_toy
from uslm_tokenizer.errors import ConfigError, EnvironmentProblem, UserError

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
        check_checksums(path)


def test_a_disk_that_is_full_for_a_while_costs_no_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = train_toy(LOOP, tmp_path / "whole")
    out = tmp_path / "tight"
    with toy_run(LOOP, out) as run:
        finish_run(run)
    monkeypatch.setattr(
        "uslm_recipes.loop.checkpoint.write_checksums", writing_checksums_fails_twice()
    )
    tight = train_toy(LOOP, out, resume=True)
    assert kinds(out).count("unsaved") == 2
    assert tight.progress.step == whole.progress.step == 6
    assert same_weights(whole.out, out)


def writing_checksums_fails_twice() -> object:
    failures = iter([True, True])

    def writing(folder: Path) -> None:
        if next(failures, False):
            raise OSError(28, "No space left on device")
        write_checksums(folder)

    return writing


# ---- damage


def damage(checkpoint: Path) -> None:
    """As a disk does it."""
    path = checkpoint / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-5])


def test_a_run_whose_checkpoints_are_all_damaged_is_not_begun_anew(tmp_path: Path) -> None:
    train_toy(LOOP, tmp_path, stop_at=4)
    there = list_checkpoints(tmp_path / "checkpoints")
    for path in there:
        damage(path)
    with pytest.raises(UserError, match=r"every checkpoint in .* is damaged.*another --out"):
        train_toy(LOOP, tmp_path, resume=True)
    assert list_checkpoints(tmp_path / "checkpoints") == there


def test_a_disk_that_cannot_be_read_is_not_taken_for_damage(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    train_toy(LOOP, tmp_path, stop_at=4)
    there = list_checkpoints(tmp_path / "checkpoints")
    read = Path.open

    def open_badly(path: Path, *arguments: Any, **more: Any) -> Any:
        if path.suffix == ".safetensors" and path.parent == there[0]:
            raise OSError(errno.EIO, "Input/output error")
        return read(path, *arguments, **more)

    monkeypatch.setattr(Path, "open", open_badly)
    with pytest.raises(EnvironmentProblem, match="cannot be read"):
        train_toy(LOOP, tmp_path, resume=True)
    monkeypatch.undo()
    assert list_checkpoints(tmp_path / "checkpoints") == there


def test_damaged_checkpoints_do_not_push_out_whole_ones(tmp_path: Path) -> None:
    loop = replace(LOOP, steps=9, keep_last=3)
    train_toy(loop, tmp_path, stop_at=6)
    for path in list_checkpoints(tmp_path / "checkpoints")[:2]:
        damage(path)
    train_toy(loop, tmp_path, resume=True, stop_at=5)
    names = sorted(path.name for path in (tmp_path / "checkpoints").iterdir())
    assert names == [
        "damaged-step-00000005", "damaged-step-00000006", "step-00000004", "step-00000005",
    ]  # fmt: skip
    for path in list_checkpoints(tmp_path / "checkpoints"):
        check_checksums(path)


def test_a_checkpoint_that_lists_no_files_is_damaged(tmp_path: Path) -> None:
    (tmp_path / "complete.json").write_text("{}")
    with pytest.raises(DamagedCheckpoint):
        check_checksums(tmp_path)


def test_what_a_killed_run_was_writing_goes(tmp_path: Path) -> None:
    train_toy(LOOP, tmp_path, stop_at=2)
    for name in (".step-00000099.part", ".step-00000098.old"):
        (tmp_path / "checkpoints" / name).mkdir()
    train_toy(LOOP, tmp_path, resume=True)
    names = sorted(path.name for path in (tmp_path / "checkpoints").iterdir())
    assert names == ["step-00000005", "step-00000006"]


# ---- two at a time


def test_two_runs_in_one_folder_are_noticed(tmp_path: Path) -> None:
    with toy_run(LOOP, tmp_path), pytest.raises(UserError, match="another run is training in"):
        toy_run(LOOP, tmp_path, resume=True)
    train_toy(LOOP, tmp_path)


@pytest.mark.skipif(sys.platform == "win32", reason="there is no such lock")
def test_a_run_of_another_process_is_noticed_until_that_is_killed(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from uslm_recipes.folder_lock import FolderLock\n"
        "lock = FolderLock(Path(sys.argv[1]) / '.lock', ''); lock.take()\n"
        "print('taken', flush=True); input()"
    )
    command = [sys.executable, "-c", code, str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None and process.stdout.readline()
        with pytest.raises(UserError, match="another run is training in"):
            toy_run(LOOP, tmp_path)
        process.kill()
    train_toy(LOOP, tmp_path)


def test_a_run_that_does_not_begin_gives_its_folder_back(tmp_path: Path) -> None:
    train_toy(LOOP, tmp_path)
    with pytest.raises(UserError, match="holds a run already"):
        toy_run(LOOP, tmp_path)
    with pytest.raises(UserError, match="holds a run already"):
        toy_run(LOOP, tmp_path)


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

    with pytest.raises(EnvironmentProblem) as reported:
        train_toy(LOOP, tmp_path, model=Hungry)
    message = str(reported.value)
    assert "at step 3" in message and "step-00000003 is kept" in message
    assert "seconds_per_batch smaller (it is 8.0)" in message
    assert "--set seconds_per_batch=4.0 --set loop.gradient_accumulation=2" in message
    check_checksums(list_checkpoints(tmp_path / "checkpoints")[0])
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
    train(tmp_path / "segments", stop_at=2)
    assert train(tmp_path / "segments", resume=True) == scale
    assert same_weights(tmp_path / "whole", tmp_path / "segments")


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
    write_checksums(newest)
    resumed = train_toy(replace(LOOP, keep_last=3), tmp_path / "old", resume=True)
    assert resumed.progress.step == 6 and same_weights(whole.out, resumed.out)
