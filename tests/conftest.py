"""What holds for all tests: one thread, a fixed seed, no internet; and a GPU that is not there."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import Any

# Before PyTorch is imported. Tests are tiny: more threads only get in each other's way.
os.environ.setdefault("OMP_NUM_THREADS", "1")
# A test that forgets to be offline fails at once instead of waiting for an answer.
os.environ.setdefault("HF_HUB_OFFLINE", "1")
# No test sees, or touches, the voices of whoever runs it.
os.environ["USLM_VOICES"] = os.path.join(os.sep, "nonexistent", "voices")
os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")

import pytest
from hypothesis import settings

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
FLAGS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
]  # fmt: skip


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--golden", metavar="DIR", help="run tests/parity on the golden files of DIR")


def pytest_configure(config: pytest.Config) -> None:
    """A folder that was asked for must be there; and Ctrl-C works, under `nohup` too."""
    # An ignored signal stays ignored in the processes that the tests start and interrupt.
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    golden = config.getoption("--golden")
    if golden is not None and not os.path.isdir(golden):
        raise pytest.UsageError(f"--golden: no folder at {golden}")
    # The same examples in each run: a change is judged by what it changes, not by luck. With
    # USLM_FUZZ=random other ones, to look for what nobody has found yet.
    settings.register_profile("same", derandomize=True, database=None, deadline=None)
    settings.register_profile("random", derandomize=False, print_blob=True, deadline=None)
    settings.load_profile(os.environ.get("USLM_FUZZ", "same"))


@pytest.fixture(autouse=True)
def fixed_seed() -> None:
    """Random weights are the same in each run and in each order of the tests."""
    if "torch" in sys.modules:
        sys.modules["torch"].manual_seed(0)


@pytest.fixture(autouse=True)
def no_internet(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only this machine may be reached, except in tests marked `network`."""
    if request.node.get_closest_marker("network"):
        return
    connect = socket.socket.connect

    def connect_locally(self: socket.socket, address: object) -> None:
        host = address[0] if isinstance(address, tuple) else ""
        if self.family != socket.AF_UNIX and host not in ("127.0.0.1", "::1", "localhost"):
            raise AssertionError(f"a test tried to reach {address}")
        connect(self, address)  # type: ignore[arg-type]

    monkeypatch.setattr(socket.socket, "connect", connect_locally)


@pytest.fixture(scope="session")
def forking() -> Callable[..., AbstractContextManager[None]]:
    """Puts commands into a folder that run in forks of one ready process; see forks.py."""
    forks = Path(__file__).with_name("forks.py")

    @contextmanager
    def start(folder: Path, commands: Sequence[str], modules: Sequence[str]) -> Iterator[None]:
        # The path of a socket must be short, and that of pytest's folders is not.
        with tempfile.TemporaryDirectory(prefix="forks-") as place:
            address = f"{place}/socket"
            for name in commands:
                target = "python" if name.startswith("python") else name
                ask = f'exec "{sys.executable}" -IS "{forks}" ask "{address}" {target} "$@"'
                (folder / name).write_text(f"#!/bin/sh\n{ask}\n")
                (folder / name).chmod(stat.S_IRWXU)
            serve = [sys.executable, str(forks), "serve", address, *modules]
            with subprocess.Popen(
                serve, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
            ) as process:
                assert process.stdout is not None and process.stdin is not None
                assert process.stdout.readline() == "ready\n"
                yield
                process.stdin.close()

    return start


@pytest.fixture(scope="session")
def load_script() -> Callable[[Path], ModuleType]:
    """A file that belongs to no package, as a module; another one each time."""

    def load(path: Path) -> ModuleType:
        spec = spec_from_file_location(f"script_{path.stem}", path)
        assert spec is not None and spec.loader is not None
        module = module_from_spec(spec)
        sys.modules[spec.name] = module  # dataclasses look there for annotations
        spec.loader.exec_module(module)
        return module

    return load


@pytest.fixture(scope="session")
def save_bert() -> Callable[[Path], Path]:
    """Saves a BERT of random weights that reads the words of the made-up corpora."""
    return _save_bert


def _save_bert(folder: Path) -> Path:
    import torch
    from transformers import BertConfig, BertModel, BertTokenizerFast

    marks = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    text = "hello there the house stands seven bird ##s sing come and see it . ,"
    words = text.split()
    (folder / "vocab.txt").write_text("\n".join([*marks, *words]), "utf-8")
    BertTokenizerFast(vocab=str(folder / "vocab.txt")).save_pretrained(folder)
    config = BertConfig(
        vocab_size=len(marks) + len(words), hidden_size=16, num_hidden_layers=2,
        num_attention_heads=2, intermediate_size=16, max_position_embeddings=64,
    )  # fmt: skip
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        BertModel(config).save_pretrained(folder)
    return folder


@pytest.fixture
def fake_device(
    monkeypatch: pytest.MonkeyPatch, load_script: Callable[[Path], ModuleType]
) -> Iterator[Any]:
    """A device that fails as a GPU would where tensors lie on two devices."""
    with load_script(Path(__file__).with_name("fake_device.py")).pretend(monkeypatch) as device:
        yield device


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """Debian's Chromium, driven by Playwright; on CI one that is missing is a failure."""
    found = next(filter(None, map(shutil.which, BROWSERS)), None)
    try:
        from playwright.sync_api import sync_playwright
    except ImportError as problem:
        missing = str(problem)
    else:
        missing = "" if found else f"there is none of {', '.join(BROWSERS)}"
    if missing and os.environ.get("CI"):
        pytest.fail(f"CI must have a browser, but {missing}")
    if missing:
        pytest.skip(f"needs Chromium and Playwright: {missing}")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found, args=FLAGS)
        yield browser
        browser.close()
