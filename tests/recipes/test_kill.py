"""A run killed without warning, as often as you like, ends with the weights it would have had."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest
import torch
from safetensors.torch import load_file

from uslm_recipes.loop.checkpoint import list_checkpoints


def assert_same_end(left: Path, right: Path) -> None:
    ends = [list_checkpoints(out / "checkpoints")[0] for out in (left, right)]
    assert ends[0].name == ends[1].name == "step-00000040"
    for name in ("model", "ema-model"):
        a, b = (load_file(end / f"{name}.safetensors") for end in ends)
        assert a.keys() == b.keys() and all(torch.equal(a[key], b[key]) for key in a)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="kills forked runs")
def test_killed_run_ends_with_the_same_weights(
    tmp_path: Path, script: Callable[[str], ModuleType]
) -> None:
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    toy = script("interrupted_run")
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "ACCELERATE_USE_CPU": "true"}
    command = [sys.executable, str(toy.__file__), "kill", str(killed), "1"]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as process:
        toy.train(whole)
        text, _ = process.communicate()
    assert process.returncode == 0 and int(text.split("KILLS ")[1]) >= 20
    assert_same_end(whole, killed)
    lines = (killed / "log.jsonl").read_text().splitlines()
    steps = [line["step"] for line in map(json.loads, lines) if line["kind"] == "train"]
    assert steps == [10, 20, 30, 40]  # work that was done twice is logged once
    # What a kill left half written is no checkpoint; the last whole ones are.
    assert len(list_checkpoints(killed / "checkpoints")) == 2
