"""Two processes that train together do what one would do with the batches of both."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import pytest
import torch
from safetensors.torch import load_file

from uslm_recipes.loop.checkpoint import list_checkpoints

FOLDER = Path(__file__).parent
STAGES = ["units", "codec", "ar", "nar", "joint"]
ONE_BY_ONE = {"ar", "nar", "joint"}
"""Stages whose batches may as well follow each other. A codebook of moving averages learns between
the batches of a step, and crops are drawn for each process."""


@dataclass
class Pair:
    """What two processes left and said."""

    out: Path
    said: list[str]


@pytest.fixture(scope="module")
def pair(trained: Path, tmp_path_factory: pytest.TempPathFactory) -> Pair:
    out = tmp_path_factory.mktemp("pair")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    world = {
        **os.environ,
        "OMP_NUM_THREADS": "1",
        "ACCELERATE_USE_CPU": "true",
        "WORLD_SIZE": "2",
        "LOCAL_WORLD_SIZE": "2",
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": port,
    }
    command = [sys.executable, str(FOLDER / "two_processes.py"), str(trained), str(out)]
    ranks = [
        subprocess.Popen(
            command,
            env={**world, "RANK": rank, "LOCAL_RANK": rank},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for rank in ("0", "1")
    ]
    said = [rank.communicate()[0] for rank in ranks]
    assert [rank.returncode for rank in ranks] == [0, 0], "\n".join(said)[-4000:]
    return Pair(out, said)


@pytest.mark.parametrize("stage", STAGES)
def test_two_processes_give_the_gradients_of_one_with_both_batches(
    pair: Pair, trained: Path, stage: str, script: Callable[[str], ModuleType], tmp_path: Path
) -> None:
    two_processes = script("two_processes")
    with two_processes.joined_batches(stage):
        joined = two_processes.gradients(stage, trained, tmp_path / "joined")
    others = [torch.load(pair.out / f"{stage}-{rank}.pt") for rank in (0, 1)]
    if stage in ONE_BY_ONE:
        one = two_processes.gradients(stage, trained, tmp_path / "one", accumulation=2)
        others.append(one)
    largest = max(float(grad.abs().max()) for grad in joined)
    assert largest > 0
    for found in others:
        for grad, expected in zip(found, joined, strict=True):
            torch.testing.assert_close(grad, expected, rtol=1e-4, atol=1e-5 * largest)


def test_two_processes_share_the_data_and_agree(pair: Pair) -> None:
    lines = [[x for x in text.splitlines() if x.startswith("BATCH")] for text in pair.said]
    toy = [each[:80] for each in lines]  # 40 steps of two batches
    first, second = ({line.split("[")[1] for line in each[:8]} for each in toy)
    assert first.isdisjoint(second)
    newest = list_checkpoints(pair.out / "toy" / "checkpoints")[0]
    assert newest.name == "step-00000040"
    assert {path.name for path in newest.glob("random-*.pt")} == {"random-0.pt", "random-1.pt"}


def test_weights_in_shards_learn_and_resume_the_same(pair: Pair) -> None:
    """FSDP, in two segments; what is saved is whole."""
    whole, shards = (
        list_checkpoints(pair.out / name / "checkpoints")[0] for name in ("toy", "sharded")
    )
    assert whole.name == shards.name
    for name in ("model", "ema-model"):
        expected, found = (load_file(each / f"{name}.safetensors") for each in (whole, shards))
        assert expected.keys() == found.keys()
        for key, tensor in found.items():
            torch.testing.assert_close(tensor, expected[key], rtol=1e-4, atol=1e-6)
