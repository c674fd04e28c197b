"""A model that babbles, in a folder, and recordings to upload."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from uslm.pipeline.bundle import save_bundle
from uslm.pipeline.testing import speech_like, tiny_bundle
from uslm_demo.engine import Engine
from uslm_tokenizer.audio_write import write_audio

CARD = "---\nlicense: other\n---\n# Tiny\n\nIt babbles.\n"


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
        loop.close()


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_bundle(tiny_bundle(), tmp_path_factory.mktemp("model"), card=CARD)


@pytest.fixture(scope="session")
def engine(model: Path) -> Engine:
    return Engine(str(model))


@pytest.fixture(scope="session")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("recordings") / "prompt.wav"
    audio = speech_like(4.0)
    write_audio(path, audio.waveform, audio.sample_rate)
    return path
