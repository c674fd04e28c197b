"""How many threads are chosen: by affinity, quota and who else runs."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch

from uslm.models import threads


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine of 8 cores in a folder; nobody else works on it."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)), raising=False)
    monkeypatch.setattr(threads, "CGROUP", tmp_path / "cpu.max")
    monkeypatch.setattr(threads, "LOADAVG", tmp_path / "loadavg")
    monkeypatch.setattr(threads, "SAMPLE_SECONDS", 0.0)
    (tmp_path / "cpu.max").write_text("max 100000\n")
    (tmp_path / "loadavg").write_text("9.00 9.00 9.00 1/400 77\n")
    return tmp_path


def test_all_idle_cores_are_used_and_one_at_least(machine: Path) -> None:
    assert threads.idle_threads() == 8  # what ran a minute ago does not matter
    for running, left in ((4, 5), (9, 1), (40, 1)):
        (machine / "loadavg").write_text(f"0.00 0.00 0.00 {running}/400 77\n")
        assert threads.idle_threads() == left


@pytest.mark.parametrize(
    ("quota", "cores"), [("200000 100000", 2), ("150000 100000", 2), ("1 100000", 1), ("", 8)]
)
def test_a_container_has_no_more_than_its_quota(machine: Path, quota: str, cores: int) -> None:
    (machine / "cpu.max").write_text(quota)
    assert threads.usable_cores() == cores


def test_elsewhere_the_load_tells(machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (machine / "loadavg").unlink()
    monkeypatch.setattr(os, "getloadavg", lambda: (2.6, 0.0, 0.0))
    assert threads.idle_threads() == 5


def test_who_says_a_number_gets_it(machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before, chosen = torch.get_num_threads(), []
    monkeypatch.setattr(torch, "set_num_threads", chosen.append)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 4)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    threads.set_threads(3)
    threads.set_threads(None)  # of 8 idle cores, no more than PyTorch would take
    (machine / "loadavg").write_text("0.00 0.00 0.00 8/400 77\n")
    threads.set_threads(None)
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    threads.set_threads(None)
    assert chosen == [3, 4, 1] and before >= 1
