"""A server on this machine that speaks as much of the Hub's protocol as downloads need."""

import hashlib
import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any
from unittest.mock import patch
from urllib.parse import unquote

from huggingface_hub import constants

from uslm_tokenizer.pretrained import download, pins

LARGE = 1000
"""Bytes from which a file counts as large: kept elsewhere, and known by its SHA-256."""


@dataclass
class HubServer:
    """Repositories in memory; what was asked is kept, and connections can be made to break."""

    repos: dict[str, dict[str, bytes]] = field(default_factory=dict)
    """Content of each file, by repository and path."""
    commits: dict[str, str] = field(default_factory=dict)
    """Of repositories whose commit is not to follow from what they hold."""
    asked: list[str] = field(default_factory=list)
    """Method, path and range of each request."""
    break_after: int | None = None
    """Bytes of content after which a connection ends ..."""
    breaks_left: int = 0
    """... so many times."""
    damage: bool = False
    """Whether large files come with a wrong byte."""
    lies: dict[str, str] = field(default_factory=dict)
    """Headers that answers about files have in place of true ones."""
    seen_tokens: list[str] = field(default_factory=list)
    """Path and token of each request that showed one."""
    endpoint: str = ""

    def commit(self, repo: str) -> str:
        """Of what the repository holds now."""
        if repo in self.commits:
            return self.commits[repo]
        return hashlib.sha1(repr(sorted(self.repos[repo].items())).encode()).hexdigest()


def etag_of(content: bytes) -> str:
    """As the Hub knows a file: SHA-256 of a large one, Git's hash of a small one."""
    if len(content) >= LARGE:
        return hashlib.sha256(content).hexdigest()
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


@contextmanager
def serve() -> Iterator[HubServer]:
    """A server that runs as long as the context is open."""
    state = HubServer()

    class Handler(_Handler):
        server_state = state

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        state.endpoint = f"http://127.0.0.1:{server.server_address[1]}"
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield state
        finally:
            server.shutdown()
            thread.join()


@contextmanager
def isolated_hub(folder: Path) -> Iterator[HubServer]:
    """Such a server in place of the Hub, and caches of its own below `folder`.

    What stands in for a published file is another one: pins are forgotten meanwhile.
    """
    with serve() as server:
        settings: dict[str, Any] = {
            "ENDPOINT": server.endpoint,
            "HUGGINGFACE_CO_URL_TEMPLATE": server.endpoint
            + "/{repo_id}/resolve/{revision}/{filename}",
            "HF_HUB_OFFLINE": False,
            "HF_HUB_CACHE": str(folder / "hub"),
            "HF_ASSETS_CACHE": str(folder / "assets"),
        }
        with (
            patch.multiple(constants, **settings),
            patch.object(download, "PAUSE_SECONDS", 0.0),
            patch.dict(pins.COMMITS, clear=True),
            patch.dict(pins.SHA256, clear=True),
        ):
            yield server


def forget_pins() -> None:
    """For programs that are to work with such a server."""
    pins.COMMITS.clear()
    pins.SHA256.clear()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.0"  # a connection an answer: breaking one is simple
    server_state: HubServer

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        state, path = self.server_state, unquote(self.path).partition("?")[0]
        wanted = self.headers.get("Range", "")
        state.asked.append(" ".join(filter(None, [self.command, path, wanted])))
        if token := self.headers.get("Authorization"):
            state.seen_tokens.append(f"{path} {token}")
        if path == "/redirected":
            elsewhere = state.endpoint.replace("127.0.0.1", "localhost")
            return self._send(302, b"", {"Location": f"{elsewhere}/cdn/{etag_of(b'?' * LARGE)}"})
        if found := re.fullmatch(r"/cdn/([0-9a-f]{64})", path):
            contents = [c for files in state.repos.values() for c in files.values()]
            (content,) = {c for c in contents if etag_of(c) == found[1]}
            return self._send(200, content, {})
        if found := re.fullmatch(r"/([\w.-]+/[\w.-]+)/resolve/([^/]+)/(.+)", path):
            return self._resolve(*found.groups())
        if found := re.fullmatch(r"/api/models/([\w.-]+/[\w.-]+)/(revision|tree)/([^/]+)/?", path):
            return self._describe(*found.groups())
        return self._refuse("RepoNotFound")

    def _resolve(self, repo: str, revision: str, path: str) -> None:
        state = self.server_state
        if repo not in state.repos:
            return self._refuse("RepoNotFound")
        commit = state.commit(repo)
        if revision not in ("main", commit):
            return self._refuse("RevisionNotFound")
        content = state.repos[repo].get(path)
        if content is None:
            return self._refuse("EntryNotFound", {"X-Repo-Commit": commit})
        etag = etag_of(content)
        headers = {"X-Repo-Commit": commit, "ETag": f'"{etag}"'}
        if state.lies:
            return self._send(302, b"", {**headers, **state.lies})
        if len(content) < LARGE:
            return self._send(200, content, headers)
        headers |= {"X-Linked-Etag": f'"{etag}"', "X-Linked-Size": str(len(content))}
        elsewhere = state.endpoint.replace("127.0.0.1", "localhost")  # as the Hub's large files are
        return self._send(302, b"", {**headers, "Location": f"{elsewhere}/cdn/{etag}"})

    def _describe(self, repo: str, what: str, revision: str) -> None:
        state = self.server_state
        if repo not in state.repos:
            return self._refuse("RepoNotFound")
        files = state.repos[repo]
        answer: Any = {
            "id": repo,
            "sha": state.commit(repo),
            "siblings": [{"rfilename": path} for path in files],
        }
        if what == "tree":
            answer = [
                {"type": "file", "path": path, "size": len(content), "oid": etag_of(content)[:40]}
                for path, content in files.items()
            ]
        return self._send(200, json.dumps(answer).encode(), {"Content-Type": "application/json"})

    def _refuse(self, code: str, headers: dict[str, str] | None = None) -> None:
        self._send(404, b"", {"X-Error-Code": code, "X-Error-Message": code, **(headers or {})})

    def _send(self, status: int, content: bytes, headers: dict[str, str]) -> None:
        state = self.server_state
        wanted = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        if wanted and status == 200:
            start, whole = int(wanted[1]), len(content)
            if start >= whole:
                status, content = 416, b""
            else:
                status, content = 206, content[start:]
                headers["Content-Range"] = f"bytes {start}-{whole - 1}/{whole}"
        if state.damage and len(content) >= LARGE:
            content = content[:-1] + bytes([content[-1] ^ 1])
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(content))}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "HEAD":
            return
        cut = state.break_after
        if cut is not None and len(content) > cut and state.breaks_left > 0:
            state.breaks_left -= 1
            content = content[:cut]
        self.wfile.write(content)

    def log_message(self, format: str, *arguments: Any) -> None:
        pass
