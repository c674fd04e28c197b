"""The pretrained models of this machine: downloaded, checked, converted, found again, removed."""

import json
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch

from uslm_tokenizer.errors import EnvironmentProblem, MissingResource, UserError
from uslm_tokenizer.json_files import check_format, read_mapping
from uslm_tokenizer.pretrained import source as sources
from uslm_tokenizer.pretrained.catalogue import Catalogue, System, Weights
from uslm_tokenizer.pretrained.download import fetch
from uslm_tokenizer.pretrained.earlier import EARLIER
from uslm_tokenizer.pretrained.first_seen import expected
from uslm_tokenizer.pretrained.source import HandFile, HubFile, Source
from uslm_tokenizer.renames import stored_file
from uslm_tokenizer.whole_files import hidden_beside

FORMAT = 1
RECORD = "pretrained.json"
"""In every folder that a conversion writes: what it was made of."""

MAX_NAME_CHARS = 100
"""Of a system, as a record names it."""

State = Literal["converted", "downloaded", "partly downloaded", "absent"]
Report = Callable[[Source, int, int], None]
"""Called with a file, its bytes that are there, and all."""


@dataclass(frozen=True, kw_only=True)
class Store:
    """The models of a catalogue on this machine."""

    catalogue: Catalogue

    def state(self, name: str) -> State:
        """State of a system: how much of it is there."""
        system = self.catalogue.get(name)
        if not system.ready and stored_file(self.converted_folder(name), RECORD).is_file():
            return "converted"
        there = [sources.cached(source) is not None for source in system.sources]
        if there and all(there):
            return "downloaded"
        return "partly downloaded" if any(there) else "absent"

    def size(self, name: str) -> int:
        """Bytes of it on this machine, published files and conversion."""
        paths = [sources.cached(source) for source in self.catalogue.get(name).sources]
        folder = self.converted_folder(name)
        written = [path for path in folder.rglob("*") if path.is_file()] if folder.is_dir() else []
        return sum(path.stat().st_size for path in [*paths, *written] if path is not None)

    def converted_folder(self, name: str) -> Path:
        """Folder that its conversion is kept in, if there is one."""
        wanted = f"{name}-{self.catalogue.get(name).fingerprint}"
        folder = sources.assets_folder("models", wanted)
        earlier = sources.assets_folder("models", EARLIER.get(wanted, wanted))
        return earlier if stored_file(earlier, RECORD).is_file() and not folder.exists() else folder

    def download(
        self,
        name: str,
        *,
        offline: bool = False,
        report: Report | None = None,
        files: Mapping[Source, Path] | None = None,
    ) -> list[Path]:
        """All its files, fetched as far as they are not there yet and `files` have no other."""
        return [
            fetch(source, offline=offline, report=_about(source, report))
            for source in self.catalogue.get(name).sources
            if source not in (files or {})
        ]

    def folder(self, name: str, *, offline: bool = False, report: Report | None = None) -> Path:
        """A folder that loads: downloaded and converted first where that is still to do."""
        system = self.catalogue.get(name)
        if system.ready:
            return self.download(name, offline=offline, report=report)[0].parent
        folder = self.converted_folder(name)
        if not stored_file(folder, RECORD).is_file():
            self.download(name, offline=offline, report=report)
            self.convert(name, folder)
        return folder

    def convert(
        self,
        name: str,
        folder: Path | None = None,
        *,
        files: Mapping[Source, Path] | None = None,
        force: bool = False,
        dtype: torch.dtype | None = None,
    ) -> Path:
        """Write it in our format, whole or not at all; `files` stand in for pretrained ones.

        Raises MissingResource if a file is not there, CheckpointError if one is not what it
        should be.
        """
        from uslm_tokenizer.pretrained.build import build_part

        system, given = self.catalogue.get(name), files or {}
        if system.ready:
            raise UserError(f"{name} needs no conversion: its published folder is used as it is")
        kept = folder is None
        folder = folder or self.converted_folder(name)
        if folder.exists() and not force:
            raise UserError(f"{folder} is there already; --force replaces it")
        if folder.exists() and not stored_file(folder, RECORD).is_file():
            raise UserError(f"{folder} holds something else than a conversion; it is not replaced")

        def locate(source: Source) -> Path:
            return given[source] if source in given else self._require(name, source)

        for source in system.sources:
            locate(source)
        _check_room(folder, sum(locate(source).stat().st_size for source in system.sources))
        with _whole_or_not(folder, replace=force or kept) as staging:
            for part in system.parts:
                place = staging / part.name if system.kind == "speech" else staging
                build_part(self.catalogue, part, locate).save_pretrained(place, dtype=dtype)
            for target, source in system.files.items():
                shutil.copyfile(locate(source), staging / target)
            record = {
                "format": FORMAT,
                "system": name,
                "sources": [_describe(source, given) for source in system.sources],
            }
            (staging / RECORD).write_text(json.dumps(record, indent=2) + "\n", "utf-8")
        return folder

    def check(self, name: str) -> dict[Source, sources.Health]:
        """Every file, read whole and compared with its hash, and with what it must be."""
        return {source: _check(source) for source in self.catalogue.get(name).sources}

    def remove(self, name: str) -> int:
        """Delete conversion and files, but not those that another downloaded system shares.

        Returns the bytes that this frees.
        """
        freed = 0
        folder = self.converted_folder(name)
        if folder.is_dir():
            freed += sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
            shutil.rmtree(folder)
        others = [other for other in self.catalogue.systems if other != name]
        in_use = {
            source
            for other in others
            if self.state(other) == "downloaded"
            for source in self.catalogue.get(other).sources
        }
        for source in self.catalogue.get(name).sources:
            if source not in in_use:
                freed += sources.remove(source)
        return freed

    def _require(self, name: str, source: Source) -> Path:
        found = sources.cached(source)
        if found is not None:
            return found
        if isinstance(source, HandFile):
            raise MissingResource(
                f"download {name} by hand, from {source.address}, and give the file: "
                f"uslm models convert {name} --checkpoint FILE"
            )
        raise MissingResource(
            f"{source.address} is not in the cache; first: uslm models download {name}"
        )


def checkpoint_of(system: System, part: str = "") -> Source:
    """The file with the weights of a part, or of the only part."""
    found: dict[str, list[Source]] = {}
    for one in system.parts:
        weights = [component.file for component in one.components if isinstance(component, Weights)]
        found.setdefault(one.name, []).extend(weights)
    chosen = found.get(part, []) if part else [file for files in found.values() for file in files]
    if len(chosen) != 1:
        raise UserError(f"--checkpoint must be PART=FILE, with a PART of {sorted(found)}")
    return chosen[0]


def config_of(system: System) -> Source:
    """The file with the only pretrained config."""
    components = [component for part in system.parts for component in part.components]
    found = [
        p.config for p in components if isinstance(p, Weights) and not isinstance(p.config, str)
    ]
    if len(found) != 1:
        raise UserError("--config: this system takes no config of yours")
    config = found[0]
    assert not isinstance(config, str)
    return config


def read_record(folder: Path) -> dict[str, Any] | None:
    """Record of what a converted folder was made of; None if it is no such folder."""
    path = stored_file(folder, RECORD)
    if not path.is_file():
        return None
    record = read_mapping(path)
    system = record.get("system")
    if not isinstance(system, str) or len(system) > MAX_NAME_CHARS:
        raise UserError(f"{path} must have the key 'system', a name")
    check_format(record, FORMAT, path)
    return record


def _check(source: Source) -> sources.Health:
    health, wanted = sources.check(source), expected(source)
    if health not in ("ok", "unknown") or wanted is None:
        return health
    found = sources.digest(sources.require(source), "sha256")
    return "ok" if found == wanted else "changed"


def _about(source: Source, report: Report | None) -> Callable[[int, int], None] | None:
    return None if report is None else lambda have, total: report(source, have, total)


def _describe(source: Source, given: Mapping[Source, Path]) -> dict[str, Any]:
    if source in given:
        return {"file": given[source].name, "sha256": sources.digest(given[source], "sha256")}
    if isinstance(source, HubFile):
        return {"repo": source.repo, "path": source.path, "revision": sources.commit_of(source)}
    return {"address": source.address}


def _check_room(folder: Path, needed: int) -> None:
    place = folder.absolute()
    while not place.exists():
        place = place.parent
    free = shutil.disk_usage(place).free
    if free < needed:
        raise EnvironmentProblem(
            f"the conversion takes up to {needed / 1e6:.0f} MB, but {place} has {free / 1e6:.0f} MB"
        )


@contextmanager
def _whole_or_not(folder: Path, *, replace: bool) -> Iterator[Path]:
    """A folder to write to, that takes its name once all is written."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    staging = hidden_beside(folder)
    staging.mkdir()
    try:
        yield staging
        old = hidden_beside(folder)
        if folder.exists() and replace:
            os.replace(folder, old)
        os.replace(staging, folder)
        shutil.rmtree(old, ignore_errors=True)
    finally:
        shutil.rmtree(staging, ignore_errors=True)
