"""The page for browsers, exported once, and served as any folder of files is."""

from __future__ import annotations

import os
import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from uslm_app.browser import site as site_module
from uslm_app.browser.npm_packages import fetch_packages


class Quiet(SimpleHTTPRequestHandler):
    """A server of files that writes no log."""

    def log_message(self, format: str, *arguments: Any) -> None:
        pass


@contextmanager
def _serving(folder: Path) -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder)))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture(scope="session")
def serving() -> Callable[[Path], AbstractContextManager[str]]:
    """The address of a folder, while it is served."""
    return _serving


@pytest.fixture(scope="module")
def vendor(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Files of the npm packages; on CI a missing npm is a failure."""
    if shutil.which("npm") is None:
        message = "needs npm, of Node.js"
        pytest.fail(message) if os.environ.get("CI") else pytest.skip(message)
    folder = tmp_path_factory.mktemp("npm")
    fetch_packages(folder)
    return folder


@pytest.fixture(scope="module")
def exported(vendor: Path) -> Iterator[Callable[..., Path]]:
    """`write_site`, which takes the packages from where they are."""

    def copy(folder: Path) -> None:
        shutil.copytree(vendor, folder)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(site_module, "fetch_packages", copy)
        yield site_module.write_site


@pytest.fixture
def open_page(browser: Any) -> Iterator[Callable[[str], Any]]:
    """Opens an address; in the end nothing came from elsewhere, and no script failed."""
    contexts, requests, failures = [], [], []

    def visit(address: str, **options: Any) -> Any:
        context = browser.new_context(accept_downloads=True, **options)
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(120_000)
        page.on("request", lambda request: requests.append(request.url))
        page.on("pageerror", lambda error: failures.append(str(error)))
        page.on("console", lambda said: failures.append(said.text) if said.type == "error" else 0)
        page.goto(address)
        return page

    yield visit
    for context in contexts:
        context.close()
    assert [url for url in requests if not url.startswith(("http://127.0.0.1:", "blob:"))] == []
    assert failures == []
