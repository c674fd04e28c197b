"""Loads the model and answers requests until somebody ends it."""

from __future__ import annotations

import signal
import threading

from uslm.serving.engine import Engine, EngineConfig
from uslm.voices.stock import stock_voices
from uslm.voices.store import VoiceStore
from uslm_app.actions import engine as models
from uslm_app.cli.console import Console
from uslm_app.cli.given import ServeOptions
from uslm_app.server.application import build_app
from uslm_app.server.server import Server, open_socket
from uslm_app.server.settings import ServeSettings


def serve(settings: ServeSettings, options: ServeOptions, console: Console) -> None:
    """Listen, and say where."""
    models.check_model(options.model)
    watermark = models.load_watermark(options.watermark)
    voices = VoiceStore(options.voices)
    listening = open_socket(settings)
    with listening:
        tts = models.load_tts(options, language=options.language)
        config = EngineConfig(
            num_slots=options.slots,
            max_waiting=options.queue,
            max_seconds=float(options.max_seconds),
        )
        with Engine(tts.synthesizer, config, frontend=tts.frontend) as engine:
            app = build_app(engine, voices, settings, watermark)
            _tell(settings, listening.getsockname()[1], voices, options, console)
            _end_quietly()
            Server(app, engine, settings).serve_on(listening)
    console.note("stopped")


def _tell(
    settings: ServeSettings,
    port: int,
    voices: VoiceStore,
    options: ServeOptions,
    console: Console,
) -> None:
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    url = f"http://{host}:{port}"
    if options.json:
        record = {"url": url, "voices": voices.names(), "stock_voices": list(stock_voices())}
        console.json({**record, "needs_token": settings.token is not None})
        return
    needs = "a token is needed" if settings.token else "for this machine only"
    console.note(f"listening at {url} ({needs}); {url}/docs tells what it answers")


def _end_quietly() -> None:
    """Uvicorn raises the signal that ended it once more; by then all is done that it asks for."""
    if threading.current_thread() is threading.main_thread():
        for each in (signal.SIGINT, signal.SIGTERM):
            signal.signal(each, lambda number, frame: None)
