"""A Hub of our own, and an empty cache."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from uslm_tokenizer.pretrained.testing import HubServer, isolated_hub


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[HubServer]:
    """Every download of the test goes there, and into a cache of its own."""
    with isolated_hub(tmp_path) as server:
        yield server
