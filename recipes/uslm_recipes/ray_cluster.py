"""Shards of work as tasks of Ray, here or on a cluster; one whose worker is lost is done again."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from uslm_recipes.data.shard import Shard, shards
from uslm_tokenizer.errors import EnvironmentProblem, UserError

HERE = "local"
"""The address that stands for no cluster but processes of this machine."""
MAX_RETRIES = 3


def run_on_ray(
    work: Callable[[Shard], None], count: int, *, address: str = HERE, num_gpus: int = 0
) -> None:
    """Do `work` for each of `count` shards, in this folder, one processor and `num_gpus` for each.

    A task whose worker or machine is lost is begun again, up to three times: what it goes on from
    must lie where all of them find it. What goes wrong in a task is raised here as it was there.
    """
    if count < 1:
        raise UserError(f"the number of shards must be 1 or more, but is {count}")
    ray = _package()
    folder = Path.cwd()
    with _connected(ray, address), _progress_bar(count) as bar:
        task = ray.remote(num_cpus=1, num_gpus=num_gpus, max_retries=MAX_RETRIES)(_do)
        given = ray.put(work)
        begun = {task.remote(given, shard, folder): shard for shard in shards(count)}
        while begun:
            done, _ = ray.wait(list(begun))
            for each in done:
                _result(ray, each, begun.pop(each))
                bar.update()


def _do(work: Callable[[Shard], None], shard: Shard, folder: Path) -> None:
    """One task, in a worker: paths mean there what they mean here."""
    try:
        os.chdir(folder)
    except OSError as problem:
        raise EnvironmentProblem(
            f"a machine of the cluster has no folder {folder} ({problem.strerror}); start where "
            "all machines share the disk"
        ) from problem
    work(shard)


def _result(ray: Any, task: Any, shard: Shard) -> None:
    try:
        ray.get(task)
    except ray.exceptions.RayTaskError as problem:
        raise problem.cause from None
    except ray.exceptions.RayError as problem:
        raise EnvironmentProblem(
            f"shard {shard} was lost {1 + MAX_RETRIES} times, perhaps for want of memory: "
            f"{str(problem).splitlines()[0]} The same command goes on where it stopped"
        ) from problem


def _package() -> Any:
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # it would tell its makers of each start
    try:
        import ray
    except ImportError as problem:
        raise EnvironmentProblem(
            "--ray needs the package `ray`: pip install 'uslm[cluster]'"
        ) from problem
    return ray


@contextmanager
def _connected(ray: Any, address: str) -> Iterator[None]:
    """Within it, Ray's functions work on the cluster; a connection that is there already is used,
    and left."""
    if ray.is_initialized():
        yield
        return
    own = {"include_dashboard": False} if address == HERE else {}
    try:
        ray.init(address=address, log_to_driver=False, logging_level="error", **own)
    except (ConnectionError, RuntimeError, ValueError) as problem:
        raise EnvironmentProblem(f"no cluster of Ray at {address}: {problem}") from problem
    try:
        yield
    finally:
        ray.shutdown()


def _progress_bar(count: int) -> Any:
    """Shards done, on a terminal."""
    from tqdm import tqdm

    return tqdm(total=count, unit="shard", disable=not sys.stderr.isatty(), leave=False)


def add_shard_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of every command whose work many machines can share."""
    work = parser.add_mutually_exclusive_group()
    work.add_argument(
        "--shard", metavar="I/N", help="do the share I (from 0) of N: one of many machines"
    )
    work.add_argument(
        "--merge", type=int, metavar="N", help="make the whole of N shares that are done"
    )
    work.add_argument(
        "--ray", nargs="?", const=HERE, metavar="ADDRESS", type=_address,
        help="do all shares on the Ray cluster at ADDRESS (auto, HOST:PORT, ray://HOST:PORT), or "
        "without one in processes of this machine, and merge them",
    )  # fmt: skip
    parser.add_argument(
        "--shards", type=int, default=32, metavar="N", help="how many shares --ray makes (32)"
    )


def _address(text: str) -> str:
    if text in (HERE, "auto") or ":" in text:
        return text
    raise argparse.ArgumentTypeError(
        f"must be auto, HOST:PORT or ray://HOST:PORT, but is {text!r}; name places before it"
    )
