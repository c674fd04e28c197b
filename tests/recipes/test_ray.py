"""Shards as tasks of Ray: two workers of this machine, one of them killed, make one run's bytes."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch

from uslm_recipes import ray_cluster
from uslm_recipes.commands.encode import main as encode
from uslm_recipes.commands.prepare import main as prepare_main
from uslm_recipes.data import examine
from uslm_recipes.data.preparing.run import PrepareConfig, prepare
from uslm_recipes.data.preparing.shards import merge_corpus, prepare_shard
from uslm_recipes.data.recording import Found, Recording
from uslm_recipes.data.shard import Shard
from uslm_recipes.ray_cluster import run_on_ray
from uslm_tokenizer.codecs.unit_tokenizer.model import UnitTokenizer
from uslm_tokenizer.errors import EnvironmentProblem, UserError

NUMBER = 14
CONFIG = PrepareConfig(num_workers=0)


class NoPhonemes:
    """A front end that is as quick as none."""

    def phonemize(self, texts: Sequence[str]) -> list[str]:
        return ["" for _ in texts]

    def encode(self, phonemes: str) -> list[int]:
        return []


@pytest.fixture(scope="module")
def two_workers() -> Iterator[None]:
    """A Ray of this machine alone, for all tests of this file: it takes seconds to start."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        # Ray's workers would else wait for whatever computes beside the tests.
        patch.setenv("RAY_worker_niceness", "0")
        import ray

        ray.cloudpickle.register_pickle_by_value(sys.modules[__name__])
        ray.init(
            address="local", num_cpus=2, include_dashboard=False, log_to_driver=False,
            logging_level="error",
        )  # fmt: skip
        yield
        ray.shutdown()


@pytest.fixture
def audio(tmp_path: Path) -> Path:
    """Tones of different lengths."""
    folder = tmp_path / "audio"
    folder.mkdir()
    for i in range(NUMBER):
        tone = 0.3 * np.sin(np.arange(8000 + 320 * (i % 11)) * 0.05)
        soundfile.write(folder / f"{i:02}.wav", tone, 16_000)
    return folder


def recordings(audio: Path) -> Iterator[Found]:
    """All of them, in their order."""
    for path in sorted(audio.iterdir()):
        yield Recording(
            where=path.name, audio=path, id=path.stem, source="s", speaker=f"s/{path.stem}"
        )


def files_of(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_a_worker_that_is_killed_is_survived(
    tmp_path: Path, audio: Path, two_workers: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(examine, "SLICE", 2)
    prepare(recordings(audio), tmp_path / "whole", CONFIG, front_end=NoPhonemes())
    begun, killed = tmp_path / "begun", tmp_path / "killed"

    def found(shard: Shard) -> Iterator[Found]:
        for number, each in enumerate(recordings(audio)):
            if shard.index == 1 and number == 9 and not killed.exists():
                committed = Path(f"{tmp_path}/.corpus.shard-1-of-3.part/state.json").exists()
                killed.write_text(str(committed))
                os.kill(os.getpid(), signal.SIGKILL)
            yield each

    def work(shard: Shard) -> None:
        with begun.open("a") as file:
            file.write(f"{shard.index}\n")
        usual, examine.SLICE = examine.SLICE, 2
        try:
            prepare_shard(found(shard), tmp_path / "corpus", CONFIG, shard, front_end=NoPhonemes())
        finally:
            examine.SLICE = usual  # the next test may be given the same worker

    run_on_ray(work, 3)
    assert killed.read_text() == "True"  # in the middle: a slice was done
    assert sorted(begun.read_text().split()) == ["0", "1", "1", "2"]
    merge_corpus(tmp_path / "corpus", 3)
    assert files_of(tmp_path / "corpus") == files_of(tmp_path / "whole")


def test_a_worker_that_is_killed_each_time_is_told(
    two_workers: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ray_cluster, "MAX_RETRIES", 0)

    def work(shard: Shard) -> None:
        if shard.index == 1:
            os.kill(os.getpid(), signal.SIGKILL)

    with pytest.raises(EnvironmentProblem, match=r"shard 1/2 was lost 1 times.* goes on"):
        run_on_ray(work, 2)


def test_what_goes_wrong_in_a_task_is_raised_here(
    tmp_path: Path, two_workers: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)

    def work(shard: Shard) -> None:
        raise UserError(f"{shard} in {Path.cwd()}")

    with pytest.raises(UserError) as raised:
        run_on_ray(work, 1)
    assert type(raised.value) is UserError and str(raised.value) == f"0/1 in {tmp_path}"


def test_the_commands_make_what_they_make_alone(
    tmp_path: Path, audio: Path, two_workers: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for out, more in {"whole": ["--workers", "0"], "corpus": ["--shards", "2", "--ray"]}.items():
        assert prepare_main(["audio", "--out", out, *more]) == 0
    assert files_of(tmp_path / "corpus") == files_of(tmp_path / "whole")
    torch.manual_seed(0)
    UnitTokenizer(UnitTokenizer.tiny_config()).save_pretrained("tokenizer")
    common = ["--corpus", "corpus", "--tokenizer", "tokenizer", "--seconds-per-batch", "2"]
    assert encode([*common, "--out", "alone"]) == 0
    assert encode([*common, "--out", "tokens", "--shards", "2", "--ray"]) == 0
    assert files_of(tmp_path / "tokens/0") == files_of(tmp_path / "alone/0")


def test_without_ray_the_extra_is_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    modules: Any = sys.modules
    monkeypatch.setitem(modules, "ray", None)
    assert prepare_main(["audio", "--out", "out", "--ray"]) == 3
    assert "pip install 'uslm[cluster]'" in capsys.readouterr().err


def test_bad_arguments_are_told(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        prepare_main(["--out", "out", "--ray", "audio"])
    assert "ray://HOST:PORT, but is 'audio'; name places before it" in capsys.readouterr().err
    assert prepare_main(["audio", "--out", "out", "--shards", "0", "--ray"]) == 1
    common = ["--corpus", "corpus", "--tokenizer", "tokenizer", "--out", "out", "--ray"]
    assert encode([*common, "--device", "cuda:1"]) == 1
    assert "cpu or cuda, but is 'cuda:1'" in capsys.readouterr().err
