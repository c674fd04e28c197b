"""`uslm serve` as it is started and ended, and what it refuses to start with."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest

from uslm.systems.two_stage.bundle import Bundle, save_bundle
from uslm.systems.two_stage.tiny import tiny_voice
from uslm.voices.store import VoiceStore
from uslm_app.cli import main

START = "import sys; from uslm_app.cli import main; sys.exit(main())"
TOKEN = "0123456789abcdef0123"


@pytest.fixture(scope="module")
def tiny_files(bundle: Bundle, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tiny_files")
    save_bundle(bundle, folder / "model")
    VoiceStore(folder / "voices").save(tiny_voice(bundle))
    return folder


@contextmanager
def started(tiny_files: Path, *options: str, **environment: str) -> Iterator[tuple[Any, str]]:
    """The process, and where it listens."""
    command = [sys.executable, "-c", START, "serve", "--json", "--port", "0"]
    process = subprocess.Popen(
        [*command, "--model", str(tiny_files / "model"),
         "--voices", str(tiny_files / "voices"), *options],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=os.environ | environment,
    )  # fmt: skip
    try:
        assert process.stdout is not None and process.stderr is not None
        line = process.stdout.readline()
        assert line, process.stderr.read()
        yield process, json.loads(line)["url"]
    finally:
        process.kill()
        process.communicate()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_speaks_until_it_is_told_to_end(tiny_files: Path, number: signal.Signals) -> None:
    with started(tiny_files, "--watermark", USLM_API_KEY=TOKEN) as (process, url):
        body = {"model": "tiny", "voice": "babble", "input": "Hello.", "seed": 1}
        assert httpx2.post(f"{url}/v1/audio/speech", json=body, timeout=60).status_code == 401
        token = {"Authorization": f"Bearer {TOKEN}"}
        answer = httpx2.post(f"{url}/v1/audio/speech", json=body, headers=token, timeout=60)
        assert answer.status_code == 200 and answer.headers["content-type"] == "audio/mpeg"
        assert answer.headers["x-uslm-watermark"] == "perth"
        process.send_signal(number)
        _, errors = process.communicate(timeout=60)
        assert process.returncode == 0, errors
        assert "Traceback" not in errors


def refusal(capsys: pytest.CaptureFixture[str], *options: str) -> tuple[int, str]:
    code = main(["serve", *options])
    return code, capsys.readouterr().err


def test_what_it_cannot_start_with_is_said(
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    tiny_files: Path,
    tmp_path: Path,
) -> None:
    monkeypatch.delenv("USLM_API_KEY", raising=False)
    code, line = refusal(capsys, "--host", "0.0.0.0")
    assert code == 1 and "token is needed" in line
    code, line = refusal(capsys, "--voices", str(tmp_path / "none"))
    assert code == 1 and "--voices must be a folder" in line
    code, line = refusal(capsys, "--conversation", str(tmp_path / "none"))
    assert code == 1 and "--conversation must be a folder" in line
    folder = str(tiny_files / "model")
    code, line = refusal(capsys, "--model", folder, "--conversation", folder)
    assert code == 1 and "must hold 'moshi', which converses, but holds no system" in line
    code, line = refusal(capsys, "--model", str(tmp_path / "none"))
    assert code == 2 and "no model folder" in line
    short = tmp_path / "token"
    short.write_text("short\n")
    code, line = refusal(capsys, "--token-file", str(short))
    assert code == 1 and "16 characters" in line
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        code, line = refusal(capsys, "--port", port, "--model", str(tiny_files / "model"))
        assert code == 3 and "cannot listen" in line
    monkeypatch.setattr("uslm.output.watermark.find_spec", lambda name: None)
    code, line = refusal(capsys, "--watermark", "--model", str(tiny_files / "model"))
    assert code == 3 and "pip install 'uslm[watermark]'" in line
