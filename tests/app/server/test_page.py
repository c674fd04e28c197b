"""The server's page in a real browser: it lists the voices, speaks, and says what is wrong."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

pytestmark = pytest.mark.browser
PATIENCE_MS = 60_000
TOKEN = "c" * 20


@pytest.fixture
def tab(browser: Any) -> Iterator[Any]:
    """A tab; whatever its page complains of fails the test."""
    page = browser.new_page(viewport={"width": 390, "height": 844})
    page.set_default_timeout(PATIENCE_MS)
    problems: list[str] = []
    page.on("pageerror", lambda error: problems.append(str(error)))
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    yield page, asked
    page.close()
    assert problems == []


def seconds_played(page: Any) -> float:
    """Length of the sound that the page plays, once it has one."""
    page.get_by_text("Seed ").wait_for()
    for _ in range(200):
        seconds = page.evaluate("document.getElementById('player').duration || 0")
        if seconds:
            return float(seconds)
        page.wait_for_timeout(50)
    raise AssertionError("the page plays nothing")


def test_it_speaks(server: Any, tab: Any) -> None:
    page, asked = tab
    page.goto(server.url)
    page.locator("#voice option").nth(1).wait_for(state="attached")
    assert page.locator("#speak").bounding_box()["y"] < 844  # on the first screen of a phone
    page.select_option("#voice", "babble")
    page.fill("#text", "It's a short one.")
    assert "'\\''s a short one" in page.inner_text("#command")
    page.press("#text", "Control+Enter")
    assert seconds_played(page) > 0.1
    assert page.inner_text("#status").startswith("Seed ")
    assert all(url.startswith((server.url, "blob:")) for url in asked)


def test_what_is_wrong_is_said(server: Any, tab: Any) -> None:
    page, _ = tab
    page.goto(server.url)
    page.locator("#voice option").nth(1).wait_for(state="attached")
    page.fill("#text", "...")
    page.click("#speak")
    page.get_by_text("It did not work").wait_for()
    assert "something to say" in page.inner_text("#status")


def test_it_asks_for_the_token(serve: Any, tab: Any) -> None:
    page, _ = tab
    with serve(token=TOKEN) as running:
        page.goto(running.url)
        page.wait_for_selector("#token", state="visible")
        page.fill("#token", TOKEN)
        page.press("#token", "Tab")
        page.locator("#voice option").nth(1).wait_for(state="attached")
        assert TOKEN not in page.inner_text("#command")
        page.select_option("#voice", "babble")
        page.click("#speak")
        assert seconds_played(page) > 0.1
