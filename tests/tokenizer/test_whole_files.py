"""A file is whole or not there, however many write it and whoever is killed meanwhile."""

from __future__ import annotations

import errno
import os
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from safetensors import SafetensorError

from uslm_tokenizer.errors import disk_is_full
from uslm_tokenizer.whole_files import commit, write_atomically


def writer(number: int) -> Callable[[Path], object]:
    """Writes many times the same digit, with a pause within."""

    def write(path: Path) -> None:
        with path.open("w") as file:
            for _ in range(3):
                file.write(str(number) * 1000)
                file.flush()
                time.sleep(0.0005)

    return write


def test_threads_that_write_one_file_do_not_mix_it_up(tmp_path: Path) -> None:
    path = tmp_path / "voice"
    write_atomically(path, writer(0))
    torn: list[str] = []
    done = threading.Event()

    def read() -> None:
        while not done.is_set():
            text = path.read_text()
            if len(text) != 3000 or len(set(text)) != 1:
                torn.append(text)

    with ThreadPoolExecutor(9) as pool:
        reading = pool.submit(read)
        try:
            list(pool.map(lambda n: write_atomically(path, writer(n % 10)), range(200)))
        finally:
            done.set()
        reading.result()
    assert not torn and list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("links", [True, False])
def test_of_those_who_may_not_replace_one_wins(
    tmp_path: Path, links: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not links:

        def refuse(*_: object) -> None:
            raise OSError(errno.EPERM, "Operation not permitted")

        monkeypatch.setattr(os, "link", refuse)
    path = tmp_path / "voice"
    # Between a look and a rename another may come.
    monkeypatch.setattr(Path, "exists", lambda path: False)

    def attempt(number: int) -> int | None:
        try:
            write_atomically(path, writer(number), replace=False)
        except FileExistsError:
            return None
        return number

    with ThreadPoolExecutor(8) as pool:
        winners = [number for number in pool.map(attempt, range(8)) if number is not None]
    assert len(winners) == 1 and set(path.read_text()) == {str(winners[0])}
    assert list(tmp_path.iterdir()) == [path]


def test_a_file_that_is_moved_replaces_none(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).write_text(name)
    with pytest.raises(FileExistsError):
        commit(tmp_path / "a", tmp_path / "b", replace=False)
    assert (tmp_path / "a").read_text() == "a" and (tmp_path / "b").read_text() == "b"
    commit(tmp_path / "a", tmp_path / "c", replace=False)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["b", "c"]


def test_what_killed_programs_left_goes_and_what_others_write_stays(tmp_path: Path) -> None:
    long_ago = time.time() - 7200
    left, busy, mine = (tmp_path / n for n in (".uslm-0a.part", ".uslm-0b.part", ".mine.part"))
    for path in (left, busy, mine):
        path.write_text("half")
    for number in (1, 2):  # of the first somebody goes on writing a file
        folder = tmp_path / f".uslm-{number}.part"
        folder.mkdir()
        (folder / "weights").write_text("half")
        os.utime(folder, (long_ago, long_ago))
    for path in (left, mine, folder / "weights", folder):
        os.utime(path, (long_ago, long_ago))
    write_atomically(tmp_path / "new", lambda path: path.write_text("new"))
    kept = {path.name for path in tmp_path.iterdir()}
    assert kept == {"new", busy.name, mine.name, ".uslm-1.part"}


def test_what_safetensors_says_of_a_full_disk_is_understood(tmp_path: Path) -> None:
    def fail(path: Path) -> None:
        raise SafetensorError("Error while serializing: I/O error: No space left (os error 28)")

    with pytest.raises(OSError, match="No space left") as caught:
        write_atomically(tmp_path / "voice", fail)
    assert disk_is_full(caught.value) and not list(tmp_path.iterdir())
