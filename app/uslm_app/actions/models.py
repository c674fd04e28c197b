"""The pretrained models as the commands show them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from uslm.systems.catalogue import CATALOGUE
from uslm_app.cli.console import Console
from uslm_tokenizer.errors import MissingResource, UserError
from uslm_tokenizer.pretrained import source as sources
from uslm_tokenizer.pretrained.first_seen import expected, pin_of
from uslm_tokenizer.pretrained.source import HubFile, Source
from uslm_tokenizer.pretrained.store import Store, checkpoint_of, config_of

STORE = Store(catalogue=CATALOGUE)


def summary(name: str) -> dict[str, Any]:
    """One line of the list."""
    system = CATALOGUE.get(name)
    return {
        "name": name,
        "kind": system.kind,
        "state": STORE.state(name),
        "bytes": STORE.size(name),
        "title": system.title,
    }


def describe(name: str) -> dict[str, Any]:
    """All that is known of a pretrained model without loading it."""
    system = CATALOGUE.get(name)
    return {
        **summary(name),
        **CATALOGUE.licences(name),
        "parts": [part.name for part in system.parts],
        "files": [_describe(source) for source in system.sources],
        "folder": str(folder) if (folder := _folder(name)) else None,
    }


def path(name: str) -> Path:
    """The folder to load. Raises MissingResource if it is not there."""
    folder = _folder(name)
    if folder is None:
        step = "convert" if STORE.state(name) == "downloaded" else "download"
        raise MissingResource(f"{name} is not on this machine; first: uslm models {step} {name}")
    return folder


def given_files(name: str, checkpoints: Sequence[str], config: str | None) -> dict[Source, Path]:
    """Files that stand in for published ones."""
    system = CATALOGUE.get(name)
    files: dict[Source, Path] = {}
    for text in checkpoints:
        part, equals, file = text.partition("=")
        if not equals or Path(text).exists():
            part, file = "", text
        files[checkpoint_of(system, part)] = Path(file)
    if config is not None:
        files[config_of(system)] = Path(config)
    for file_path in files.values():
        if not file_path.exists():
            raise MissingResource(f"no file at {file_path}")
    return files


def refuse_unhealthy(name: str, health: dict[Source, sources.Health]) -> None:
    """Raise if a file is damaged, missing, or not the one that it must be."""

    def are(state: sources.Health) -> list[str]:
        return [source.address for source, found in health.items() if found == state]

    damaged, missing, changed = are("damaged"), are("missing"), are("changed")
    if damaged:
        raise UserError(
            f"{name} is damaged: {', '.join(damaged)}; uslm models remove {name}, and download it"
        )
    if changed:
        raise UserError(
            f"{name} is not what was pinned, or first downloaded: {', '.join(changed)}; "
            f"uslm models remove {name}, and download it"
        )
    if missing:
        raise MissingResource(f"{name} lacks {', '.join(missing)}; uslm models download {name}")


def _folder(name: str) -> Path | None:
    system, state = CATALOGUE.get(name), STORE.state(name)
    if system.ready:
        return sources.require(system.ready[0]).parent if state == "downloaded" else None
    return STORE.converted_folder(name) if state == "converted" else None


def _describe(source: Source) -> dict[str, Any]:
    found = sources.cached(source)
    record: dict[str, Any] = {
        "address": source.address,
        "bytes": found.stat().st_size if found else None,
        "pinned_by": pin_of(source),
        "sha256": expected(source),
    }
    if isinstance(source, HubFile):
        record |= {"pinned": source.commit, "revision": sources.commit_of(source)}
    return record


class DownloadProgress:
    """A bar for each file that is fetched; silent without a tty."""

    def __init__(self, console: Console) -> None:
        self._console, self._source, self._bar = console, None, None  # type: tuple[Console, Any, Any]

    def __call__(self, source: Source, have: int, total: int) -> None:
        """So much of the file is there."""
        if self._console.quiet or not self._console.stderr.isatty():
            return
        if source is not self._source:
            from tqdm import tqdm

            self._close()
            self._source = source
            self._bar = tqdm(
                total=total or None,
                initial=have,
                unit="B",
                unit_scale=True,
                desc=source.address[-40:],
                file=self._console.stderr,
                leave=False,
            )
        self._bar.update(have - self._bar.n)

    def __enter__(self) -> DownloadProgress:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._close()

    def _close(self) -> None:
        if self._bar is not None:
            self._bar.close()
