"""Loads the model and answers requests until somebody ends it."""

from __future__ import annotations

import signal
import socket
import threading
from contextlib import AbstractContextManager, ExitStack
from functools import partial

from uslm.serving.engine import Engine, EngineConfig
from uslm.serving.protocol import SpeechEngine
from uslm.voices.stock import stock_voices
from uslm.voices.store import VoiceStore
from uslm_app.actions import engine as models
from uslm_app.cli.console import Console
from uslm_app.cli.given import ServeOptions
from uslm_app.server.application import build_app, build_service
from uslm_app.server.conversations import Conversations
from uslm_app.server.server import Beside, Server, open_socket
from uslm_app.server.service import Service
from uslm_app.server.settings import ServeSettings


def serve(settings: ServeSettings, options: ServeOptions, console: Console) -> None:
    """Listen, and say where."""
    models.check_model(options.model)
    watermark = models.load_watermark(options.watermark)
    conversations = _conversations(options)
    voices = VoiceStore(options.voices)
    with ExitStack() as sockets:
        listening, wyoming = _listen(settings, sockets)
        with _open_engine(options) as engine:
            service = build_service(engine, voices, settings, watermark, conversations)
            beside = None if wyoming is None else _beside(service, wyoming)
            _tell(settings, listening, wyoming, voices, options, console)
            _end_quietly()
            Server(build_app(service), engine, settings, beside).serve_on(listening)
    console.note("stopped")


def _conversations(options: ServeOptions) -> Conversations | None:
    """Conversations with the system of `--conversation`."""
    if options.conversation is None:
        return None
    from uslm.systems.moshi.folder import load_conversational

    device = models.find_device(options)
    model, codec = load_conversational(options.conversation, device=device, dtype=options.dtype)
    return Conversations(model, codec, most=options.max_conversations)


def _open_engine(options: ServeOptions) -> AbstractContextManager[SpeechEngine]:
    """The model here, or replicas of it."""
    config = EngineConfig(
        num_slots=options.slots,
        max_waiting=options.queue,
        max_seconds=float(options.max_seconds),
    )
    load = partial(models.load_tts, options, language=options.language)
    if options.replicas is None:
        tts = load()
        return Engine(tts.synthesizer, config, frontend=tts.frontend)
    from uslm.serving.replicated import ReplicaConfig, start_replicas

    replicas = ReplicaConfig(
        num_replicas=options.replicas,
        num_cpus=options.replica_cpus,
        num_gpus=options.replica_gpus,
        address=options.ray_address,
    )
    return start_replicas(load, replicas, config)


def _listen(
    settings: ServeSettings, sockets: ExitStack
) -> tuple[socket.socket, socket.socket | None]:
    """A socket for HTTP, and one for Wyoming where that is wanted."""

    def listen(host: str, port: int) -> socket.socket:
        return sockets.enter_context(open_socket(host, port, settings.max_connections))

    http = listen(settings.host, settings.port)
    return http, None if settings.wyoming is None else listen(*settings.wyoming)


def _beside(service: Service, listening: socket.socket) -> Beside:
    from uslm_app.server.wyoming import WyomingServer

    return WyomingServer(service, listening)


def _tell(
    settings: ServeSettings,
    listening: socket.socket,
    wyoming: socket.socket | None,
    voices: VoiceStore,
    options: ServeOptions,
    console: Console,
) -> None:
    url = _address("http", listening)
    other = None if wyoming is None else _address("tcp", wyoming)
    if options.json:
        record = {"url": url, "voices": voices.names(), "stock_voices": list(stock_voices())}
        console.json({**record, "needs_token": settings.token is not None, "wyoming": other})
        return
    needs = "a token is needed" if settings.token else "for this machine only"
    console.note(f"listening at {url} ({needs}); {url}/docs tells what it answers")
    if other is not None:
        console.note(f"listening at {other} for Wyoming, which knows no token")


def _address(scheme: str, listening: socket.socket) -> str:
    host, port, *_ = listening.getsockname()
    return f"{scheme}://{f'[{host}]' if ':' in host else host}:{port}"


def _end_quietly() -> None:
    """Uvicorn raises the signal that ended it once more; by then all is done that it asks for."""
    if threading.current_thread() is threading.main_thread():
        for each in (signal.SIGINT, signal.SIGTERM):
            signal.signal(each, lambda number, frame: None)
