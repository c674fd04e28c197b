"""Blocks that never end fail in time, and leave nothing at work."""

from __future__ import annotations

from typing import Any

import pytest


def test_a_block_without_an_end_fails(desk: Any) -> None:
    desk.seconds = 1
    with pytest.raises(pytest.fail.Exception, match="a page, line 1: not done after 1 s\nbegun"):
        desk.bash("echo begun; sleep 600", "a page, line 1")
    with pytest.raises(pytest.fail.Exception, match="a page, line 2: not done after 1 s"):
        desk.python("while True: pass", "a page, line 2")
    desk.bash("true", "a page, line 3")
