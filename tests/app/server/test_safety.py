"""Nobody gets in without a token, and nothing that is sent gets further than it should."""

from __future__ import annotations

import itertools
import socket
from contextlib import closing, suppress
from typing import Any

import httpx2
import pytest

from uslm_app.cli.exit_codes import UsageError
from uslm_app.server.settings import ServeSettings

TOKEN = "correct horse battery staple"
GOOD = {"model": "tiny", "voice": "babble", "input": "Hello.", "seed": 1}


def raw(running: Any, data: bytes) -> bytes:
    """What comes back for some bytes, until the server closes or falls silent."""
    with closing(socket.create_connection(("127.0.0.1", running.port), timeout=10)) as client:
        client.sendall(data)
        answer = b""
        with suppress(TimeoutError, ConnectionResetError):
            while part := client.recv(65536):
                answer += part
                client.settimeout(0.2)
        return answer


def assert_refused(answer: httpx2.Response, *statuses: int) -> None:
    """An error in OpenAI's form, with nothing in it that is nobody's business."""
    assert answer.status_code in (statuses or range(400, 500)), answer.text
    assert set(answer.json()["error"]) == {"message", "type", "param", "code"}
    for secret in ("Traceback", "/work", "/tmp", "/home", "site-packages", ".py"):
        assert secret not in answer.text


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.5", "example.org"])
def test_others_are_let_in_with_a_token_only(host: str) -> None:
    with pytest.raises(UsageError, match="token"):
        ServeSettings(host=host)
    ServeSettings(host=host, token=TOKEN)
    for local in ("127.0.0.1", "::1", "localhost", "127.0.0.2"):
        ServeSettings(host=local)


@pytest.mark.parametrize("token", ["short", "with a newline\n in the middle", "élan vital is long"])
def test_a_token_must_be_worth_its_name(token: str) -> None:
    with pytest.raises(UsageError, match="token must"):
        ServeSettings(token=token)


def test_without_the_token_nothing_is_told_but_health(serve: Any) -> None:
    paths = ["/v1/models", "/v1/audio/voices", "/metrics", "/docs", "/openapi.json", "/nowhere"]
    wrong = ["", "Bearer", f"Basic {TOKEN}", f"Bearer {TOKEN}x", f"Bearer {TOKEN[:-1]}"]
    with serve(token=TOKEN) as running:
        for path, authorization in itertools.product(paths, wrong):
            answer = httpx2.get(running.url + path, headers={"Authorization": authorization})
            assert_refused(answer, 401)
            assert answer.headers["www-authenticate"] == "Bearer"
        assert_refused(httpx2.post(running.url + "/v1/audio/speech", json=GOOD), 401)
        assert httpx2.get(running.url + "/health").status_code == 200
        for path in paths[:-1]:
            assert running.client.get(path).status_code == 200
        assert running.speak().status_code == 200


def test_tokens_are_compared_in_a_time_that_tells_nothing(
    serve: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By `compare_digest`, and of values of one length whatever was sent."""
    import hmac

    seen: list[tuple[int, int]] = []
    compare = hmac.compare_digest

    def noting(a: bytes, b: bytes) -> bool:
        seen.append((len(a), len(b)))
        return compare(a, b)

    monkeypatch.setattr("uslm_app.server.guards.hmac.compare_digest", noting)
    with serve(token=TOKEN) as running:
        for token in ("x", TOKEN[:-1], TOKEN, TOKEN * 10):
            headers = {"Authorization": f"Bearer {token}"}
            httpx2.get(running.url + "/v1/models", headers=headers)
    assert len(seen) == 4 and len({lengths for pair in seen for lengths in pair}) == 1


@pytest.mark.parametrize(
    ("host", "is_ours"),
    [
        ("localhost", True), ("127.0.0.1:80", True), ("LOCALHOST:1234", True), ("[::1]:80", True),
        ("evil.example", False), ("evil.example:8000", False), ("127.0.0.1.evil.example", False),
        ("localhost:80:80", False), ("", False), ("localhost@evil.example", False),
    ],
)  # fmt: skip
def test_a_name_that_was_made_to_point_here_is_not_let_in(
    server: Any, host: str, is_ours: bool
) -> None:
    answer = raw(server, f"GET /v1/models HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
    assert (b" 200 " in answer.split(b"\r\n")[0]) == is_ours
    if not is_ours:
        assert b" 403 " in answer.split(b"\r\n")[0] or b" 400 " in answer.split(b"\r\n")[0]


def test_a_page_of_another_site_gets_no_leave(server: Any) -> None:
    origin = {"Origin": "https://evil.example", "Access-Control-Request-Method": "POST"}
    for method in ("OPTIONS", "GET", "POST"):
        answer = server.client.request(method, "/v1/audio/speech", headers=origin)
        assert not [name for name in answer.headers if name.startswith("access-control")]
    # What a page may send without asking: it is not taken for JSON.
    form = server.client.post(
        "/v1/audio/speech", content=b'{"model": "tiny"}', headers={"Content-Type": "text/plain"}
    )
    assert_refused(form)


BOUNDARY = "----a"
FORM = (
    f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="name"\r\n\r\nbabble\r\n'
    f"--{BOUNDARY}--\r\n"
)
FOREIGN = [
    {"Origin": "https://evil.example"},
    {"Origin": "http://localhost:3000"},  # another program of this machine is another site
    {"Origin": "null"},
    {"Origin": ""},
    {"Origin": "http://evil.example/127.0.0.1"},
    {"Sec-Fetch-Site": "cross-site"},
    {"Sec-Fetch-Site": "same-site"},
    {"Sec-Fetch-Site": "cross-site", "Origin": "http://OURS"},
]


@pytest.mark.parametrize("headers", FOREIGN)
def test_a_page_of_another_site_changes_nothing(server: Any, headers: dict[str, str]) -> None:
    """A form needs no leave of the server's: the browser just sends it."""
    ours = f"127.0.0.1:{server.port}"
    headers = {name: value.replace("OURS", ours) for name, value in headers.items()}
    kind = {"Content-Type": f"multipart/form-data; boundary={BOUNDARY}"}
    for method, path in (
        ("POST", "/v1/audio/voices"),
        ("POST", "/v1/audio/speech"),
        ("DELETE", "/v1/audio/voices/babble"),
    ):
        answer = server.client.request(method, path, content=FORM, headers={**kind, **headers})
        assert_refused(answer, 403)
        assert answer.json()["error"]["code"] == "other_site"
    assert "babble" in server.voices.names()


@pytest.mark.parametrize(
    "headers", [{}, {"Origin": "http://OURS"}, {"Sec-Fetch-Site": "same-origin"}]
)
def test_our_own_pages_and_programs_are_let_in(server: Any, headers: dict[str, str]) -> None:
    ours = f"127.0.0.1:{server.port}"
    headers = {name: value.replace("OURS", ours) for name, value in headers.items()}
    assert server.client.post("/v1/audio/speech", json=GOOD, headers=headers).status_code == 200


def test_a_link_of_another_site_opens_what_can_only_be_read(server: Any) -> None:
    link = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"}
    assert server.client.get("/docs", headers=link).status_code == 200


NAMES = [
    "../babble", "..", ".", "", "/etc/passwd", "babble/../babble", "babble.safetensors", "a" * 65,
    "C:\\voices\\babble", "..\\babble", "%2e%2e%2fbabble", "babble\x00", "http://127.0.0.1:1/voice",
    "file:///etc/passwd", "https://example.org/voice.safetensors", "~/babble", "-rf", "bab ble",
    "hf://someone/voice", ".hidden", "bäbble", "babble\n", "{name}", "$(id)",
]  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_a_voice_is_a_name_and_nothing_else(server: Any, name: str) -> None:
    assert_refused(server.speak(voice=name), 400)
    assert_refused(server.speak(voice={"id": name}), 400)
    quoted = httpx2.QueryParams({"n": name})["n"]
    for method in ("GET", "DELETE"):
        path = "/v1/audio/voices/" + "".join(f"%{byte:02X}" for byte in quoted.encode())
        answer = server.client.request(method, path)
        # "." and ".." never arrive: the client takes them for a way.
        assert answer.status_code in (400, 404, 405), answer.text
        assert "/" not in answer.json()["error"]["message"].replace(repr(name)[1:-1], "")
    assert server.speak().status_code == 200


BODIES: dict[str, tuple[bytes, str]] = {
    "nothing": (b"", "application/json"),
    "not JSON": (b"{", "application/json"),
    "not UTF-8": (b'{"input": "\xff\xfe"}', "application/json"),
    "UTF-16": ('{"model": "tiny"}'.encode("utf-16"), "application/json"),
    "a list": (b"[1, 2]", "application/json"),
    "a number": (b"1e999", "application/json"),
    "null": (b"null", "application/json"),
    "deep": (b"[" * 100_000, "application/json"),
    "a long number": (b'{"seed": ' + b"9" * 10_000 + b"}", "application/json"),
    "NaN": (b'{"model":"tiny","voice":"babble","input":"Hi.","speed":NaN}', "application/json"),
    "lone surrogate": (
        b'{"model":"tiny","voice":"babble","input":"\\ud800 hi"}', "application/json",
    ),
    "surrogate name": (
        b'{"model":"tiny","voice":"\\udfff","input":"Hi."}', "application/json",
    ),
    "surrogate key": (b'{"\\udfff": 1}', "application/json"),
    "no type": (b'{"model":"tiny"}', ""),
    "a form": (b"input=hello&voice=babble&model=tiny", "application/x-www-form-urlencoded"),
    "an odd charset": (b"{}", "application/json; charset=nonsense"),
}  # fmt: skip


@pytest.mark.parametrize("what", BODIES)
def test_a_body_that_makes_no_sense_is_refused(server: Any, what: str) -> None:
    content, kind = BODIES[what]
    answer = server.client.post(
        "/v1/audio/speech", content=content, headers={"Content-Type": kind} if kind else {}
    )
    assert_refused(answer)


@pytest.mark.parametrize(
    "text", ["\x00", "\x07\x08", "\u202e", "\ufeff", "😀😀", "́" * 50, "[pause:9"]
)
def test_odd_texts_are_spoken_or_refused(server: Any, text: str) -> None:
    assert_refused(server.speak(text), 400)
    answer = server.speak(f"Hello {text} there.")
    assert answer.status_code in (200, 400), answer.text


def test_too_large_a_body_is_refused_before_it_is_read(serve: Any) -> None:
    with serve(max_json_bytes=1000, max_upload_bytes=2000) as running:
        assert_refused(running.speak("a" * 1000), 413)

        def endless() -> Any:
            for _ in range(50):
                yield b"x" * 1000

        for path in ("/v1/audio/speech", "/v1/audio/voices", "/nowhere"):
            try:
                answer = running.client.post(path, content=endless())
            except (httpx2.WriteError, httpx2.RemoteProtocolError):  # it hung up, as it may
                continue
            assert_refused(answer, 413)
        head = (
            b"POST /v1/audio/voices HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99999999\r\n\r\n"
        )
        assert b" 413 " in raw(running, head).split(b"\r\n")[0]


@pytest.mark.parametrize(
    "data",
    [
        b"\x00\x01\x02\x03\r\n\r\n",
        b"GET / HTTP/9.9\r\nHost: localhost\r\n\r\n",
        b"GET /v1/models HTTP/1.1\r\n\r\n",
        b"GET /v1/models HTTP/1.1\r\nHost: localhost\r\nHost: evil.example\r\n\r\n",
        b"POST /v1/audio/speech HTTP/1.1\r\nHost: localhost\r\nContent-Length: -5\r\n\r\n",
        b"POST /v1/audio/speech HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n"
        b"Content-Length: 50\r\n\r\nhello",
        b"POST /v1/audio/speech HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"
        b"ZZZ\r\n\r\n",
        b"GET /v1/models HTTP/1.1\r\nHost: localhost\r\nX: " + b"y" * 100_000 + b"\r\n\r\n",
        b"GET /v1/audio/voices/%ff%fe HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"GET /v1/models HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer \xff\xfe\r\n\r\n",
        b"GET /v1/audio/../../etc/passwd HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"GET http://evil.example/v1/models HTTP/1.1\r\nHost: evil.example\r\n\r\n",
        b"GET /v1/models HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n"
        b"Connection: Upgrade\r\nSec-WebSocket-Key: x\r\nSec-WebSocket-Version: 13\r\n\r\n",
    ],
)
def test_tricks_with_headers_get_nowhere(server: Any, data: bytes) -> None:
    answer = raw(server, data)
    assert b" 500 " not in answer.split(b"\r\n")[0] and b"Traceback" not in answer
    assert b"root:" not in answer
    assert server.client.get("/health").status_code == 200
