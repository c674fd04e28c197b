"""run.py sets up once, says what failed, and leaves stdout to the command it runs."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The script, with an environment in a folder of its own and nothing installed for real."""
    spec = importlib.util.spec_from_file_location("run", ROOT / "run.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    module.VENV = tmp_path / "a folder"
    module.BIN = module.VENV / "bin"
    module.PYTHON = module.BIN / "python"
    module.installed = []
    module.started = []
    module.pip_install = lambda *arguments: module.installed.append(arguments)
    module.is_reachable = lambda url: False
    module.has_gpu = lambda: False
    for name in ("PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL"):
        monkeypatch.delenv(name, raising=False)
    module.start = lambda command: module.started.append(command) or 0
    return module


def test_sets_up_once_and_again_when_the_requirements_change(run: ModuleType) -> None:
    run.set_up("demo")
    assert run.PYTHON.exists()
    # Its own pip first: whoever activates the environment would else install into another.
    project = ("--constraint", "constraints.txt", "--editable", ".[demo]")
    assert run.installed == [("pip",), project]
    run.set_up("demo")
    assert len(run.installed) == 2
    run.set_up("")
    assert run.installed[2][-1] == "."
    run.fingerprint = lambda: "another"
    run.set_up("demo")
    assert len(run.installed) == 4


@pytest.mark.parametrize("system", ["Linux", "Darwin"])
@pytest.mark.parametrize("gpu", [False, True])
@pytest.mark.parametrize("reachable", [False, True])
def test_takes_the_small_pytorch_where_it_fits(
    run: ModuleType, monkeypatch: pytest.MonkeyPatch, system: str, gpu: bool, reachable: bool
) -> None:
    monkeypatch.setattr(run.platform, "system", lambda: system)
    run.has_gpu, run.is_reachable = (lambda: gpu), (lambda url: reachable)
    run.set_up("")
    small = run.CPU_INDEX in run.installed[-1]
    assert small == (system == "Linux" and not gpu and reachable)


def test_an_index_that_the_user_chose_stays(
    run: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    run.is_reachable = lambda url: True
    monkeypatch.setattr(run.platform, "system", lambda: "Linux")
    monkeypatch.setenv("PIP_EXTRA_INDEX_URL", "https://example.org/simple")
    run.set_up("")
    assert run.CPU_INDEX not in run.installed[-1]


def test_an_address_that_nobody_serves_is_not_reachable() -> None:
    spec = importlib.util.spec_from_file_location("run", ROOT / "run.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert not module.is_reachable("http://127.0.0.1:9/")  # the port of `discard`


def test_an_interrupted_set_up_is_done_again(run: ModuleType) -> None:
    def fail(*arguments: str) -> None:
        raise subprocess.CalledProcessError(1, ["pip", "install"])

    works, run.pip_install = run.pip_install, fail
    assert run.main(["test"]) == 3
    run.pip_install = works
    assert run.main(["test", "tests/text"]) == 0
    assert run.started == [[str(run.PYTHON), "-m", "pytest", "-n", "2", "tests/text"]]
    assert run.installed[-1][-1] == "encodec" and "--no-deps" in run.installed[-1]


def test_failures_are_one_line_on_stderr(
    run: ModuleType, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run.main(["uslm-sing"]) == 1
    output = capsys.readouterr()
    assert output.out == ""
    assert output.err.splitlines()[-1].startswith("run.py: no command named 'uslm-sing'")


def test_says_how_to_use_it() -> None:
    script = [sys.executable, str(ROOT / "run.py")]
    asked = subprocess.run([*script, "--help"], capture_output=True, text=True)
    assert asked.returncode == 0 and "python3 run.py test" in asked.stdout
    assert subprocess.run(script, capture_output=True).returncode == 1
