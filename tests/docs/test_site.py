"""The documentation site: it is built without a warning, and needs nothing from elsewhere."""

from __future__ import annotations

import html
import os
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LOADED = {"script": "src", "img": "src", "iframe": "src", "source": "src", "link": "href"}
"""What a browser loads by itself, not only when it is clicked."""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", folder]
    # Without the theme's word about its successor.
    environment = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    result = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert (result.returncode, result.stdout + result.stderr) == (0, "")
    return folder


class Loaded(HTMLParser):
    """Collects the addresses that a page loads."""

    def __init__(self) -> None:
        super().__init__()
        self.addresses: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        value = dict(attrs).get(LOADED.get(tag, ""))
        self.addresses += [value] if value else []


def test_pages_load_nothing_from_elsewhere(site: Path) -> None:
    pages = sorted(site.rglob("*.html"))
    assert len(pages) > 20
    for page in pages:
        found = Loaded()
        found.feed(page.read_text("utf-8"))
        assert found.addresses
        assert not [each for each in found.addresses if "//" in each], page.name
    for sheet in site.rglob("*.css"):
        assert not re.search(r"(url\(|@import)\s*[\"']?(https?:)?//", sheet.read_text("utf-8"))


def test_shapes_can_be_read(site: Path) -> None:
    page = (site / "reference" / "tokenizers.html").read_text("utf-8")
    text = html.unescape(re.sub("<[^>]*>", "", page))
    assert 'Float[Tensor, "b 1 n"]' in text and 'Int[Tensor, "b k t"]' in text


def test_the_drawing_is_for_light_and_dark() -> None:
    drawing = (ROOT / "docs" / "architecture.svg").read_text("utf-8")
    assert "prefers-color-scheme: dark" in drawing and "<title" in drawing and "<desc" in drawing
