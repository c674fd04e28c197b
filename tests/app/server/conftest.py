"""A real server with a tiny model, on a port of this machine."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import pytest

from uslm.generate.length import LengthConfig
from uslm.output.joiner import JoinConfig
from uslm.output.watermark import Watermark
from uslm.serving.engine import Engine, EngineConfig
from uslm.synthesis.protocols import FrontEnd, Synthesizer
from uslm.systems.two_stage.bundle import Bundle
from uslm.systems.two_stage.config import BundleConfig
from uslm.systems.two_stage.tiny import tiny_bundle, tiny_voice
from uslm.tts import ZeroShotTTS
from uslm.voices.store import VoiceStore
from uslm_app.server.application import build_app, build_service
from uslm_app.server.conversations import Conversations
from uslm_app.server.server import Server, open_socket
from uslm_app.server.settings import ServeSettings
from uslm_app.server.wyoming import WyomingServer

# It speaks much faster than people, and random weights may be silent.
HASTY = BundleConfig(
    name="tiny",
    length=LengthConfig(min_frames_per_symbol=0.5, max_frames_per_symbol=1.0, margin_frames=15),
    join=JoinConfig(trim_silence=False),
)


@dataclass(frozen=True, kw_only=True)
class Running:
    """A server at work."""

    url: str
    port: int
    engine: Engine
    server: Server
    voices: VoiceStore
    client: httpx2.Client
    wyoming_port: int
    """Of the Wyoming protocol, if it is answered."""

    def speak(self, text: str = "Hello there.", **fields: Any) -> httpx2.Response:
        """Ask for speech; waits until all of it has come."""
        body = {"model": "tiny", "voice": "babble", "input": text, "seed": 1, **fields}
        return self.client.post("/v1/audio/speech", json=body)


Serve = Callable[..., Running]


@pytest.fixture(scope="session")
def bundle() -> Bundle:
    return tiny_bundle(HASTY)


@pytest.fixture(scope="session")
def alone(bundle: Bundle) -> ZeroShotTTS:
    """The same model, without a server."""
    return ZeroShotTTS(bundle)


@contextmanager
def serving(
    synthesizer: Synthesizer,
    folder: Path,
    *,
    frontend: FrontEnd | None = None,
    engine_options: dict[str, Any] | None = None,
    watermark: Watermark | None = None,
    conversations: Conversations | None = None,
    **options: Any,
) -> Iterator[Running]:
    """Start a server in a thread, and stop it; with a model of ours there is a voice, babble."""
    voices = VoiceStore(folder)
    if isinstance(synthesizer, Bundle):
        voices.save(tiny_voice(synthesizer), force=True)
    settings = ServeSettings(**{"port": 0, "finish_seconds": 5.0, **options})
    token = {"Authorization": f"Bearer {settings.token}"} if settings.token else {}
    config = EngineConfig(**{"num_slots": 3, **(engine_options or {})})
    with (
        ExitStack() as sockets,
        Engine(synthesizer, config, frontend=frontend) as engine,
    ):
        listening = sockets.enter_context(open_socket(settings.host, settings.port, 512))
        # What the system buffers for a slow reader would hide that nobody reads.
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        port = listening.getsockname()[1]
        url = f"http://127.0.0.1:{port}"
        service = build_service(engine, voices, settings, watermark, conversations)
        beside, wyoming_port = None, 0
        if settings.wyoming is not None:
            other = sockets.enter_context(open_socket(*settings.wyoming, 16))
            beside, wyoming_port = WyomingServer(service, other), other.getsockname()[1]
        server = Server(build_app(service), engine, settings, beside)
        thread = threading.Thread(target=server.serve_on, args=[listening])
        thread.start()
        try:
            wait_until(lambda: server.started)
            with httpx2.Client(base_url=url, headers=token, timeout=60) as client:
                yield Running(
                    url=url, port=port, engine=engine, server=server, voices=voices,
                    client=client, wyoming_port=wyoming_port,
                )  # fmt: skip
        finally:
            server.should_exit = True
            thread.join(30)
        assert not thread.is_alive()
        assert not server.server_state.connections


def wait_until(condition: Callable[[], bool], seconds: float = 30) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it never came about"
        time.sleep(0.005)


@pytest.fixture(scope="session")
def server(bundle: Bundle, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A server for tests that change nothing of it but voices of their own."""
    with serving(bundle, tmp_path_factory.mktemp("voices")) as running:
        yield running


@pytest.fixture
def serve(bundle: Bundle, tmp_path: Path) -> Callable[..., Any]:
    """Starts a server with other limits: `with serve(max_chars=10) as running: ...`."""

    def start(**options: Any) -> Any:
        return serving(bundle, tmp_path / "voices", **options)

    return start


@pytest.fixture
def serve_synthesizer(tmp_path: Path) -> Callable[..., Any]:
    """Starts a server with another model and no voices."""

    def start(synthesizer: Synthesizer, **options: Any) -> Any:
        return serving(synthesizer, tmp_path / "voices", **options)

    return start
