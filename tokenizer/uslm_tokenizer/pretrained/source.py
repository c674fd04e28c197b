"""Sources of published files, and what of them lies in this machine's cache.

There is one cache, the Hub's own: files of the Hub lie where huggingface_hub keeps them, all
others among its assets. A file of the Hub is known there by its ETag, which is the SHA-256 of a
large file and the Git hash of a small one: `check` computes it again.
"""

import hashlib
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from uslm_tokenizer.errors import MissingResource
from uslm_tokenizer.pretrained import pins

MAIN = "main"
BLOCK = 1 << 20


@dataclass(frozen=True, kw_only=True)
class HubFile:
    """A file of a repository of the Hugging Face Hub."""

    repo: str
    path: str
    """Inside the repository, with `/`."""
    revision: str = MAIN
    """Commit that is pinned; `main` where none was known when it was entered here."""

    @property
    def commit(self) -> str | None:
        """Commit that it must be of; None where none is known: what is downloaded first stays."""
        return pins.COMMITS.get(self.repo) if self.revision == MAIN else self.revision

    @property
    def address(self) -> str:
        """For people."""
        return f"{self.repo}: {self.path}"

    @property
    def identity(self) -> list[str]:
        """Identity: it tells the content from any other."""
        return ["hub", self.repo, self.path, self.revision]


@dataclass(frozen=True, kw_only=True)
class WebFile:
    """A file at an address of its own."""

    url: str
    sha256: str
    """Of the content, or how it begins."""

    @property
    def address(self) -> str:
        """For people."""
        return self.url

    @property
    def name(self) -> str:
        """Last part of the address."""
        return self.url.rpartition("/")[2]

    @property
    def identity(self) -> list[str]:
        """Identity: it tells the content from any other."""
        return ["web", self.sha256]


@dataclass(frozen=True, kw_only=True)
class HandFile:
    """A file that no program may fetch: someone has to download it, and say where it lies."""

    address: str
    """Where to get it."""

    @property
    def identity(self) -> list[str]:
        """Nothing: what lies at the address is not known, and how it is worded says no more."""
        return ["hand"]


Source = HubFile | WebFile | HandFile
Health = Literal["ok", "damaged", "changed", "missing", "unknown"]
"""Changed: whole, but not the file that is pinned or was first seen."""


def cached(source: Source) -> Path | None:
    """Path of the file on this machine; never asks the network."""
    from huggingface_hub import constants, try_to_load_from_cache

    if isinstance(source, HubFile):
        found = try_to_load_from_cache(
            source.repo,
            source.path,
            cache_dir=constants.HF_HUB_CACHE,
            revision=source.commit or MAIN,
        )
        return Path(found) if isinstance(found, str) else None
    if isinstance(source, WebFile):
        path = asset_path(source)
        return path if path.is_file() else None
    return None


def commit_of(source: Source) -> str | None:
    """The commit that a cached file of the Hub belongs to."""
    path = cached(source)
    if path is None or not isinstance(source, HubFile):
        return None
    return path.parents[source.path.count("/")].name


def assets_folder(*parts: str) -> Path:
    """A folder of ours among the Hub's assets; it may not be there yet."""
    from huggingface_hub import constants

    return Path(constants.HF_ASSETS_CACHE).expanduser().joinpath("uslm", *parts)


def repo_folder(repo: str) -> Path:
    """The folder of a repository in the Hub's cache."""
    from huggingface_hub import constants
    from huggingface_hub.file_download import repo_folder_name

    return Path(constants.HF_HUB_CACHE) / repo_folder_name(repo_id=repo, repo_type="model")


def asset_path(source: WebFile) -> Path:
    """Path where a file that is not of the Hub is kept."""
    return assets_folder("files", source.sha256[:16]) / source.name


def check(source: Source) -> Health:
    """Read the cached file whole and compare it with the hash it was recorded under."""
    path = cached(source)
    if path is None:
        return "missing"
    if isinstance(source, WebFile):
        return "ok" if digest(path, "sha256").startswith(source.sha256) else "damaged"
    recorded = path.resolve().name  # a link to blobs/ETAG
    kind = hash_kind(recorded)
    if kind is None or not path.is_symlink():  # without links the cache keeps no ETag
        return "unknown"
    return "ok" if digest(path, kind) == recorded else "damaged"


def hash_kind(etag: str) -> Literal["sha256", "git"] | None:
    """Kind of hash that an ETag of the Hub is, if it is one."""
    if not etag or set(etag) - set("0123456789abcdef"):
        return None
    return {64: "sha256", 40: "git"}.get(len(etag))  # type: ignore[return-value]


def digest(path: Path, kind: Literal["sha256", "git"]) -> str:
    """SHA-256 of a file, or the hash under which Git knows it."""
    if kind == "sha256":
        state = hashlib.sha256()
    else:
        state = hashlib.sha1(b"blob %d\0" % path.stat().st_size, usedforsecurity=False)
    with open(path, "rb") as file:
        while block := file.read(BLOCK):
            state.update(block)
    return state.hexdigest()


def content_hash(path: Path) -> str:
    """SHA-256 of a cached file; of a large one of the Hub it is its name in the cache."""
    name = path.resolve().name
    return name if path.is_symlink() and hash_kind(name) == "sha256" else digest(path, "sha256")


def remove(source: Source) -> int:
    """Delete the cached file; returns the bytes that this frees."""
    path = cached(source)
    if path is None:
        return 0
    if isinstance(source, WebFile):
        size = path.stat().st_size
        shutil.rmtree(path.parent)
        return size
    assert isinstance(source, HubFile)
    repo, blob = repo_folder(source.repo), path.resolve()
    size = blob.stat().st_size
    path.unlink()
    others = [link for link in (repo / "snapshots").rglob("*") if link.resolve() == blob]
    if others:
        return 0
    blob.unlink(missing_ok=True)
    if not any(link.is_file() for link in (repo / "snapshots").rglob("*")):
        shutil.rmtree(repo)
    return size


def require(source: Source) -> Path:
    """Path of the file on this machine. Raises MissingResource if it is not there."""
    path = cached(source)
    if path is None:
        raise MissingResource(f"{source.address} is not in the cache")
    return path
