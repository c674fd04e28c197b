"""The page, served on this machine and used through Gradio's own client."""

from __future__ import annotations

import json
import re
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

from uslm.output.speech import AudioChunk
from uslm.systems.two_stage.tiny import speech_like
from uslm.systems.vevo.tiny import save_tiny_vevo
from uslm.tts import ZeroShotTTS
from uslm.voices.prompt import VoicePrompt
from uslm.voices.stock import stock_voices
from uslm.voices.store import VoiceStore
from uslm_demo.app import build_app
from uslm_demo.guard import is_public
from uslm_demo.limits import Limits
from uslm_demo.model import Model
from uslm_tokenizer.audio.read import read_audio
from uslm_tokenizer.audio.write import write_audio

# Gradio counts its events with options that pandas 3 deprecates.
pytestmark = [
    pytest.mark.filterwarnings("ignore:'future.no_silent_downcasting' is deprecated"),
    pytest.mark.filterwarnings("ignore:The copy keyword is deprecated"),
]

LIMITS = Limits(max_upload="1mb", max_chars=200)


@pytest.fixture(scope="module")
def page(
    model: Model, voice: VoicePrompt, recording: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[gr.Blocks]:
    voices = tmp_path_factory.mktemp("voices")
    VoiceStore(voices).save(voice)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GRADIO_TEMP_DIR", str(tmp_path_factory.mktemp("gradio")))
        yield build_app(model, LIMITS, examples=recording.parent, voices=voices)


@pytest.fixture(scope="module")
def address(page: gr.Blocks, served: Any) -> Iterator[str]:
    with served(page, LIMITS) as address:
        yield address


@pytest.fixture(scope="module")
def client(address: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    folder = tmp_path_factory.mktemp("downloads")
    client = Client(
        address, verbose=False, download_files=str(folder), analytics_enabled=False,
        httpx_kwargs={"timeout": 600},
    )  # fmt: skip
    yield client
    client.close()


def fields(recording: Path | None = None, kept: str = "", seed: str = "3") -> tuple[Any, ...]:
    """What /speak takes after the text."""
    return (kept, recording and handle_file(recording), "", seed, 0.8, 40, 0.95, 1.0, False)


def test_speak(client: Client, recording: Path) -> None:
    text = "One sentence is this. [pause:0.2] And another."
    job = client.submit(text, *fields(recording), api_name="/speak")
    status, _, wav, sidecar_path, report = job.result(600)
    assert "Seed 3" in status
    sidecar = json.loads(Path(sidecar_path).read_text())
    assert sidecar["seed"] == 3
    assert read_audio(wav).seconds == pytest.approx(sidecar["seconds"], abs=0.001)
    assert all(segment["text"] in report for segment in sidecar["segments"])
    assert any("so far" in step[0] for step in job.outputs())
    assert any(step[1].get("value", {}).get("rate") == 16_000 for step in job.outputs())


def test_a_kept_voice_speaks_too(client: Client) -> None:
    status, *_ = client.predict("One sentence.", *fields(kept="anna"), api_name="/speak")
    assert "Seed 3" in status


def test_the_page_speaks_without_a_recording(client: Client, page: gr.Blocks) -> None:
    chosen = field_of(page, "clone-kept")
    assert [value for _, value in chosen["choices"]] == ["anna", *stock_voices(), ""]
    text = field_of(page, "clone-text")["value"]
    status, *_ = client.predict(text, *fields(kept="ada"), api_name="/speak")
    assert "Seed 3" in status


def test_convert(client: Client, recording: Path) -> None:
    status, _, wav, _ = client.predict(
        handle_file(recording), "anna", None, "", "", api_name="/convert"
    )
    assert "4.0 s of speech" in status
    assert read_audio(wav).seconds == pytest.approx(4, abs=0.05)


def test_a_choice_of_one_is_not_shown(page: gr.Blocks) -> None:
    imitate = field_of(page, "convert-imitate")
    assert imitate["visible"] is False and imitate["value"] == "timbre"


def field_of(page: gr.Blocks, elem_id: str) -> dict[str, Any]:
    """What a field of the page was made with."""
    made: list[dict[str, Any]] = [
        component["props"] for component in page.get_config_file()["components"]
    ]
    [found] = [props for props in made if props.get("elem_id") == elem_id]
    return found


def test_a_model_that_can_imitates_more_than_a_timbre(
    served: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path / "gradio"))
    audio = speech_like(1.2)
    write_audio(tmp_path / "short.wav", audio.waveform, audio.sample_rate)
    vevo = Model(str(save_tiny_vevo(tmp_path / "vevo")))
    page = build_app(vevo, LIMITS)
    assert not vevo.is_loaded
    imitate = field_of(page, "convert-imitate")
    assert imitate["visible"] is True
    assert [value for _, value in imitate["choices"]] == ["timbre", "style", "both"]
    with served(page, LIMITS) as address:
        client = Client(
            address, verbose=False, download_files=str(tmp_path), analytics_enabled=False,
            httpx_kwargs={"timeout": 600},
        )  # fmt: skip
        short = handle_file(tmp_path / "short.wav")
        *_, sidecar = client.predict(short, "", short, "", "1", "style", api_name="/convert")
        client.close()
    vevo.close()
    assert json.loads(Path(sidecar).read_text())["settings"] == {"imitate": "style"}


def test_who_cancels_stops_the_work(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
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
    job = client.submit("A text without an end.", *fields(kept="anna"), api_name="/speak")
    while not any("so far" in step[0] for step in job.outputs()):
        time.sleep(0.05)
    assert not stopped.is_set()
    job.cancel()
    assert stopped.wait(600)


@pytest.mark.parametrize(
    ("text", "options", "message"),
    [
        ("<b> ?", {}, "text: .*something to say|pronounce|spoken"),
        ("Hello. " * 40, {}, "text: .*may have 200 characters, but has 280"),
        ("Guten Morgen, wie geht es dir?", {}, "text: .*German.*speaks English"),
        ("Hello.", {"kept": ""}, "recording: .*recording of the voice"),
        ("Hello.", {"seed": "x"}, "seed: .*whole number"),
    ],
)
def test_a_mistake_is_told_at_its_field(
    client: Client, text: str, options: dict[str, str], message: str
) -> None:
    with pytest.raises((AppError, ValueError), match=f"(?s)1 param.*{message}"):
        client.predict(text, *fields(**{"kept": "anna", **options}), api_name="/speak")  # type: ignore[arg-type]


def test_only_what_visitors_do_is_in_the_api(client: Client) -> None:
    endpoints = client.view_api(return_format="dict", print_info=False)["named_endpoints"]
    assert set(endpoints) == {"/speak", "/convert"}


def test_nothing_comes_from_elsewhere(address: str, page: gr.Blocks) -> None:
    html = httpx.get(address).text
    loaded = re.findall(r"<(?:script|link|img|iframe)[^>]*(?:src|href)=.(https?://[^\"'>]+)", html)
    assert not [link for link in loaded if not link.startswith(address)]
    assert "fonts.g" not in httpx.get(f"{address}theme.css").text
    assert not re.findall(r"https?://(?!127\.0\.0\.1)[^\"'\\\s]+", own_code(page))


def own_code(page: gr.Blocks) -> str:
    """All HTML, CSS and JavaScript that the page brings, and its theme's fonts."""
    config = page.get_config_file()
    parts = [
        str(component["props"].get(name, ""))
        for component in config["components"]
        for name in ("html_template", "css_template", "js_on_load", "head")
    ]
    return "\n".join([*parts, str(config["css"]), str(config.get("head")), str(config.get("js"))])


def test_uploads_are_bounded(address: str) -> None:
    files = {"files": ("big.wav", bytes(2 * 2**20))}
    answer = httpx.post(f"{address}gradio_api/upload", files=files)
    assert answer.status_code == 413


def test_the_line_is_bounded_and_nobody_is_told_on(page: gr.Blocks) -> None:
    assert page._queue.max_size == LIMITS.max_waiting
    assert not page.analytics_enabled
    assert not page.share


def test_the_page_fits_into_another(
    model: Model, recording: Path, served: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path))
    inner = build_app(model, LIMITS)
    with gr.Blocks(analytics_enabled=False) as outer, gr.Tab("Ours"):
        inner.render()
    assert len(outer.fns) == len(inner.fns)
    with served(outer, LIMITS) as address:
        client = Client(
            address, verbose=False, download_files=str(tmp_path), analytics_enabled=False,
            httpx_kwargs={"timeout": 600},
        )  # fmt: skip
        status, *_ = client.predict("One sentence.", *fields(recording), api_name="/speak")
        client.close()
    assert "Seed 3" in status


@pytest.mark.parametrize(
    ("method", "headers"),
    [
        ("GET", {"Host": "evil.example"}),
        ("GET", {"Host": "evil.example:7860"}),
        ("POST", {"Host": "evil.example", "Origin": "http://evil.example"}),
        ("POST", {"Origin": "http://evil.example"}),
        ("POST", {"Sec-Fetch-Site": "cross-site"}),
    ],
)
def test_pages_of_other_sites_are_not_let_in(
    address: str, method: str, headers: dict[str, str]
) -> None:
    """Neither those whose name was made to point here, nor those that send forms here."""
    for path in ("", "config", "gradio_api/info", "gradio_api/queue/join", "gradio_api/upload"):
        assert httpx.request(method, address + path, headers=headers).status_code == 403


def test_a_page_that_others_may_reach_has_names_that_nobody_knows(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert not is_public(None, share=False) and not is_public("::1", share=False)
    assert is_public(None, share=True) and is_public("0.0.0.0", share=False)
    monkeypatch.setenv("GRADIO_SERVER_NAME", "0.0.0.0")
    assert is_public(None, share=False)
