"""Identity of a published file: the SHA-256 that is pinned, or else the one it first had here.

Where no public record tells the hash of a file, another one may come tomorrow under the same
address. So the first download is recorded beside the cache. The record outlives the file, and all
that comes later is compared with it.
"""

import hashlib
import json
import logging
from datetime import datetime, timezone
from pathlib import Path
from typing import Literal

from uslm_tokenizer.errors import ConfigError, EnvironmentProblem
from uslm_tokenizer.json_files import read_mapping
from uslm_tokenizer.pretrained import pins
from uslm_tokenizer.pretrained.source import (
    HandFile,
    HubFile,
    Source,
    WebFile,
    assets_folder,
    commit_of,
    content_hash,
)
from uslm_tokenizer.whole_files import write_atomically

LOG = logging.getLogger(__name__)
SMALL = 16_000_000
"""Bytes of a file that may be read again at each use."""
Pin = Literal["sha256", "commit", "first download", "nothing"]


def pin_of(source: Source) -> Pin:
    """The pin that holds a file to one content."""
    if isinstance(source, HandFile):
        return "nothing"
    if source.address in pins.SHA256 or _has_hash(source):
        return "sha256"
    return "commit" if isinstance(source, HubFile) and source.commit else "first download"


def expected(source: Source) -> str | None:
    """The SHA-256 that a file must have; None as long as nobody has seen it."""
    if source.address in pins.SHA256:
        return pins.SHA256[source.address]
    path = record_path(source)
    if not path.is_file():
        return None
    found = read_mapping(path).get("sha256")
    if not isinstance(found, str):
        raise ConfigError(f"{path} must have the key 'sha256'; delete it to begin anew")
    return found


def confirm(source: Source, path: Path, *, has_just_come: bool = False) -> None:
    """Raise EnvironmentProblem unless the file is the one that it must be; the first is recorded.

    Afterwards a large file is not read again for that: where the cache has links, as it usually
    does, its name there is its hash, which was compared when it came. `uslm models verify` reads.
    """
    if _has_hash(source):  # which the download has compared
        return
    wanted = expected(source)
    if wanted is None:
        _record(source, content_hash(path))
    elif has_just_come or path.is_symlink() or path.stat().st_size < SMALL:
        refuse_other(source, content_hash(path), wanted)


def refuse_other(source: Source, found: str, wanted: str | None) -> None:
    """Raise EnvironmentProblem if a hash is known, and is another."""
    if wanted is None or found == wanted:
        return
    if source.address in pins.SHA256:
        kind = "the pinned file"
        remedy = "it was changed on its way, or on the server"
    else:
        kind = "the file that first came"
        remedy = (
            "whoever trusts the new one, because its authors have published it anew, deletes "
            f"{record_path(source)}"
        )
    raise EnvironmentProblem(
        f"{source.address} is not {kind}: its SHA-256 is {found}, but must be {wanted}; {remedy}"
    )


def record_path(source: Source) -> Path:
    """Path of the record of a file's first download."""
    commit = source.commit if isinstance(source, HubFile) else None
    named = json.dumps([*source.identity, commit])
    return assets_folder("first-seen", f"{hashlib.sha256(named.encode()).hexdigest()[:16]}.json")


def _has_hash(source: Source) -> bool:
    """Whether its entry in the catalogue has its whole SHA-256."""
    return isinstance(source, WebFile) and len(source.sha256) == 64


def _record(source: Source, found: str) -> None:
    record = {
        "address": source.address,
        "commit": commit_of(source),
        "sha256": found,
        "recorded_at": datetime.now(timezone.utc).isoformat(timespec="seconds"),
    }
    path = record_path(source)
    text = json.dumps(record, indent=2) + "\n"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, lambda part: part.write_text(text, "utf-8"), replace=False)
    except FileExistsError:  # another program was first
        refuse_other(source, found, expected(source))
        return
    except OSError as problem:  # a cache that others prepared may well be used
        LOG.warning("the hash of %s could not be recorded: %s", source.address, problem)
        return
    if pin_of(source) == "first download":
        LOG.warning(
            "%s is not pinned, as no hash or commit of it is known; what is here now (SHA-256 %s) "
            "is recorded, and what comes later is compared with it",
            source.address, found[:16],
        )  # fmt: skip
