"""Clients that come in crowds, leave early, or are slow; and the end of the server."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager, suppress
from typing import Any

import httpx2
import pytest

from uslm.tts import ZeroShotTTS

TEXT = "Hello there. How are you today?"
LONG = "This goes on and on and on. " * 100


def wait_until(condition: Callable[[], bool], seconds: float = 30) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it never came about"
        time.sleep(0.005)


@contextmanager
def held(engine: Any) -> Iterator[None]:
    """The engine's thread waits until the `with` block ends."""
    go, is_held = threading.Event(), threading.Event()

    def hold(tts: ZeroShotTTS) -> None:
        is_held.set()
        go.wait(60)

    engine.call(hold)
    assert is_held.wait(30)
    try:
        yield
    finally:
        go.set()


def request(text: str = TEXT, **fields: Any) -> bytes:
    body = json.dumps({"model": "tiny", "voice": "babble", "input": text, "seed": 1, **fields})
    head = (
        "POST /v1/audio/speech HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    )
    return (head + body).encode()


def connect(running: Any) -> socket.socket:
    return socket.create_connection(("127.0.0.1", running.port), timeout=30)


def is_idle(running: Any) -> bool:
    stats = running.engine.stats()
    return bool(stats.active == stats.waiting == 0)


def test_one_too_many_is_told_when_to_come_back(serve: Any) -> None:
    with (
        serve(engine_options={"num_slots": 1, "max_waiting": 1}) as running,
        ThreadPoolExecutor(2) as pool,
    ):
        with held(running.engine):
            asked = [pool.submit(running.speak) for _ in range(2)]
            wait_until(lambda: running.engine.stats().waiting == 2)
            refused = running.speak()
        assert refused.status_code == 429
        assert int(refused.headers["retry-after"]) >= 1
        error = refused.json()["error"]
        assert (error["type"], error["code"]) == ("rate_limit_error", "queue_full")
        assert [each.result().status_code for each in asked] == [200, 200]


def test_a_crowd_is_answered_with_speech_or_429(serve: Any) -> None:
    with (
        serve(engine_options={"num_slots": 3, "max_waiting": 4}) as running,
        ThreadPoolExecutor(30) as pool,
    ):
        answers = list(pool.map(lambda seed: running.speak("Hi.", seed=seed), range(30)))
        assert {answer.status_code for answer in answers} <= {200, 429}
        stats = running.engine.stats()
        assert stats.done == sum(answer.status_code == 200 for answer in answers) >= 7
        assert stats.refused == 30 - stats.done
        assert is_idle(running)


@pytest.mark.parametrize("moment", ["waiting", "first chunk", "streaming"])
def test_who_leaves_stops_the_work(serve: Any, moment: str) -> None:
    with serve(engine_options={"num_slots": 1}) as running:
        with closing(connect(running)) as client:
            if moment == "waiting":
                with held(running.engine):
                    client.sendall(request(LONG))
                    wait_until(lambda: running.engine.stats().waiting == 1)
                    client.close()
            else:
                client.sendall(request(LONG, response_format="wav"))
                if moment == "streaming":
                    assert client.recv(1000)
                wait_until(lambda: running.engine.stats().steps > 3)
        wait_until(lambda: is_idle(running))
        assert running.engine.stats().done == 0
        steps = running.engine.stats().steps
        assert running.speak("Hi.").status_code == 200
        # Nobody goes on with the long one: these are the steps of the short one.
        assert running.engine.stats().steps < steps + 60


def test_who_leaves_an_upload_harms_nobody(serve: Any) -> None:
    with serve() as running:
        with closing(connect(running)) as client:
            client.sendall(request()[:-5])
        assert running.speak("Hi.").status_code == 200
        assert is_idle(running)


def test_who_does_not_read_is_cut_off(serve: Any) -> None:
    options = {"ahead_seconds": 0.2, "stall_seconds": 0.5}
    with serve(send_seconds=0.5, engine_options=options) as running:
        client = socket.socket()
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
        client.connect(("127.0.0.1", running.port))
        with closing(client):
            client.sendall(request(LONG, response_format="wav", sample_rate=48000))
            wait_until(lambda: running.engine.stats().active == 1)
            wait_until(lambda: is_idle(running))
        assert (running.engine.stats().done, running.engine.stats().cancelled) == (0, 1)
        assert running.speak("Hi.").status_code == 200


@pytest.mark.parametrize(
    "beginning",
    [b"", b"POST /v1/audio/speech HTTP/1.1\r\nHost: loc"],
    ids=["silent", "within the headers"],
)
def test_slow_headers_are_cut_off(serve: Any, beginning: bytes) -> None:
    with serve(header_seconds=0.2) as running, closing(connect(running)) as client:
        client.sendall(beginning)
        client.settimeout(20)
        with suppress(ConnectionResetError):
            assert client.recv(1000) == b""


def test_headers_of_a_second_request_may_not_take_for_ever_either(serve: Any) -> None:
    with serve(header_seconds=0.3) as running, closing(connect(running)) as client:
        client.sendall(b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n")
        answer = b""
        while not answer.endswith(b'"ok"}'):
            answer += client.recv(4000)
        client.sendall(b"GET /health HT")
        with suppress(ConnectionResetError):
            assert client.recv(1000) == b""


def test_a_slow_body_is_refused(serve: Any) -> None:
    with serve(body_seconds=0.3) as running, closing(connect(running)) as client:
        client.sendall(request()[:-5])
        answer = b""
        while part := client.recv(4000):
            answer += part
        assert b" 408 " in answer.split(b"\r\n")[0] and b"too_slow" in answer
        assert b"connection: close" in answer.lower()


def upload_head(size: int) -> bytes:
    """The beginning of an upload of that many bytes."""
    return (
        b"POST /v1/audio/voices HTTP/1.1\r\nHost: localhost\r\nContent-Type: multipart/form-data; "
        b"boundary=x\r\nContent-Length: %d\r\n\r\n" % size
    )


def test_slow_uploads_keep_nobody_waiting(serve: Any) -> None:
    with serve(body_seconds=60.0) as running, ExitStack() as stack:
        for _ in range(5):
            stack.enter_context(closing(connect(running))).sendall(upload_head(1000) + b"slow")
        wait_until(lambda: len(running.server.server_state.tasks) == 5)
        begin = time.monotonic()
        answer = running.client.post("/v1/audio/voices", data={"name": "anna"}, timeout=30)
        assert answer.status_code == 415 and time.monotonic() - begin < 20


def test_when_memory_is_short_the_slowest_upload_goes(serve: Any) -> None:
    """Eight of the largest are held; of each that is begun here the last byte is missing."""
    size = 100_000
    with serve(body_seconds=60.0, max_upload_bytes=size) as running, ExitStack() as stack:
        clients = []
        for number in range(10):
            clients.append(stack.enter_context(closing(connect(running))))
            clients[-1].sendall(upload_head(size) + b"x" * (size - 1))
            wait_until(lambda n=number: len(running.server.server_state.tasks) >= min(n + 1, 8))
        for client in clients[:2]:
            assert b" 408 " in client.recv(4000).split(b"\r\n")[0]
        clients[-1].sendall(b"x")
        assert b" 400 " in clients[-1].recv(4000).split(b"\r\n")[0]
        assert running.speak("Hi.").status_code == 200


HEALTH = b"GET /health HTTP/1.1\r\nHost: localhost\r\n"


@pytest.mark.parametrize(
    "sent",
    [
        b"",
        b"GET /health HT",
        HEALTH + b"\r\n",
        HEALTH + b"Content-Length: 9\r\n\r\n",
        HEALTH.replace(b"GET", b"POST") + b"Content-Length: 9\r\n\r\n",
    ],
    ids=["silent", "within the headers", "kept alive", "with a body", "posted"],
)
def test_connections_without_a_token_keep_nobody_out(serve: Any, sent: bytes) -> None:
    token = "correct horse battery staple"
    options = {"token": token, "max_connections": 6, "header_seconds": 60.0, "body_seconds": 60.0}
    with serve(**options) as running, ExitStack() as stack:
        for _ in range(20):
            client = stack.enter_context(closing(connect(running)))
            client.sendall(sent)
            if sent.endswith(b"\r\n\r\n"):
                assert client.recv(4000)
        assert httpx2.get(f"{running.url}/health", timeout=20).status_code == 200
        assert running.speak("Hi.").status_code == 200


def test_who_is_being_answered_is_not_cut_off_for_others(serve: Any) -> None:
    options = {"max_connections": 6, "header_seconds": 60.0}
    with serve(**options) as running, ThreadPoolExecutor(1) as pool, ExitStack() as stack:
        with held(running.engine):
            asked = pool.submit(running.speak)
            wait_until(lambda: running.engine.stats().waiting == 1)
            for _ in range(20):
                stack.enter_context(closing(connect(running)))
            assert httpx2.get(f"{running.url}/health", timeout=20).status_code == 200
        assert asked.result().status_code == 200


def test_a_request_that_takes_too_long_is_given_up(serve: Any) -> None:
    with serve(engine_options={"max_seconds": 0.3}) as running, ThreadPoolExecutor(1) as pool:
        with held(running.engine):
            asked = pool.submit(running.speak)
            wait_until(lambda: running.engine.stats().waiting == 1)
            time.sleep(0.35)
        assert asked.result().status_code == 504


def test_what_goes_wrong_in_the_middle_cuts_the_answer_off(
    serve: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The status is sent by then; an answer that looks whole would be a lie."""
    from uslm.serving.utterance import Utterance

    advance, calls = Utterance.advance, []

    def fail(self: Utterance) -> Any:
        chunk = advance(self)
        if chunk is not None and chunk.waveform.numel():
            calls.append(chunk)
        if len(calls) > 2:
            raise RuntimeError("/secret/path broke")
        return chunk

    with serve() as running:
        monkeypatch.setattr(Utterance, "advance", fail)
        with pytest.raises(httpx2.RemoteProtocolError):
            running.speak(LONG[:300])
        calls.clear()
        events = running.speak(LONG[:300], stream_format="sse").text.split("\n\n")
        assert '"type": "error"' in events[-2] and "internal error" in events[-2]
        assert "secret" not in events[-2]
        calls[:] = [None, None, None]  # type: ignore[list-item]
        answer = running.speak()
        assert answer.status_code == 500 and "secret" not in answer.text
        monkeypatch.undo()
        assert running.speak("Hi.").status_code == 200


def test_shutting_down_finishes_what_was_asked_for(serve: Any) -> None:
    with serve(finish_seconds=30.0) as running, ThreadPoolExecutor(1) as pool:
        asked = pool.submit(running.speak, LONG[:300], response_format="wav")
        wait_until(lambda: running.engine.stats().active == 1)
        idle = httpx2.Client(base_url=running.url, timeout=30)
        assert idle.get("/health").status_code == 200
        running.engine.refuse()
        answer = idle.post("/v1/audio/speech", json=json.loads(request().partition(b"\r\n\r\n")[2]))
        assert answer.status_code == 503
        assert idle.get("/health").json() == {"status": "shutting_down"}
        running.server.should_exit = True
        assert asked.result().status_code == 200
        idle.close()


def test_shutting_down_does_not_wait_for_ever(serve: Any) -> None:
    with serve(finish_seconds=1.0) as running, closing(socket.socket()) as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
        client.settimeout(10)
        client.connect(("127.0.0.1", running.port))
        client.sendall(request(LONG, response_format="wav", sample_rate=48000))
        assert client.recv(1000)
        begin = time.monotonic()
        running.server.should_exit = True
        wait_until(lambda: not running.engine._thread.is_alive())
        assert time.monotonic() - begin < 20
        # Who does not read is hung up on, too: nothing is left open behind a server that ended.
        assert not running.server.server_state.connections
        with suppress(ConnectionResetError):
            while client.recv(65536):
                pass
