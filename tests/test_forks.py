"""Commands that run in forks of a ready process: as themselves, and with an end."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

ENDLESS = """
import os, signal, sys, time
from pathlib import Path
signal.signal(signal.SIGTERM, signal.SIG_IGN)
child = os.fork()
Path(f"{sys.argv[1]}.{'parent' if child else 'child'}").write_text(str(os.getpid()))
while True:
    time.sleep(1)
"""


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory, forking: Any) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("bin")
    with forking(folder, ["python"], ["fractions"]):
        yield folder / "python"


def is_there(process: int) -> bool:
    """Whether it still does something."""
    try:
        state = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != "Z"


def wait_until(condition: Callable[[], bool], seconds: float = 30) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it never came about"
        time.sleep(0.01)


def test_a_command_is_itself(python: Path, tmp_path: Path) -> None:
    (tmp_path / "told.py").write_text(
        "import os, sys\n"
        "assert 'fractions' in sys.modules\n"
        "print(os.getcwd(), os.environ['WORD'], sys.argv[1:], sys.stdin.read())\n"
        "sys.exit(7)\n"
    )
    done = subprocess.run(
        [python, "told.py", "a b"], cwd=tmp_path, env={**os.environ, "WORD": "tree"}, input="in",
        capture_output=True, text=True,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (7, "")
    assert done.stdout == f"{tmp_path} tree ['a b'] in\n"


def test_a_command_that_is_killed_is_told_as_shells_do(python: Path, tmp_path: Path) -> None:
    (tmp_path / "dies.py").write_text("import os, signal; os.kill(os.getpid(), signal.SIGKILL)")
    assert subprocess.run([python, "dies.py"], cwd=tmp_path).returncode == 128 + signal.SIGKILL


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="needs /proc")
def test_who_is_killed_takes_the_command_along(python: Path, tmp_path: Path) -> None:
    """Also one that does not want to go, with its children."""
    (tmp_path / "endless.py").write_text(ENDLESS)
    files = [tmp_path / "id.parent", tmp_path / "id.child"]
    with subprocess.Popen([python, "endless.py", "id"], cwd=tmp_path) as asker:
        try:
            wait_until(lambda: all(file.is_file() and file.read_text() for file in files))
            processes = [int(file.read_text()) for file in files]
            assert all(map(is_there, processes))
        finally:
            asker.kill()
    wait_until(lambda: not any(map(is_there, processes)))
