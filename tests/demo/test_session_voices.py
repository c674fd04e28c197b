"""Whose voices a visitor sees."""

from __future__ import annotations

import gc
from pathlib import Path

from uslm.voices.prompt import VoicePrompt
from uslm.voices.store import VoiceStore
from uslm_demo.session_voices import SessionVoices


def test_one_folder_for_all(tmp_path: Path, voice: VoicePrompt) -> None:
    session_voices = SessionVoices(VoiceStore(tmp_path))
    assert session_voices.is_shared
    session_voices.store("one").save(voice)
    assert session_voices.store("two").names() == ["anna"]
    session_voices.leave("one")
    assert session_voices.store("two").names() == ["anna"]


def test_each_visitor_his_own(voice: VoicePrompt) -> None:
    session_voices = SessionVoices(None)
    assert not session_voices.is_shared
    path = session_voices.store("../one").save(voice)
    assert ".." not in path.parts
    assert session_voices.store("../one").names() == ["anna"]
    assert session_voices.store("two").names() == []
    assert session_voices.store(None).names() == []
    session_voices.leave("../one")
    assert not path.exists()
    root = session_voices.store("two").save(voice).parents[1]
    del session_voices
    gc.collect()
    assert not root.exists()
