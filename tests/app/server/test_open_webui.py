"""Open WebUI itself, with this server as its voice. It needs gigabytes: see below."""

from __future__ import annotations

import io
import os
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
import soundfile

from tests.environments import environment_of, make_environment
from uslm.voices.stock import stock_voices

pytestmark = [
    pytest.mark.skipif(
        not os.environ.get("USLM_OPEN_WEBUI"),
        reason="it installs gigabytes; set USLM_OPEN_WEBUI=1 to run it",
    ),
    pytest.mark.timeout(3600),
]
PACKAGE = "open-webui==0.12.4"
SETTINGS = {
    "WEBUI_AUTH": "False", "WEBUI_SECRET_KEY": "for this test", "OFFLINE_MODE": "True",
    "ENABLE_OLLAMA_API": "False", "ENABLE_OPENAI_API": "False", "RAG_EMBEDDING_ENGINE": "openai",
    "AUDIO_STT_ENGINE": "openai", "AUDIO_TTS_ENGINE": "openai", "AUDIO_TTS_MODEL": "tts-1",
    "AUDIO_TTS_OPENAI_API_KEY": "none", "AUDIO_TTS_VOICE": "babble",
}  # fmt: skip


@pytest.fixture
def chat(server: Any, tmp_path: Path) -> Iterator[httpx2.Client]:
    """A client of Open WebUI, which was told of the server."""
    commands = make_environment(tmp_path / "environment")
    shell = environment_of(commands) | SETTINGS
    shell |= {"DATA_DIR": str(tmp_path), "AUDIO_TTS_OPENAI_API_BASE_URL": f"{server.url}/v1"}
    subprocess.run([commands / "pip", "install", "--quiet", PACKAGE], env=shell, check=True)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    started = [commands / "open-webui", "serve", "--host", "127.0.0.1", "--port", port]
    process = subprocess.Popen(started, env=shell, cwd=tmp_path)
    try:
        with httpx2.Client(base_url=f"http://127.0.0.1:{port}", timeout=60) as client:
            wait_for(client)
            signed_in = client.post("/api/v1/auths/signin", json={"email": "", "password": ""})
            client.headers["Authorization"] = f"Bearer {signed_in.json()['token']}"
            yield client
    finally:
        process.terminate()
        process.wait(60)


def wait_for(client: httpx2.Client) -> None:
    end = time.monotonic() + 600
    while True:
        try:
            if client.get("/health").status_code == 200:
                return
        except httpx2.TransportError:
            pass
        assert time.monotonic() < end, "Open WebUI does not start"
        time.sleep(1)


def test_it_lists_the_voices_and_speaks(chat: httpx2.Client) -> None:
    voices = {voice["id"] for voice in chat.get("/api/v1/audio/voices").json()["voices"]}
    assert {"babble", *stock_voices()} <= voices
    [model] = chat.get("/api/v1/audio/models").json()["models"]
    assert model["id"] == "tiny"
    answer = chat.post("/api/v1/audio/speech", json={"input": "Hello there.", "voice": "babble"})
    assert answer.status_code == 200, answer.text
    samples, rate = soundfile.read(io.BytesIO(answer.content))
    assert rate == 16_000 and len(samples) > 1_000
