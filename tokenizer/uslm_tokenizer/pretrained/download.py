"""Downloads of published files into the Hub's cache; what was interrupted goes on where it was.

huggingface_hub fetches a file from its start again when a program ends in between. So the bytes
are fetched here, in ranges, and the file then handed to huggingface_hub, which knows its cache.
"""

import http.client
import os
import re
import ssl
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from uslm_tokenizer.errors import EnvironmentProblem, MissingResource
from uslm_tokenizer.pretrained.first_seen import confirm, expected, refuse_other
from uslm_tokenizer.pretrained.source import (
    BLOCK,
    MAIN,
    HandFile,
    HubFile,
    Source,
    WebFile,
    asset_path,
    cached,
    digest,
    hash_kind,
    remove,
    repo_folder,
)

Report = Callable[[int, int], None]
"""Called with the bytes that are there, and with all."""

TIMEOUT_SECONDS = 30.0
TRIES = 5
"""Connections that may break, one after the other, without a byte in between."""
PAUSE_SECONDS = 1.0


def fetch(source: Source, *, offline: bool = False, report: Report | None = None) -> Path:
    """Path of the file on this machine, downloaded if it is not there yet.

    A cached file asks nothing of the network. Raises MissingResource if the file is not there
    and may not or cannot be downloaded, EnvironmentProblem if the network fails or gives another
    file than the one that is pinned, or was first seen.
    """
    found = cached(source)
    if found is not None:
        confirm(source, found)
        return found
    from huggingface_hub import constants

    if isinstance(source, HandFile):
        raise MissingResource(f"this file has to be downloaded by hand: {source.address}")
    if offline or constants.HF_HUB_OFFLINE:
        raise MissingResource(
            f"{source.address} is not in the cache, and we are offline (--offline, HF_HUB_OFFLINE)"
        )
    if isinstance(source, WebFile):
        path = asset_path(source)
        _download(source.url, path, source.sha256, None, {}, report or _silent)
    else:
        path = _fetch_from_hub(source, report or _silent)
    try:
        confirm(source, path, has_just_come=True)
    except EnvironmentProblem:
        remove(source)
        raise
    return path


def _fetch_from_hub(source: HubFile, report: Report) -> Path:
    from huggingface_hub import (
        constants,
        get_hf_file_metadata,
        get_token,
        hf_hub_download,
        hf_hub_url,
    )
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError
    from huggingface_hub.utils import WeakFileLock  # type: ignore[attr-defined]

    pinned = source.commit or MAIN
    revision, recorded = pinned, repo_folder(source.repo) / "refs" / pinned
    if pinned == MAIN and recorded.is_file():
        revision = recorded.read_text("utf-8")  # all files of one commit, whatever `main` is now
    url = hf_hub_url(source.repo, source.path, revision=revision)
    try:
        about = get_hf_file_metadata(url)
        etag = _checked(url, about)
        if hash_kind(etag) == "sha256":
            refuse_other(source, etag, expected(source))  # before gigabytes come
        blob = repo_folder(source.repo) / "blobs" / etag
        lock = Path(constants.HF_HUB_CACHE) / ".locks" / repo_folder(source.repo).name
        lock.mkdir(parents=True, exist_ok=True)
        token = get_token()
        own_host = urlsplit(about.location)[:2] == urlsplit(url)[:2]
        headers = {"Authorization": f"Bearer {token}"} if token and own_host else {}
        with WeakFileLock(lock / f"{etag}.lock"):
            _download(about.location, blob, etag, about.size, headers, report)
        # Only links to the blob, as it is there now.
        return Path(hf_hub_download(source.repo, source.path, revision=revision))
    except LocalEntryNotFoundError as problem:
        raise EnvironmentProblem(f"cannot reach the Hub for {source.address}") from problem
    except HfHubHTTPError as problem:
        reason = str(problem).strip().splitlines()[0]
        raise MissingResource(f"the Hub does not give {source.address}: {reason}") from problem
    except Exception as problem:
        # Which package the Hub's client speaks HTTP with changes from version to version.
        package = type(problem).__module__.partition(".")[0]
        if isinstance(problem, OSError) or package in ("httpx", "httpx2", "requests"):
            raise EnvironmentProblem(f"cannot download {source.address}: {problem}") from problem
        raise


def _checked(url: str, about: Any) -> str:
    """The ETag of a file. Raises EnvironmentProblem if the answer is none that the Hub gives.

    What is checked becomes a path in the cache, or is opened; and whoever runs the server may be
    anybody: HF_ENDPOINT names it.
    """
    etag, commit, location = about.etag or "", about.commit_hash or "", about.location
    if hash_kind(etag) is None:
        raise EnvironmentProblem(
            f"{url} gives the ETag {etag[:80]!r}, which is no hash; is this a server of the Hub?"
        )
    if not re.fullmatch("[0-9a-f]{40}", commit):
        raise EnvironmentProblem(
            f"{url} gives the commit {commit[:80]!r}, which is no hash; is this a server of the "
            "Hub?"
        )
    allowed = {"https", urlsplit(url).scheme}
    if urlsplit(location).scheme not in allowed:
        raise EnvironmentProblem(
            f"{url} sends us to {location[:200]!r}; addresses must begin with "
            f"{' or '.join(sorted(allowed))}"
        )
    return etag


def _download(
    url: str, path: Path, expected: str, size: int | None, headers: dict[str, str], report: Report
) -> None:
    """Fetch `url` to `path`, going on with what an earlier try left; `expected` is its hash."""
    if path.is_file():
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f"{path.name}.incomplete")
    left = TRIES
    while True:
        before = partial.stat().st_size if partial.is_file() else 0
        if size is not None and before >= size:
            break
        try:
            if _fetch_range(url, partial, before, headers, report):
                break
        except (OSError, http.client.HTTPException) as problem:
            if isinstance(problem, urllib.error.HTTPError) and problem.code not in (408, 429, 503):
                raise EnvironmentProblem(f"cannot download {url}: {problem}") from problem
            after = partial.stat().st_size if partial.is_file() else 0
            left = TRIES if after > before else left - 1
            if left == 0 or getattr(problem, "errno", None) == 28:  # the disk is full
                raise EnvironmentProblem(f"cannot download {url}: {problem}") from problem
            time.sleep(PAUSE_SECONDS)
    kind = hash_kind(expected) or ("sha256" if len(expected) < 40 else None)
    found = digest(partial, kind) if kind else expected
    if not found.startswith(expected):
        partial.unlink()
        raise EnvironmentProblem(
            f"{url} came damaged: its hash is {found}, but must be {expected}; try again"
        )
    os.replace(partial, path)


def _fetch_range(
    url: str, partial: Path, before: int, headers: dict[str, str], report: Report
) -> bool:
    """Append what follows the first `before` bytes; whether the answer came to its end."""
    asked = {"User-Agent": "uslm", "Accept-Encoding": "identity"}
    if before:
        asked["Range"] = f"bytes={before}-"
    request = urllib.request.Request(url, headers=asked)
    for name, value in headers.items():
        request.add_unredirected_header(name, value)  # a token is for the host that was asked
    try:
        answer = _web().open(request, timeout=TIMEOUT_SECONDS)
    except urllib.error.HTTPError as problem:
        if problem.code == 416 and before:  # more is here than there is: not this file
            partial.unlink()
            return False
        raise
    with answer:
        resumed = answer.status == 206
        have = before if resumed else 0
        length = answer.headers.get("Content-Length")
        total = have + int(length) if length else 0
        with open(partial, "ab" if resumed else "wb") as file:
            report(have, total)
            while block := answer.read(BLOCK):
                file.write(block)
                have += len(block)
                report(have, total)
    if have < total:
        raise http.client.IncompleteRead(b"", total - have)
    return True


def _web() -> urllib.request.OpenerDirector:
    """Opens addresses of the web, and no files of this machine, wherever a server sends us."""
    opener = urllib.request.OpenerDirector()
    for handler in (
        urllib.request.ProxyHandler(),
        urllib.request.HTTPHandler(),
        urllib.request.HTTPSHandler(context=_certificates()),
        urllib.request.HTTPRedirectHandler(),
        urllib.request.HTTPDefaultErrorHandler(),
        urllib.request.HTTPErrorProcessor(),
        urllib.request.UnknownHandler(),
    ):
        opener.add_handler(handler)
    return opener


def _certificates() -> ssl.SSLContext:
    try:
        import certifi
    except ImportError:
        return ssl.create_default_context()
    return ssl.create_default_context(cafile=certifi.where())


def _silent(have: int, total: int) -> None:
    pass
