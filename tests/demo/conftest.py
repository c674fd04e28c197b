"""A model that babbles, in a folder, and recordings to upload."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import gradio as gr
import pytest

from uslm.generate.length import LengthConfig
from uslm.output.joiner import JoinConfig
from uslm.systems.two_stage.bundle import save_bundle
from uslm.systems.two_stage.config import BundleConfig
from uslm.systems.two_stage.tiny import speech_like, tiny_bundle
from uslm.voices.prompt import VoicePrompt
from uslm_demo.limits import Limits
from uslm_demo.model import Model
from uslm_demo.page import serve
from uslm_demo.voices import VoiceChoice, make_voice
from uslm_tokenizer.audio.write import write_audio

CARD = "---\nlicense: other\n---\n# Tiny\n\nIt babbles.\n"
HASTY = LengthConfig(min_frames_per_symbol=0.2, max_frames_per_symbol=0.4, margin_frames=5)


@pytest.fixture(scope="session", autouse=True)
def closed_loops() -> Iterator[None]:
    """Gradio opens an event loop for each lock that it makes and closes none, which warns."""
    opened: list[asyncio.AbstractEventLoop] = []
    new_event_loop = asyncio.new_event_loop

    def remembered() -> asyncio.AbstractEventLoop:
        opened.append(new_event_loop())
        return opened[-1]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(asyncio, "new_event_loop", remembered)
        yield
    asyncio.set_event_loop(None)
    for loop in opened:
        if not loop.is_running():  # a server's, in a thread that is to end after this
            loop.close()


@pytest.fixture(scope="session")
def served() -> Callable[[gr.Blocks, Limits], AbstractContextManager[str]]:
    """Serves a page, and gives its address."""

    @contextmanager
    def serving(page: gr.Blocks, limits: Limits) -> Iterator[str]:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        try:
            yield serve(page, limits, port=port, wait=False)
        finally:
            page.close()

    return serving


@pytest.fixture(scope="session")
def bundle_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    # Random weights say nothing but silence now and then: it is kept.
    keep = JoinConfig(trim_silence=False)
    bundle = tiny_bundle(BundleConfig(name="tiny", length=HASTY, join=keep))
    return save_bundle(bundle, tmp_path_factory.mktemp("model"), card=CARD)


@pytest.fixture(scope="session")
def model(bundle_folder: Path) -> Iterator[Model]:
    model = Model(str(bundle_folder))
    yield model
    model.close()


@pytest.fixture(scope="session")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("recordings") / "prompt.wav"
    audio = speech_like(4.0)
    write_audio(path, audio.waveform, audio.sample_rate)
    return path


@pytest.fixture(scope="session")
def voice(model: Model, recording: Path) -> VoicePrompt:
    choice = VoiceChoice(recording=str(recording))
    return make_voice(model, choice, "anna", consent="none needed")
