"""Whose voices a visitor sees."""

from __future__ import annotations

import gc
from pathlib import Path

from uslm.voices.prompt import VoicePrompt
from uslm.voices.store import VoiceStore
from uslm_demo.shelf import Shelf


def test_one_folder_for_all(tmp_path: Path, voice: VoicePrompt) -> None:
    shelf = Shelf(VoiceStore(tmp_path))
    assert shelf.is_shared
    shelf.store("one").save(voice)
    assert shelf.store("two").names() == ["anna"]
    shelf.leave("one")
    assert shelf.store("two").names() == ["anna"]


def test_each_visitor_his_own(voice: VoicePrompt) -> None:
    shelf = Shelf(None)
    assert not shelf.is_shared
    path = shelf.store("../one").save(voice)
    assert ".." not in path.parts
    assert shelf.store("../one").names() == ["anna"]
    assert shelf.store("two").names() == []
    assert shelf.store(None).names() == []
    shelf.leave("../one")
    assert not path.exists()
    root = shelf.store("two").save(voice).parents[1]
    del shelf
    gc.collect()
    assert not root.exists()
