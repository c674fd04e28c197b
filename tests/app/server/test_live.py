"""The WebSocket: text in as it is written, the same speech out as of the whole text."""

from __future__ import annotations

import io
import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import Any

import numpy as np
import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect

from tests.app.server.conftest import Running, wait_until
from uslm.tts import ZeroShotTTS
from uslm_app.server.live import PATH
from uslm_tokenizer.audio.read import read_audio

TEXT = "This is the first sentence of all of them. Here comes the second one, no shorter. Bye now."
START = {"type": "start", "voice": "babble", "seed": 5, "sample_rate": 16_000}


def opened(server: Running, **options: Any) -> ClientConnection:
    url = f"ws://127.0.0.1:{server.port}{PATH}"
    return connect(url, open_timeout=60, proxy=None, **options)


def say(client: ClientConnection, *messages: dict[str, Any]) -> None:
    for message in messages:
        client.send(json.dumps(message))


def text(fragment: str) -> dict[str, Any]:
    return {"type": "text", "text": fragment}


END = {"type": "end"}


def rest(client: ClientConnection) -> tuple[bytes, list[dict[str, Any]], int]:
    """Sound, events and the code with which it was closed."""
    sound, events = io.BytesIO(), []
    try:
        while True:
            message = client.recv(timeout=60)
            if isinstance(message, bytes):
                sound.write(message)
            else:
                events.append(json.loads(message))
    except ConnectionClosed as closed:
        assert closed.rcvd is not None
        return sound.getvalue(), events, closed.rcvd.code


def samples(data: bytes) -> np.ndarray:
    return np.frombuffer(data, "<i2")


def expected(alone: ZeroShotTTS, words: str = TEXT) -> np.ndarray:
    """Of a whole text that nobody had to wait for."""
    waveform = alone.generate(words, tiny(alone), seed=5).waveform[0].numpy()
    return np.rint(waveform * 32768).clip(-32768, 32767).astype("<i2")


def tiny(alone: ZeroShotTTS) -> Any:
    from uslm.systems.two_stage.tiny import tiny_voice

    return tiny_voice(alone.synthesizer)


@pytest.mark.parametrize("size", [1, 7, 1000])
def test_fragments_sound_as_the_whole(server: Running, alone: ZeroShotTTS, size: int) -> None:
    with opened(server) as client:
        say(client, START, *(text(TEXT[at : at + size]) for at in range(0, len(TEXT), size)), END)
        sound, (started, *segments, done), code = rest(client)
    assert code == 1000
    assert np.array_equal(samples(sound), expected(alone))
    assert started == {
        "type": "speech.started", "seed": 5, "sample_rate": 16_000, "media_type": "audio/pcm",
        "model": "tiny",
    }  # fmt: skip
    assert [each["type"] for each in segments] == ["speech.segment"] * len(segments)
    assert " ".join(each["text"] for each in segments) == TEXT
    assert segments[-1]["end"] == pytest.approx(len(samples(sound)) / 16_000, abs=0.5)
    assert done["type"] == "speech.audio.done" and done["usage"]["input_tokens"] == len(TEXT)


def test_speech_begins_before_the_text_is_over(server: Running) -> None:
    with opened(server) as client:
        say(client, START, text(TEXT))
        kinds = [client.recv(timeout=60) for _ in range(2)]
        assert isinstance(kinds[1], bytes) and kinds[1]
        say(client, END)
        assert rest(client)[2] == 1000


def test_whoever_writes_slowly_keeps_nobody_waiting(server: Running, alone: ZeroShotTTS) -> None:
    with opened(server) as slow:
        say(slow, START, text(TEXT[:30]))
        time.sleep(0.3)
        busy = server.engine.stats().busy_seconds
        time.sleep(0.5)  # it waits for text, and the engine does nothing meanwhile
        assert server.engine.stats().busy_seconds - busy < 0.1
        assert server.speak("Hello there.").status_code == 200
        say(slow, text(TEXT[30:]), END)
        assert np.array_equal(samples(rest(slow)[0]), expected(alone))


def test_another_format(server: Running, alone: ZeroShotTTS) -> None:
    with opened(server) as client:
        say(client, {**START, "response_format": "flac"}, text(TEXT), END)
        sound, events, code = rest(client)
    assert (code, events[0]["media_type"]) == (1000, "audio/flac")
    decoded = read_audio(sound).waveform[0].numpy() * 32768
    assert np.array_equal(decoded.astype("<i2"), expected(alone))


@pytest.mark.parametrize(
    ("messages", "code", "words"),
    [
        ([END], "bad_message", "the first message must be"),
        ([{**START, "input": "Hello."}], "bad_message", "without input"),
        ([{**START, "voice": "nobody"}], "voice_not_found", "there are babble"),
        ([{**START, "speed": 9}], "less_than_equal", "speed"),
        ([{"type": "start"}], "missing", "voice"),
        ([START, {"type": "text"}], "bad_message", "a message must be"),
        ([START, {"type": "text", "text": 7}], "bad_message", "a message must be"),
        ([START, [1]], "bad_message", "a JSON object"),
        ([START, text("a" * 5000)], "text_too_long", "4,096"),
        ([START, text("..."), END], "bad_text", "say"),
        ([START, END], "bad_text", "say"),
    ],
)
def test_mistakes_are_said_and_end_it(
    server: Running, messages: list[Any], code: str, words: str
) -> None:
    with opened(server) as client:
        say(client, *messages)
        sound, events, closed = rest(client)
    assert closed == 1008 and not sound
    error = events[-1]["error"]
    assert events[-1]["type"] == "error"
    assert (error["code"], words in error["message"]) == (code, True), error
    wait_until(lambda: server.engine.stats().active == 0)


def test_who_leaves_is_not_spoken_for(server: Running) -> None:
    before = server.engine.stats().cancelled
    with opened(server) as client:
        say(client, START, text(TEXT))
        client.recv(timeout=60)
    wait_until(lambda: server.engine.stats().cancelled == before + 1)


Start = Callable[..., AbstractContextManager[Running]]


@pytest.fixture
def guarded(serve: Start) -> Iterator[Running]:
    with serve(token="sixteen letters!") as running:
        yield running


def test_a_token_is_asked_for(guarded: Running) -> None:
    with pytest.raises(InvalidStatus) as refused:
        opened(guarded)
    assert refused.value.response.status_code == 401
    assert json.loads(refused.value.response.body)["error"]["code"] == "invalid_api_key"
    token = {"Authorization": "Bearer sixteen letters!"}
    with opened(guarded, additional_headers=token) as client:
        say(client, START, text("Hello there."), END)
        assert rest(client)[2] == 1000


def test_pages_of_other_sites_are_refused(server: Running) -> None:
    with pytest.raises(InvalidStatus) as refused:
        opened(server, origin="https://example.org")
    assert refused.value.response.status_code == 403
    with opened(server, origin=f"http://127.0.0.1:{server.port}") as client:
        say(client, START, text("Hello there."), END)
        assert rest(client)[2] == 1000


def test_who_says_nothing_is_let_go(serve: Start) -> None:
    with serve(header_seconds=0.5) as server, opened(server) as client:
        assert rest(client)[2] == 1008


def test_a_text_that_never_ends_is_given_up(serve: Start) -> None:
    with serve(engine_options={"max_seconds": 1.0}) as server, opened(server) as client:
        say(client, START, text("Hello."))
        _, events, code = rest(client)
        assert (code, events[-1]["error"]["code"]) == (1011, "timeout")


def test_many_at_once(server: Running, alone: ZeroShotTTS) -> None:
    wanted, wrong = expected(alone), []

    def converse(number: int) -> None:
        with opened(server) as client:
            say(client, START)
            for at in range(0, len(TEXT), 10 + number):
                say(client, text(TEXT[at : at + 10 + number]))
                time.sleep(0.01)
            say(client, END)
            if not np.array_equal(samples(rest(client)[0]), wanted):
                wrong.append(number)

    threads = [threading.Thread(target=converse, args=[number]) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    assert wrong == []
