"""What the tests of documents share: a desk to work at, quick commands, a Hub of our own."""

from __future__ import annotations

import io
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stdout, suppress
from dataclasses import dataclass, field
from importlib.metadata import distribution
from pathlib import Path
from types import FrameType
from typing import Any

import pytest
import torch

from uslm_tokenizer.codecs.transformers.base import TransformersCodecConfig
from uslm_tokenizer.codecs.transformers.model import Mimi
from uslm_tokenizer.pretrained.golden import read_golden
from uslm_tokenizer.pretrained.testing import isolated_hub
from uslm_tokenizer.registry import PRETRAINED

ROOT = Path(__file__).parents[2]
GOLDEN = ROOT / "tests/parity/golden/speechtokenizer_train_step.safetensors"
HEAVY = (
    "phonemizer",
    "soundfile",
    "soxr",
    "torch",
    "torch._dynamo",  # models on the meta device ask for it
    "transformers",
    "uslm.conversion",
    "uslm.tts",
    "uslm_app.cli",
    "uslm_tokenizer.codecs.unit_codec.model",
    "uslm_tokenizer.pretrained.testing:forget_pins",  # the Hub of these tests has other files
)
"""What the commands have imported before they are asked."""
SECONDS = 180
"""That a block may take; the machine may well be busy."""


@contextmanager
def ended_after(seconds: int, place: str) -> Iterator[None]:
    """What does not come to an end in time fails."""

    def stop(number: int, frame: FrameType | None) -> None:
        pytest.fail(f"{place}: not done after {seconds} s")

    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


@dataclass
class Desk:
    """A folder in which the blocks of one document are run, in their order."""

    folder: Path
    environment: dict[str, str]
    names: dict[str, Any] = field(default_factory=lambda: {"__name__": "__main__"})
    """What the Python blocks have defined so far."""
    sessions: list[int] = field(default_factory=list)
    """The process groups that may still be at work."""
    seconds: int = SECONDS
    """That a block may take."""

    def bash(self, body: str, place: str) -> None:
        """Run commands; fails with what they said."""
        said = self.folder / "said.txt"
        with said.open("w") as output:
            shell = subprocess.Popen(
                ["bash", "-euo", "pipefail", "-c", body],
                cwd=self.folder, env=self.environment, stdin=subprocess.DEVNULL,
                stdout=output, stderr=output, start_new_session=True,
            )  # fmt: skip
            self.sessions.append(shell.pid)
            try:
                code = shell.wait(self.seconds)
            except subprocess.TimeoutExpired:
                os.killpg(shell.pid, signal.SIGKILL)
                shell.wait()
                pytest.fail(f"{place}: not done after {self.seconds} s\n{said.read_text()}")
        assert code == 0, f"{place}: exit code {code}\n{said.read_text()}"

    def python(self, body: str, place: str) -> list[str]:
        """Run Python beside the blocks before it; the lines that it printed."""
        with redirect_stdout(io.StringIO()) as printed, ended_after(self.seconds, place):
            exec(compile(body, place, "exec"), self.names)
        return printed.getvalue().splitlines()

    def clear(self) -> None:
        """End what is still at work."""
        for session in self.sessions:
            with suppress(ProcessLookupError):
                os.killpg(session, signal.SIGTERM)


@pytest.fixture(scope="session")
def commands(tmp_path_factory: pytest.TempPathFactory, forking: Any) -> Iterator[Path]:
    """A folder with our commands."""
    folder = tmp_path_factory.mktemp("bin")
    scripts = [each.name for each in distribution("uslm").entry_points]
    with forking(folder, [*scripts, "python", "python3"], HEAVY):
        yield folder


@pytest.fixture(scope="session")
def repos(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, bytes]]:
    """Two pretrained codecs as the Hub has them, but small and of random weights."""
    golden, weights = read_golden(GOLDEN), io.BytesIO()
    torch.save(golden.weights, weights)
    speech_tokenizer = "speechtokenizer_hubert_avg"
    small = {**Mimi.tiny_config().backbone, "num_quantizers": 32}
    folder = tmp_path_factory.mktemp("mimi")
    Mimi(TransformersCodecConfig(backbone=small)).backbone.save_pretrained(folder)
    (folder / "preprocessor_config.json").write_text("{}")
    return {
        "fnlp/SpeechTokenizer": {
            f"{speech_tokenizer}/SpeechTokenizer.pt": weights.getvalue(),
            f"{speech_tokenizer}/config.json": json.dumps(dict(golden.config)).encode(),
        },
        "kyutai/mimi": {path.name: path.read_bytes() for path in folder.iterdir()},
    }


@pytest.fixture
def desk(
    tmp_path: Path,
    commands: Path,
    repos: dict[str, dict[str, bytes]],
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Desk]:
    """An empty folder but for the examples, with `voice.wav` for a recording of the reader's."""
    folder = tmp_path / "desk"
    shutil.copytree(ROOT / "examples", folder / "examples")
    shutil.copy(ROOT / "examples" / "voice.wav", folder)
    monkeypatch.chdir(folder)
    monkeypatch.syspath_prepend(folder)
    monkeypatch.setenv("USLM_VOICES", str(folder / "voices"))
    modules = set(sys.modules)
    with isolated_hub(tmp_path / "cache") as hub:
        hub.repos.update({name: dict(files) for name, files in repos.items()})
        hub.commits["kyutai/mimi"] = PRETRAINED.systems["mimi"].ready[0].revision
        environment = {
            **os.environ,
            "PATH": f"{commands}{os.pathsep}{os.environ['PATH']}",
            "HF_ENDPOINT": hub.endpoint,
            "HF_HUB_OFFLINE": "0",
            "HF_HUB_CACHE": str(tmp_path / "cache" / "hub"),
            "HF_ASSETS_CACHE": str(tmp_path / "cache" / "assets"),
        }
        made = Desk(folder=folder, environment=environment)
        try:
            yield made
        finally:
            made.clear()
    for name in set(sys.modules) - modules:  # the files of one document are not those of the next
        if str(getattr(sys.modules[name], "__file__", None)).startswith(str(folder)):
            del sys.modules[name]


@pytest.fixture
def on_free_ports() -> Callable[[str], str]:
    """The same text with ports that nobody listens at in place of those that documents name."""
    free = {port: str(_free_port()) for port in ("8000", "10200")}
    return lambda text: re.sub("|".join(free), lambda port: free[port[0]], text)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
