"""The server as an ASGI application: the routes, and what guards them."""

from __future__ import annotations

from fastapi import APIRouter, FastAPI
from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp

from uslm import __version__
from uslm.output.watermark import Watermark
from uslm.serving.protocol import SpeechEngine
from uslm.voices.store import VoiceStore
from uslm_app.server import errors
from uslm_app.server.conversation import conversation_router
from uslm_app.server.conversations import Conversations
from uslm_app.server.guards import Guard, LastResort
from uslm_app.server.live import live_router
from uslm_app.server.metrics import Metrics
from uslm_app.server.page import page_router
from uslm_app.server.service import Service
from uslm_app.server.settings import ServeSettings
from uslm_app.server.speech import speech_router
from uslm_app.server.status import status_router
from uslm_app.server.voices import voices_router


def build_service(
    engine: SpeechEngine,
    voices: VoiceStore,
    settings: ServeSettings,
    watermark: Watermark | None = None,
    conversations: Conversations | None = None,
) -> Service:
    """State of a server; the engine stays the caller's, who closes it."""
    return Service(
        engine=engine, voices=voices, settings=settings, metrics=Metrics(engine),
        watermark=watermark, conversations=conversations,
    )  # fmt: skip


def build_app(service: Service) -> ASGIApp:
    """The application."""
    settings = service.settings
    guarded = LastResort(Guard(build_api(service), settings, service.metrics))
    if not settings.allowed_origins:
        return guarded
    return CORSMiddleware(
        guarded,
        allow_origins=settings.allowed_origins,
        allow_methods=("GET", "POST", "DELETE"),
        allow_headers=("Authorization", "Content-Type"),
        expose_headers=("X-Uslm-Seed", "X-Uslm-Sample-Rate", "X-Uslm-Model", "X-Uslm-Ignored"),
    )


def build_api(service: Service) -> FastAPI:
    """The routes alone. FastAPI's own pages would fetch scripts from elsewhere: there is `/docs`
    of ours."""
    app = FastAPI(
        title="uslm",
        version=__version__,
        description="Speech over HTTP, as OpenAI's API has it.",
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
    )
    errors.install(app)
    routers: tuple[APIRouter, ...] = (
        speech_router(service),
        live_router(service),
        voices_router(service),
        status_router(service),
        page_router(),
    )
    if service.conversations is not None:
        routers += (conversation_router(service, service.conversations),)
    for router in routers:
        app.include_router(router)
    return app
