"""What clients of other servers send and expect: fields, words, other sites, a page."""

from __future__ import annotations

import base64
import json
import re
from typing import Any

import httpx2
import numpy as np
import openai
import pytest

from uslm.tts import ZeroShotTTS
from uslm_app.server.page import POLICY

TEXT = "Hello there. How are you today? I am well."
SITE = "https://example.org"
ASKING = {"model": "tiny", "voice": "babble", "input": "Hello there.", "seed": 1}


def test_fields_that_are_unknown_are_ignored_and_named(server: Any) -> None:
    """Of Kokoro-FastAPI, of OpenAI's newer clients; null is what was left out."""
    plain = server.speak(response_format="wav")
    assert "x-uslm-ignored" not in plain.headers
    answer = server.speak(
        response_format="WAV", stream=True, lang_code="a", speed=None, seed=1, volume_multiplier=1,
        instructions=None, temperature=None, **{"bad\r\nname: x": 1},
    )  # fmt: skip
    assert answer.content == plain.content
    assert answer.headers["x-uslm-ignored"] == "stream, volume_multiplier"


@pytest.mark.parametrize("code", ["en", "en_US", "EN-gb", "b"])
def test_the_language_may_be_said_if_the_model_speaks_it(server: Any, code: str) -> None:
    assert server.speak(lang_code=code).status_code == 200


def test_a_strict_server_refuses_them(serve: Any) -> None:
    with serve(strict=True) as running:
        refused = running.speak(colour="red")
        assert refused.status_code == 400
        error = refused.json()["error"]
        assert (error["param"], error["code"]) == ("colour", "unknown_field")
        assert running.speak(speed=None).status_code == 200


def test_dated_names_of_models_mean_the_same(server: Any) -> None:
    client = openai.OpenAI(api_key="anything", base_url=f"{server.url}/v1", max_retries=0)
    for model in ("gpt-4o-mini-tts-2025-12-15", "tts-1"):
        assert client.audio.speech.create(model=model, voice="babble", input="Hello.").content
    with pytest.raises(openai.NotFoundError):
        client.audio.speech.create(model="gpt-9-2025-12-15", voice="babble", input="Hello.")


def test_events_say_when_each_word_is_spoken(server: Any, alone: ZeroShotTTS) -> None:
    asked = {"input": TEXT, "response_format": "wav", "stream_format": "sse", "speed": 0.5}
    events = [
        json.loads(part.removeprefix("data: "))
        for part in server.speak(**asked, words=True).text.split("\n\n")
        if part
    ]
    kinds = {"speech.audio.delta", "speech.words", "speech.audio.done"}
    assert {event["type"] for event in events} == kinds
    words = [w for event in events if event["type"] == "speech.words" for w in event["words"]]
    assert [word["text"] for word in words] == TEXT.split()
    times = [time for word in words for time in (word["start"], word["end"])]
    data = b"".join(base64.b64decode(event["audio"]) for event in events if "audio" in event)
    seconds = len(np.frombuffer(data[44:], "<i2")) / 16_000
    assert times == sorted(times) and 0 <= times[0] < times[-1] <= seconds
    plain = server.speak(**asked).text
    assert "speech.words" not in plain and '"audio"' in plain


def preflight(running: Any, origin: str) -> httpx2.Response:
    headers = {
        "Origin": origin,
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "content-type,authorization",
    }
    return running.client.options("/v1/audio/speech", headers=headers)


def test_pages_of_allowed_sites_may_ask(serve: Any) -> None:
    from_site = {"Origin": SITE, "Sec-Fetch-Site": "cross-site"}
    with serve(allowed_origins=(SITE,)) as running:
        allowed = preflight(running, SITE)
        assert allowed.status_code == 200
        assert allowed.headers["access-control-allow-origin"] == SITE
        assert preflight(running, "https://evil.example").status_code == 400
        answer = running.client.post("/v1/audio/speech", json=ASKING, headers=from_site)
        assert answer.status_code == 200
        assert answer.headers["access-control-allow-origin"] == SITE
        assert "X-Uslm-Seed" in answer.headers["access-control-expose-headers"]
        for origin in ("https://evil.example", f"{SITE}.evil.example", "null"):
            other = {**from_site, "Origin": origin}
            refused = running.client.post("/v1/audio/speech", json=ASKING, headers=other)
            assert refused.status_code == 403
            assert "access-control-allow-origin" not in refused.headers


def test_no_site_may_ask_unless_it_is_allowed(server: Any) -> None:
    assert preflight(server, SITE).status_code >= 400
    headers = {"Origin": SITE}
    assert server.client.post("/v1/audio/speech", json=ASKING, headers=headers).status_code == 403


def test_an_allowed_site_still_needs_the_token(serve: Any) -> None:
    with serve(allowed_origins=(SITE,), token="a" * 20) as running:
        assert preflight(running, SITE).status_code == 200
        answer = httpx2.post(
            f"{running.url}/v1/audio/speech", json=ASKING, headers={"Origin": SITE}
        )
        assert answer.status_code == 401
        assert answer.headers["access-control-allow-origin"] == SITE


def test_the_page_asks_this_server_alone(server: Any) -> None:
    page = server.client.get("/")
    assert page.status_code == 200 and page.headers["content-type"].startswith("text/html")
    assert page.headers.get_list("content-security-policy") == [POLICY]
    assert "default-src 'none'" in POLICY and "unsafe-eval" not in POLICY
    script = server.client.get("/try.js")
    assert script.headers["content-type"].startswith("text/javascript")
    for text in (page.text, script.text):
        assert not re.search(r"https?://", text)
    assert "'none'; style-src" in script.headers["content-security-policy"]


def test_the_page_is_shown_before_the_token_is_known(serve: Any) -> None:
    with serve(token="b" * 20) as running:
        anybody = httpx2.Client(base_url=running.url)
        assert anybody.get("/").status_code == 200
        assert anybody.get("/try.js").status_code == 200
        assert anybody.get("/docs").status_code == 401
        assert anybody.get("/v1/audio/voices").status_code == 401
