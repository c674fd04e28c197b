"""A run killed without warning, as often as you like, ends with the weights it would have had."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from uslm_recipes.loop.checkpoint import list_checkpoints

SCRIPT = Path(__file__).with_name("interrupted_run.py")
needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="kills forked runs")


def start(*arguments: object, **environment: str) -> subprocess.Popen[str]:
    variables = {**os.environ, "OMP_NUM_THREADS": "1", "ACCELERATE_USE_CPU": "true", **environment}
    command = [sys.executable, str(SCRIPT), *map(str, arguments)]
    return subprocess.Popen(command, env=variables, stdout=subprocess.PIPE, text=True)


def output(process: subprocess.Popen[str]) -> str:
    with process:
        text, _ = process.communicate()
    assert process.returncode == 0
    return text


def assert_same_end(left: Path, right: Path) -> None:
    ends = [list_checkpoints(out / "checkpoints")[0] for out in (left, right)]
    assert ends[0].name == ends[1].name == "step-00000040"
    for name in ("model", "ema-model"):
        a, b = (load_file(end / f"{name}.safetensors") for end in ends)
        assert a.keys() == b.keys() and all(torch.equal(a[key], b[key]) for key in a)


@needs_fork
def test_killed_run_ends_with_the_same_weights(tmp_path: Path) -> None:
    whole = start("train", tmp_path / "whole")
    killed = start("kill", tmp_path / "killed", 1)
    output(whole)
    text = output(killed)
    assert int(text.split("KILLS ")[1]) >= 20
    assert_same_end(tmp_path / "whole", tmp_path / "killed")
    lines = (tmp_path / "killed/log.jsonl").read_text().splitlines()
    steps = [line["step"] for line in map(json.loads, lines) if line["kind"] == "train"]
    assert steps == [10, 20, 30, 40]  # work that was done twice is logged once
    # What a kill left half written is no checkpoint; the last whole ones are.
    assert len(list_checkpoints(tmp_path / "killed/checkpoints")) == 2
