"""Voices are kept by name, in one folder that no name leads out of."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from uslm.voices.names import default_folder
from uslm.voices.prompt import VoicePrompt
from uslm.voices.store import VoiceStore
from uslm_tokenizer.errors import ConfigError, MissingResource, UserError


@pytest.fixture
def store(tmp_path: Path) -> VoiceStore:
    return VoiceStore(tmp_path / "voices")


def test_reading_makes_no_folder(store: VoiceStore) -> None:
    assert store.names() == []
    with pytest.raises(MissingResource, match="no voice 'ann'; none is kept"):
        store.load("ann")
    assert not store.folder.exists()


def test_a_kept_voice_comes_back(store: VoiceStore, voice: VoicePrompt) -> None:
    path = store.save(voice)
    assert path == store.path("babble") == store.folder / "babble.safetensors"
    assert torch.equal(store.load("babble").codes, voice.codes)
    store.save(replace(voice, name="Ann-2.b_c"))
    assert store.names() == ["Ann-2.b_c", "babble"]
    with pytest.raises(MissingResource, match="did you mean 'babble'"):
        store.load("bable")
    store.remove("babble")
    assert store.names() == ["Ann-2.b_c"]
    with pytest.raises(MissingResource, match="there are Ann-2"):
        store.remove("babble")


def test_a_voice_is_replaced_only_by_force(store: VoiceStore, voice: VoicePrompt) -> None:
    store.save(voice)
    with pytest.raises(UserError, match="there is a voice 'babble' already"):
        store.save(voice)
    store.save(replace(voice, licence="CC0-1.0"), force=True)
    assert store.load("babble").licence == "CC0-1.0"


def test_the_file_decides_the_name(store: VoiceStore, voice: VoicePrompt) -> None:
    store.save(voice).rename(store.path("cara"))
    assert store.load("cara").name == "cara"


@pytest.mark.parametrize(
    "name",
    ["", ".", "..", "../ann", "/etc/passwd", "a/b", "a\\b", ".hidden", "-x", "_x", "a b", "ann\n",
     "ann\0", "a" * 65, "ännä", "C:ann", "ann.safetensors", "http://x", "~root"],
)  # fmt: skip
def test_what_could_be_a_path_is_no_name(name: str, store: VoiceStore, voice: VoicePrompt) -> None:
    for act in (store.path, store.load, store.remove):
        with pytest.raises(UserError, match=r"name must be 1 to 64"):
            act(name)
    with pytest.raises(UserError, match=r"name must be 1 to 64"):
        store.save(replace(voice, name=name))
    assert not store.folder.exists()


def test_only_voice_files_are_listed(store: VoiceStore, voice: VoicePrompt) -> None:
    store.save(voice)
    (store.folder / "notes.txt").write_text("hello")
    (store.folder / "bad.safetensors").write_text("no voice")
    (store.folder / "folder.safetensors").mkdir()
    (store.folder / ".part.safetensors").write_text("")
    assert store.names() == ["babble", "bad"]
    with pytest.raises(ConfigError, match=r"voice 'bad': .* is not a voice file"):
        store.load("bad")


def test_the_folder_follows_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("USLM_VOICES", raising=False)
    monkeypatch.setenv("XDG_DATA_HOME", "/data")
    assert default_folder() == Path("/data/uslm/voices")
    monkeypatch.setenv("XDG_DATA_HOME", "not/absolute")
    monkeypatch.setenv("HOME", "/home/ann")
    monkeypatch.setattr(sys, "platform", "linux")
    assert default_folder() == Path("/home/ann/.local/share/uslm/voices")
    monkeypatch.setattr(sys, "platform", "darwin")
    assert default_folder() == Path("/home/ann/Library/Application Support/uslm/voices")
    monkeypatch.setenv("USLM_VOICES", "/my/voices")
    assert VoiceStore().folder == Path("/my/voices")


def test_a_voice_can_get_another_name(store: VoiceStore, voice: VoicePrompt) -> None:
    store.save(voice)
    store.save(replace(voice, name="ann"))
    with pytest.raises(UserError, match="there is a voice 'ann' already"):
        store.rename("babble", "ann")
    with pytest.raises(MissingResource, match="no voice 'bob'"):
        store.rename("bob", "cara")
    assert store.rename("babble", "cara") == store.path("cara")
    assert store.names() == ["ann", "cara"]
    assert store.load("cara").name == "cara"
