"""The page, served on this machine and used through Gradio's own client."""

from __future__ import annotations

import json
import re
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gradio as gr
import httpx
import pytest
from gradio_client import Client, handle_file
from gradio_client.exceptions import AppError

from uslm.pipeline.speech import AudioChunk
from uslm.pipeline.tts import ZeroShotTTS
from uslm_demo.app import build_app
from uslm_demo.engine import Engine
from uslm_demo.page import serve
from uslm_demo.speaking import Limits
from uslm_tokenizer.audio import read_audio

# Gradio counts its events with an option that pandas 3 deprecates.
pytestmark = pytest.mark.filterwarnings("ignore:'future.no_silent_downcasting' is deprecated")


@pytest.fixture(scope="module")
def page(
    engine: Engine, recording: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[gr.Blocks]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GRADIO_TEMP_DIR", str(tmp_path_factory.mktemp("gradio")))
        yield build_app(engine, Limits(max_upload="1mb"), recording.parent)


@pytest.fixture(scope="module")
def address(page: gr.Blocks) -> Iterator[str]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    yield serve(page, Limits(max_upload="1mb"), port=port, wait=False)
    page.close()


@pytest.fixture(scope="module")
def client(address: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    folder = tmp_path_factory.mktemp("downloads")
    client = Client(address, verbose=False, download_files=str(folder), analytics_enabled=False)
    yield client
    client.close()


def test_speak(client: Client, recording: Path) -> None:
    text = "One sentence. [pause:0.2] And another."
    fields = (handle_file(recording), "", "3", 0.8, 40, 0.95, False)
    job = client.submit(text, *fields, api_name="/speak")
    status, wav, files, report, *_ = job.result(600)
    assert "seed 3" in status
    assert [Path(file).suffix for file in files] == [".wav", ".json"]
    sidecar = json.loads(Path(files[1]).read_text())
    assert sidecar["seed"] == 3
    assert read_audio(wav).seconds == pytest.approx(sidecar["seconds"], abs=0.001)
    assert all(str(chunk["seed"]) in report for chunk in sidecar["chunks"])
    assert any("so far" in step[0] for step in job.outputs())


def test_convert(client: Client, recording: Path) -> None:
    status, wav, *_ = client.predict(
        handle_file(recording), handle_file(recording), api_name="/convert"
    )
    assert "4.0 s of speech" in status
    assert read_audio(wav).seconds == pytest.approx(4, abs=0.05)


def test_who_cancels_stops_the_work(
    client: Client, recording: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stopped = threading.Event()
    stream = ZeroShotTTS.stream

    def endless(*args: Any, **kwargs: Any) -> Iterator[AudioChunk]:
        chunk = next(chunk for chunk in stream(*args, **kwargs) if chunk.waveform.numel())
        try:
            while True:
                time.sleep(0.02)
                yield chunk
        finally:
            stopped.set()

    monkeypatch.setattr(ZeroShotTTS, "stream", endless)
    fields = (handle_file(recording), "", "3", 0.8, 40, 0.95, False)
    job = client.submit("A text without an end.", *fields, api_name="/speak")
    while not any("so far" in step[0] for step in job.outputs()):
        time.sleep(0.05)
    assert not stopped.is_set()
    job.cancel()
    assert stopped.wait(600)


def test_a_mistake_becomes_a_message(client: Client, recording: Path) -> None:
    fields = (handle_file(recording), "", "3", 0.8, 40, 0.95, False)
    with pytest.raises(AppError, match="something to say"):
        client.predict("<b> ?", *fields, api_name="/speak")
    with pytest.raises(AppError, match="recording of the voice"):
        client.predict("Hello.", None, *fields[1:], api_name="/speak")


def test_only_what_visitors_do_is_in_the_api(client: Client) -> None:
    endpoints = client.view_api(return_format="dict", print_info=False)["named_endpoints"]
    assert set(endpoints) == {"/speak", "/convert"}


def test_nothing_comes_from_elsewhere(address: str) -> None:
    html = httpx.get(address).text
    loaded = re.findall(r"<(?:script|link|img|iframe)[^>]*(?:src|href)=.(https?://[^\"'>]+)", html)
    assert not [link for link in loaded if not link.startswith(address)]
    assert "fonts.g" not in httpx.get(f"{address}theme.css").text


def test_uploads_are_bounded(address: str, tmp_path: Path) -> None:
    files = {"files": ("big.wav", bytes(2 * 2**20))}
    answer = httpx.post(f"{address}gradio_api/upload", files=files)
    assert answer.status_code == 413


def test_the_line_is_bounded_and_nobody_is_told_on(page: gr.Blocks) -> None:
    assert page._queue.max_size == Limits().max_waiting
    assert not page.analytics_enabled
    assert not page.share


def test_the_page_fits_into_another(page: gr.Blocks) -> None:
    with gr.Blocks(analytics_enabled=False) as outer:
        page.render()
    assert len(outer.fns) == len(page.fns)
