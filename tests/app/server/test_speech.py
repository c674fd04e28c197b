"""Speech over HTTP: the samples of the model, in every format, to everyone their own."""

from __future__ import annotations

import base64
import functools
import json
import re
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import openai
import pytest
import torch

from uslm.systems.two_stage.bundle import bundle_of
from uslm.systems.two_stage.tiny import tiny_voice
from uslm.tts import ZeroShotTTS
from uslm_app.server.encoding import ByteEncoder
from uslm_tokenizer.audio.read import read_audio, resample

TEXT = "Hello there. How are you today? I am well."
LONG = "This goes on and on and on. " * 8


@pytest.fixture
def openai_client(server: Any) -> openai.OpenAI:
    return openai.OpenAI(api_key="anything", base_url=f"{server.url}/v1", max_retries=0)


@functools.cache
def generate(alone: ZeroShotTTS, text: str = TEXT, **options: Any) -> torch.Tensor:
    return alone.generate(text, tiny_voice(bundle_of(alone.synthesizer)), **options).waveform


def samples(data: bytes) -> np.ndarray[Any, Any]:
    return np.frombuffer(data, "<i2")


def int16(waveform: torch.Tensor) -> np.ndarray[Any, Any]:
    return np.rint(waveform[0].numpy() * np.float32(32768)).clip(-32768, 32767).astype("<i2")


def test_a_text_of_another_language_is_refused_unless_it_is_asked_for(server: Any) -> None:
    german = "Guten Morgen, wie geht es dir?"
    refused = server.speak(german)
    assert refused.status_code == 400
    assert "German" in refused.json()["error"]["message"]
    assert server.speak(german, any_language=True).status_code == 200


def test_the_openai_client_speaks(openai_client: openai.OpenAI, alone: ZeroShotTTS) -> None:
    """Unchanged, with no field that OpenAI does not have but the seed."""
    answer = openai_client.audio.speech.create(
        model="tts-1", voice="babble", input=TEXT, response_format="flac", extra_body={"seed": 5}
    )
    audio = read_audio(answer.content)
    assert audio.sample_rate == 16_000
    assert np.array_equal(int16(audio.waveform), int16(generate(alone, seed=5)))


def test_the_openai_client_streams(openai_client: openai.OpenAI, alone: ZeroShotTTS) -> None:
    with openai_client.audio.speech.with_streaming_response.create(
        model="tiny", voice={"id": "babble"}, input=LONG, response_format="wav", speed=1.0,
        stream_format="audio", extra_body={"seed": 5},
    ) as answer:  # fmt: skip
        parts = list(answer.iter_bytes())
    assert len(parts) > 3
    assert np.array_equal(samples(b"".join(parts)[44:]), int16(generate(alone, LONG, seed=5)))


def test_the_openai_client_reads_our_errors(openai_client: openai.OpenAI) -> None:
    with pytest.raises(openai.BadRequestError, match="there are babble") as wrong:
        openai_client.audio.speech.create(model="tts-1", voice="nobody", input="Hello.")
    assert (wrong.value.param, wrong.value.code) == ("voice", "voice_not_found")
    with pytest.raises(openai.NotFoundError):
        openai_client.audio.speech.create(model="gpt-9", voice="babble", input="Hello.")
    assert [model.id for model in openai_client.models.list()] == ["tiny"]


@pytest.mark.parametrize("format", ["mp3", "opus", "aac", "m4a", "flac", "wav", "pcm"])
def test_streamed_bytes_are_those_of_all_at_once(
    server: Any, alone: ZeroShotTTS, format: str
) -> None:
    answer = server.speak(TEXT, response_format=format)
    assert answer.status_code == 200
    encoder = ByteEncoder(format, 16_000)
    whole = encoder.push(generate(alone, seed=1)) + encoder.finish()
    if format == "opus":  # each Ogg stream draws a number of its own
        assert torch.equal(read_audio(answer.content).waveform, read_audio(whole).waveform)
    else:
        assert answer.content == whole
    assert answer.headers["content-type"] == encoder.media_type
    assert answer.headers["x-uslm-seed"] == "1"


@pytest.mark.parametrize("format", ["mp3", "opus", "flac", "wav"])
def test_what_is_sent_can_be_read(server: Any, alone: ZeroShotTTS, format: str) -> None:
    audio = read_audio(server.speak(response_format=format).content)
    expected = generate(alone, "Hello there.", seed=1)
    assert audio.seconds == pytest.approx(expected.shape[1] / 16_000, abs=0.15)
    assert audio.source is not None
    assert not [words for words in audio.source.warnings if "truncated" in words]


def test_pcm_has_the_rate_that_openai_clients_play(server: Any, alone: ZeroShotTTS) -> None:
    expected = resample(generate(alone, seed=1), 16_000, 24_000)
    answer = server.speak(TEXT, response_format="pcm")
    assert answer.headers["x-uslm-sample-rate"] == "24000"
    got = samples(answer.content).astype(float)
    assert len(got) == expected.shape[1]
    assert np.abs(got - int16(expected)).max() <= 2
    answer = server.speak(TEXT, response_format="pcm", sample_rate=16_000)
    assert np.array_equal(samples(answer.content), int16(generate(alone, seed=1)))


def test_events_hold_the_same_bytes(server: Any) -> None:
    answer = server.speak(TEXT, response_format="mp3", stream_format="sse")
    assert answer.headers["content-type"].startswith("text/event-stream")
    assert answer.text.endswith("\n\n")
    events = [json.loads(part.removeprefix("data: ")) for part in answer.text.split("\n\n") if part]
    *deltas, done = events
    assert {event["type"] for event in deltas} == {"speech.audio.delta"}
    data = b"".join(base64.b64decode(event["audio"]) for event in deltas)
    assert data == server.speak(TEXT, response_format="mp3").content
    assert done["type"] == "speech.audio.done"
    usage = done["usage"]
    assert usage["input_tokens"] == len(TEXT) and usage["output_tokens"] > 10
    assert usage["total_tokens"] == usage["input_tokens"] + usage["output_tokens"]


@pytest.mark.parametrize(
    "options",
    [
        {"speed": 0.8},
        {"speed": 3.0},
        {"temperature": 0.0},
        {"top_k": 3, "top_p": 0.5},
        {"retries": 1},
    ],
)
def test_every_option_does_what_it_does_without_a_server(
    server: Any, alone: ZeroShotTTS, options: dict[str, Any]
) -> None:
    verify = {"verify": True} if "retries" in options else {}
    expected = int16(generate(alone, seed=3, **options, **verify))
    answer = server.speak(TEXT, response_format="wav", seed=3, **options)
    assert np.array_equal(samples(answer.content[44:]), expected)


def test_a_seed_is_drawn_and_told(server: Any) -> None:
    first = server.speak(seed=None, response_format="wav")
    seed = int(first.headers["x-uslm-seed"])
    again = server.speak(seed=seed, response_format="wav")
    assert again.content == first.content
    assert server.speak(seed=None).headers["x-uslm-seed"] != str(seed)


def test_everyone_gets_their_own(server: Any, alone: ZeroShotTTS) -> None:
    """The seeds prove whose is whose."""
    with ThreadPoolExecutor(8) as pool:
        answers = list(
            pool.map(lambda n: server.speak(TEXT, seed=n, response_format="wav"), range(8))
        )
    for seed, answer in enumerate(answers):
        assert np.array_equal(samples(answer.content[44:]), int16(generate(alone, seed=seed)))


@pytest.mark.parametrize(
    ("fields", "param", "words"),
    [
        ({"response_format": "wma"}, "response_format", "'mp3', 'opus', 'aac', 'm4a'"),
        ({"instructions": "Whisper."}, "instructions", "not supported"),
        ({"speed": 5.0}, "speed", "less than or equal to 4"),
        ({"model": "other"}, "model", "there is 'tiny'"),
        ({"voice": "nobody"}, "voice", "there are babble"),
        ({"input": "..."}, "input", "say"),
        ({"input": ""}, "input", "say"),
        ({"input": "a" * 4097}, "input", "4,096"),
        ({"input": None}, "input", "string"),
        ({"seed": "7"}, "seed", "integer"),
        ({"seed": -1}, "seed", "greater"),
        ({"temperature": 9}, "temperature", "less"),
        ({"words": True}, "words", "stream_format sse"),
        ({"lang_code": "fr-FR"}, "lang_code", "en-us"),
        ({"sample_rate": 12345}, "sample_rate", "8000"),
    ],
)
def test_what_cannot_be_done_is_said(
    server: Any, fields: dict[str, Any], param: str | None, words: str
) -> None:
    answer = server.speak(**fields)
    assert answer.status_code in (400, 404)
    error = answer.json()["error"]
    assert words in error["message"] and error["param"] == param
    assert error["type"] == "invalid_request_error"


def test_the_pages_about_it_need_nothing_from_elsewhere(server: Any) -> None:
    schema = server.client.get("/openapi.json").json()
    assert "/v1/audio/speech" in schema["paths"]
    page = server.client.get("/docs").text
    assert "/v1/audio/speech" in page and "response_format" in page
    assert "<script" not in page and "http" not in page.replace("HTTP", "")
    assert not re.search(r"src=|@import|url\(", page)


def test_metrics_count(server: Any) -> None:
    def read() -> dict[str, float]:
        lines = server.client.get("/metrics").text.splitlines()
        pairs = [line.rsplit(" ", 1) for line in lines if not line.startswith("#")]
        return {name: float(value) for name, value in pairs}

    before = read()
    server.speak()
    server.speak(voice="nobody")
    server.client.get("/nowhere/at/all")
    after = read()
    speech = 'uslm_http_requests_total{route="/v1/audio/speech",status="%d"}'
    for name, more in {
        speech % 200: 1,
        speech % 400: 1,
        'uslm_http_requests_total{route="none",status="404"}': 1,
        'uslm_engine_requests_total{outcome="done"}': 1,
        "uslm_first_audio_seconds_count": 1,
    }.items():
        assert after[name] == before.get(name, 0) + more, name
    assert after["uslm_engine_audio_seconds_total"] > before["uslm_engine_audio_seconds_total"]


def test_health(server: Any) -> None:
    assert server.client.get("/health").json() == {"status": "ok"}


def test_what_ended_servers_is_spoken(server: Any) -> None:
    """espeak-ng in one segment with the server would end it."""
    assert server.speak("'s" * 75).status_code == 200
    assert server.client.get("/health").status_code == 200


class Offset:
    """A stand-in for PerTh: a constant that no speech has."""

    name = "offset"

    def mark(self, waveform: torch.Tensor, sample_rate: int) -> torch.Tensor:
        assert sample_rate == 16_000
        return waveform * 0.5 + 0.25

    def score(self, waveform: torch.Tensor, sample_rate: int) -> float:
        raise AssertionError("nobody asked")


def test_every_answer_is_marked(serve: Any, alone: ZeroShotTTS) -> None:
    """To the last sample, whether it is streamed, in events, or at another rate."""
    marked = generate(alone, LONG, seed=1) * 0.5 + 0.25
    assert marked.shape[1] > 3 * 16_000  # several blocks of the mark
    with serve(watermark=Offset()) as running:
        whole = running.speak(LONG, response_format="wav")
        assert whole.headers["x-uslm-watermark"] == "offset"
        assert np.array_equal(samples(whole.content[44:]), int16(marked))

        events = running.speak(LONG, response_format="wav", stream_format="sse").text
        parts = [base64.b64decode(each) for each in re.findall(r'"audio": "([^"]+)"', events)]
        assert b"".join(parts) == whole.content

        pcm = samples(running.speak(LONG, response_format="pcm").content)
        assert np.abs(pcm - int16(resample(marked, 16_000, 24_000))).max() <= 2


def test_without_a_watermark_none_is_claimed(server: Any) -> None:
    assert "x-uslm-watermark" not in server.speak("Hi.").headers


def test_without_pyav_aac_is_refused_before_anything_is_spoken(
    server: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("uslm_app.server.encoding.find_spec", lambda name: None)
    answer = server.speak(response_format="aac")
    assert answer.status_code == 400
    error = answer.json()["error"]
    assert error["code"] == "unsupported_format" and "uslm[aac]" in error["message"]
    assert server.speak(response_format="wav").status_code == 200
