"""A file is the one that was pinned, or else the one that first came; and people are told."""

from __future__ import annotations

import hashlib
import json
import logging
from pathlib import Path

import pytest

from uslm_tokenizer.errors import ConfigError, EnvironmentProblem, MissingResource
from uslm_tokenizer.pretrained import first_seen, pins
from uslm_tokenizer.pretrained import source as sources
from uslm_tokenizer.pretrained.catalogue import Catalogue, System
from uslm_tokenizer.pretrained.download import fetch
from uslm_tokenizer.pretrained.first_seen import expected, pin_of, record_path
from uslm_tokenizer.pretrained.source import HubFile, WebFile
from uslm_tokenizer.pretrained.store import Store
from uslm_tokenizer.pretrained.testing import HubServer

LARGE, OTHER = b"a" * 5000, b"b" * 5000
SMALL = b"{}"
WEIGHTS = HubFile(repo="some/model", path="weights.pt")
CONFIG = HubFile(repo="some/model", path="config.json")


@pytest.fixture(autouse=True)
def repository(hub: HubServer) -> None:
    hub.repos["some/model"] = {WEIGHTS.path: LARGE, CONFIG.path: SMALL}


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


@pytest.mark.parametrize(("file", "content"), [(WEIGHTS, LARGE), (CONFIG, SMALL)])
def test_the_first_download_is_recorded_and_told(
    file: HubFile, content: bytes, hub: HubServer, caplog: pytest.LogCaptureFixture
) -> None:
    assert expected(file) is None
    with caplog.at_level(logging.WARNING):
        fetch(file), fetch(file)
    (message,) = caplog.messages  # once
    assert (
        file.address in message and "is not pinned" in message and sha256(content)[:16] in message
    )
    record = json.loads(record_path(file).read_text("utf-8"))
    assert record["sha256"] == expected(file) == sha256(content)
    assert record["address"] == file.address and record["commit"] == hub.commit("some/model")


@pytest.mark.parametrize("file", [WEIGHTS, CONFIG])
def test_another_file_than_the_first_is_refused(file: HubFile, hub: HubServer) -> None:
    fetch(file)
    sources.remove(WEIGHTS), sources.remove(CONFIG)  # the record outlives them
    hub.repos["some/model"][file.path] = OTHER if file is WEIGHTS else b"[]"
    hub.asked.clear()
    for _ in range(2):
        with pytest.raises(EnvironmentProblem, match="is not the file that first came") as refused:
            fetch(file)
        assert sources.cached(file) is None
    assert not [line for line in hub.asked if "GET /cdn/" in line]  # nothing large was fetched
    path = record_path(file)
    assert str(path) in str(refused.value)
    path.unlink()  # as it says
    assert fetch(file).is_file()


def test_what_another_program_puts_into_the_cache_is_noticed(hub: HubServer) -> None:
    """`main` of the cache may be moved on by any program that uses the Hub."""
    first = fetch(WEIGHTS)
    hub.repos["some/model"][WEIGHTS.path] = OTHER
    from huggingface_hub import hf_hub_download

    second = Path(hf_hub_download("some/model", WEIGHTS.path))
    assert second != first and sources.cached(WEIGHTS) == second
    with pytest.raises(EnvironmentProblem, match="is not the file that first came"):
        fetch(WEIGHTS)


@pytest.mark.parametrize(("file", "content"), [(WEIGHTS, LARGE), (CONFIG, SMALL)])
def test_a_pinned_hash_is_held(
    file: HubFile, content: bytes, hub: HubServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(pins.SHA256, file.address, sha256(b"what was published"))
    assert pin_of(file) == "sha256"
    with pytest.raises(EnvironmentProblem, match="is not the pinned file: its SHA-256 is"):
        fetch(file)
    assert sources.cached(file) is None and not record_path(file).exists()
    monkeypatch.setitem(pins.SHA256, file.address, sha256(content))
    assert fetch(file).read_bytes() == content


def test_a_web_files_whole_hash_is_held(hub: HubServer, monkeypatch: pytest.MonkeyPatch) -> None:
    file = WebFile(url=f"{hub.endpoint}/cdn/{sha256(LARGE)}", sha256=sha256(LARGE)[:8])
    monkeypatch.setattr(first_seen, "SMALL", 0)  # as if it were large
    monkeypatch.setitem(pins.SHA256, file.address, sha256(LARGE)[:8] + "0" * 56)
    with pytest.raises(EnvironmentProblem, match="is not the pinned file"):
        fetch(file)
    assert sources.cached(file) is None


def test_a_pinned_commit_is_the_one_that_comes(
    hub: HubServer, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    named = WEIGHTS.identity
    monkeypatch.setitem(pins.COMMITS, "some/model", hub.commit("some/model"))
    assert pin_of(WEIGHTS) == "commit" and WEIGHTS.identity == named  # conversions are found
    assert fetch(WEIGHTS).is_file() and not caplog.messages
    assert {line.split("/")[4] for line in hub.asked if "/resolve/" in line} == {
        hub.commit("some/model")
    }
    monkeypatch.setitem(pins.COMMITS, "some/model", "0" * 40)
    assert sources.cached(WEIGHTS) is None
    with pytest.raises(MissingResource, match="the Hub does not give"):
        fetch(WEIGHTS)


def test_verifying_tells_changed_from_damaged(monkeypatch: pytest.MonkeyPatch) -> None:
    systems = {"it": System(title="it", kind="tokenizer", ready=(WEIGHTS, CONFIG))}
    store = Store(catalogue=Catalogue(systems=systems, key_mappings={}))
    store.download("it")
    assert set(store.check("it").values()) == {"ok"}
    monkeypatch.setitem(pins.SHA256, CONFIG.address, sha256(OTHER))
    assert store.check("it") == {WEIGHTS: "ok", CONFIG: "changed"}


def test_a_cache_that_cannot_be_written_is_used(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr(first_seen, "write_atomically", refuse)
    assert fetch(WEIGHTS).is_file()
    assert "could not be recorded" in caplog.text


def test_a_record_that_is_none_is_said(hub: HubServer) -> None:
    fetch(WEIGHTS)
    record_path(WEIGHTS).write_text("[]", "utf-8")
    with pytest.raises(ConfigError, match="must hold a mapping"):
        fetch(WEIGHTS)
    record_path(WEIGHTS).write_text("{}", "utf-8")
    with pytest.raises(ConfigError, match="must have the key 'sha256'"):
        fetch(WEIGHTS)
