"""Files come once, whole and checked; what broke off goes on; what is cached asks no network."""

from __future__ import annotations

import hashlib
import socket
from pathlib import Path

import pytest
from huggingface_hub import constants

from uslm_tokenizer.errors import EnvironmentProblem, MissingResource
from uslm_tokenizer.pretrained import source as sources
from uslm_tokenizer.pretrained.download import _download, fetch
from uslm_tokenizer.pretrained.source import HandFile, HubFile, WebFile
from uslm_tokenizer.pretrained.testing import HubServer, etag_of

LARGE = bytes(range(256)) * 40
SMALL = b'{"n_q": 8}'
WEIGHTS = HubFile(repo="fnlp/USLM", path="USLM_libritts/USLM.pt")
CONFIG = HubFile(repo="fnlp/USLM", path="USLM_libritts/config.json")


@pytest.fixture(autouse=True)
def repository(hub: HubServer) -> None:
    hub.repos["fnlp/USLM"] = {WEIGHTS.path: LARGE, CONFIG.path: SMALL}


@pytest.fixture
def no_sockets(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a socket was opened")

    monkeypatch.setattr(socket, "socket", refuse)


def test_a_file_lies_where_the_hub_keeps_it(hub: HubServer, tmp_path: Path) -> None:
    path = fetch(WEIGHTS)
    assert path.read_bytes() == LARGE
    snapshot = tmp_path / "hub/models--fnlp--USLM/snapshots" / hub.commit("fnlp/USLM")
    assert path == snapshot / WEIGHTS.path
    assert path.resolve().name == hashlib.sha256(LARGE).hexdigest()
    assert sources.commit_of(WEIGHTS) == hub.commit("fnlp/USLM")
    assert fetch(CONFIG).read_bytes() == SMALL


def test_what_is_cached_asks_no_network(hub: HubServer, request: pytest.FixtureRequest) -> None:
    pinned = HubFile(repo="fnlp/USLM", path=CONFIG.path, revision=hub.commit("fnlp/USLM"))
    fetch(WEIGHTS), fetch(pinned)
    asked = len(hub.asked)
    request.getfixturevalue("no_sockets")
    assert fetch(WEIGHTS).read_bytes() == LARGE and fetch(pinned).read_bytes() == SMALL
    assert len(hub.asked) == asked


@pytest.mark.usefixtures("no_sockets")
@pytest.mark.parametrize("by", ["argument", "environment"])
def test_offline_nothing_is_tried(by: str, monkeypatch: pytest.MonkeyPatch) -> None:
    # Undone here: pytest would undo it after the Hub's fixture, and leave what that had set.
    with monkeypatch.context() as patch:
        patch.setattr(constants, "HF_HUB_OFFLINE", by == "environment")
        with pytest.raises(MissingResource, match=r"USLM\.pt is not in the cache, and we are off"):
            fetch(WEIGHTS, offline=by == "argument")


def test_a_download_that_breaks_goes_on(hub: HubServer) -> None:
    hub.break_after, hub.breaks_left = 4000, 2
    assert fetch(WEIGHTS).read_bytes() == LARGE
    ranges = [line.split()[2] for line in hub.asked if "bytes=" in line]
    assert ranges == ["bytes=4000-", "bytes=8000-"]


def test_another_run_goes_on_where_one_was_interrupted(hub: HubServer) -> None:
    def interrupt(have: int, total: int) -> None:
        assert total == len(LARGE)
        if have >= 4000:
            raise KeyboardInterrupt

    hub.break_after, hub.breaks_left = 4000, 1
    with pytest.raises(KeyboardInterrupt):
        fetch(WEIGHTS, report=interrupt)
    assert sources.cached(WEIGHTS) is None
    hub.asked.clear()
    assert fetch(WEIGHTS).read_bytes() == LARGE
    assert [line.split()[2] for line in hub.asked if "/cdn/" in line] == ["bytes=4000-"]


def test_a_network_that_stays_broken_is_said(hub: HubServer) -> None:
    hub.break_after, hub.breaks_left = 0, 1000
    with pytest.raises(EnvironmentProblem, match="cannot download"):
        fetch(WEIGHTS)


def test_a_damaged_download_is_refused_and_forgotten(hub: HubServer) -> None:
    hub.damage = True
    with pytest.raises(EnvironmentProblem, match=r"came damaged: its hash is .*try again"):
        fetch(WEIGHTS)
    assert sources.check(WEIGHTS) == "missing"
    hub.damage = False
    assert fetch(WEIGHTS).read_bytes() == LARGE


def test_all_files_are_of_one_commit(hub: HubServer) -> None:
    first = fetch(WEIGHTS)
    commit = sources.commit_of(WEIGHTS)
    hub.repos["fnlp/USLM"]["new"] = b"main has moved on"
    with pytest.raises(MissingResource, match="does not give"):  # our server forgets old commits
        fetch(CONFIG)
    assert any(f"resolve/{commit}/" in line for line in hub.asked)
    assert fetch(WEIGHTS) == first


@pytest.mark.parametrize(
    "absent",
    [
        HubFile(repo="fnlp/USLM", path="other.pt"),
        HubFile(repo="fnlp/nonesuch", path="x"),
        HubFile(repo="fnlp/USLM", path=WEIGHTS.path, revision="0" * 40),
    ],
)
def test_what_the_hub_does_not_have_is_missing(absent: HubFile) -> None:
    with pytest.raises(MissingResource, match="the Hub does not give"):
        fetch(absent)


def test_a_server_that_is_down_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    alive = constants.ENDPOINT
    with monkeypatch.context() as patch:
        for name in ("ENDPOINT", "HUGGINGFACE_CO_URL_TEMPLATE"):
            dead = getattr(constants, name).replace(alive, "http://127.0.0.1:9")
            patch.setattr(constants, name, dead)
        with pytest.raises(EnvironmentProblem, match="cannot"):
            fetch(WEIGHTS)


def test_files_from_elsewhere_are_checked_too(hub: HubServer) -> None:
    sha = hashlib.sha256(LARGE).hexdigest()
    url = f"{hub.endpoint}/cdn/{sha}"
    good, bad = WebFile(url=url, sha256=sha[:8]), WebFile(url=url, sha256="0" * 8)
    assert fetch(good).read_bytes() == LARGE and sources.check(good) == "ok"
    with pytest.raises(EnvironmentProblem, match="came damaged"):
        fetch(bad)


def test_what_no_program_may_fetch_is_said() -> None:
    with pytest.raises(MissingResource, match="by hand: https://drive"):
        fetch(HandFile(address="https://drive"))


@pytest.mark.parametrize("file", [WEIGHTS, CONFIG])
def test_a_check_reads_the_file_again(file: HubFile) -> None:
    assert sources.check(file) == "missing"
    path = fetch(file)
    assert sources.check(file) == "ok"
    blob = path.resolve()
    blob.write_bytes(b"?" + blob.read_bytes()[1:])
    assert sources.check(file) == "damaged"


def test_removing_leaves_nothing_behind(tmp_path: Path) -> None:
    fetch(WEIGHTS), fetch(CONFIG)
    assert sources.remove(WEIGHTS) == len(LARGE)
    assert sources.cached(WEIGHTS) is None and sources.cached(CONFIG) is not None
    assert sources.remove(CONFIG) == len(SMALL)
    assert not (tmp_path / "hub/models--fnlp--USLM").exists()
    assert sources.remove(CONFIG) == 0


@pytest.mark.parametrize(
    ("lies", "reported"),
    [
        ({"ETag": '"../../../../escaped"'}, "no hash"),
        ({"ETag": '"/tmp/escaped"'}, "no hash"),
        ({"ETag": '""'}, "no hash"),
        ({"X-Linked-Etag": '"..%2fescaped"'}, "no hash"),
        ({"X-Repo-Commit": "../../../escaped"}, "no hash"),
        ({"Location": "file:///etc/hostname"}, "sends us to 'file:///etc/hostname'"),
        ({"Location": "ftp://127.0.0.1/x"}, "sends us to"),
    ],
)
def test_a_server_that_is_not_the_hub_writes_nothing_elsewhere(
    hub: HubServer, tmp_path: Path, lies: dict[str, str], reported: str
) -> None:
    digest = hashlib.sha256(LARGE).hexdigest()
    elsewhere = hub.endpoint.replace("127.0.0.1", "localhost")
    hub.lies = {"Location": f"{elsewhere}/cdn/{digest}", **lies}
    with pytest.raises(EnvironmentProblem, match=reported):
        fetch(WEIGHTS)
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def test_a_redirect_to_a_file_of_this_machine_is_not_followed(
    hub: HubServer, tmp_path: Path
) -> None:
    secret = tmp_path / "secret"
    secret.write_bytes(LARGE)
    source = WebFile(url=secret.as_uri(), sha256=hashlib.sha256(LARGE).hexdigest())
    with pytest.raises(EnvironmentProblem, match="cannot download"):
        fetch(source)


def test_a_token_stays_with_the_host_that_was_asked(hub: HubServer, tmp_path: Path) -> None:
    content = b"?" * 1000
    hub.repos["a/b"] = {"x": content}
    url = f"{hub.endpoint}/redirected"
    headers = {"Authorization": "Bearer hf_secret"}
    _download(url, tmp_path / "x", etag_of(content), None, headers, lambda have, total: None)
    assert (tmp_path / "x").read_bytes() == content
    assert hub.seen_tokens == ["/redirected Bearer hf_secret"]
