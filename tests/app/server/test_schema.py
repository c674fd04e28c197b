"""Whatever the server's own description allows, and what it does not: never an error of ours."""

from __future__ import annotations

from typing import Any

import hypothesis
import pytest
import schemathesis
from schemathesis import GenerationMode

ROUTES = [
    ("POST", "/v1/audio/speech"),
    ("GET", "/v1/audio/voices"),
    ("POST", "/v1/audio/voices"),
    ("GET", "/v1/audio/voices/{name}"),
    ("DELETE", "/v1/audio/voices/{name}"),
    ("GET", "/v1/models/{name}"),
]
PLAIN = [("GET", "/v1/models"), ("GET", "/health"), ("GET", "/metrics")]
"""They take nothing that could be wrong."""
BOUNDED = hypothesis.settings(
    max_examples=10,
    suppress_health_check=list(hypothesis.HealthCheck),
    phases=[hypothesis.Phase.explicit, hypothesis.Phase.generate],
)


@pytest.fixture(scope="module")
def description(server: Any) -> Any:
    return schemathesis.openapi.from_url(f"{server.url}/openapi.json")


def test_every_route_is_tried(description: Any) -> None:
    found = [result.ok() for result in description.get_all_operations()]
    assert sorted((each.method.upper(), each.path) for each in found) == sorted(ROUTES + PLAIN)


@pytest.mark.parametrize(
    ("method", "path", "mode"),
    [(*route, GenerationMode.POSITIVE) for route in ROUTES + PLAIN]
    + [(*route, GenerationMode.NEGATIVE) for route in ROUTES],
)
def test_no_request_is_too_odd(
    server: Any, description: Any, method: str, path: str, mode: GenerationMode
) -> None:
    @BOUNDED
    @hypothesis.given(case=description[path][method].as_strategy(generation_mode=mode))
    def send(case: Any) -> None:
        if path == "/v1/audio/speech" and mode is GenerationMode.POSITIVE:
            # Otherwise hardly a request would get as far as the model, or of a syllable alone it
            # might make silence, which breaks a stream off.
            text = f"Hello there. {case.body['input'][:40]}"
            case.body |= {"model": "tiny", "voice": "babble", "input": text}
        answer = case.call()
        assert answer.status_code < 500, answer.text
        if answer.status_code >= 400:
            assert set(answer.json()) == {"error"}
        assert server.voices.names() == ["babble"]

    send()
