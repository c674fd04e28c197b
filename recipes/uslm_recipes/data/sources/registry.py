"""The layouts that recordings come in; `matches` of each module tells its own.

A new one is a module with `matches(root) -> bool` and `read(root, language) -> Iterator[Found]`,
and a line here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from uslm_recipes.data.recording import Found
from uslm_tokenizer.addresses import load_address
from uslm_tokenizer.errors import MissingResource, UserError

FOLDER = "uslm_recipes.data.sources."
# In the order in which they are tried: the particular before the general.
SOURCES = {
    "huggingface": "hugging_face:read_hugging_face",
    "manifest": "manifest:read_manifest",
    "gigaspeech": "gigaspeech:read_gigaspeech",
    "webdataset": "webdataset:read_webdataset",
    "librispeech": "librispeech:read_librispeech",
    "vctk": "vctk:read_vctk",
    "common-voice": "common_voice:read_common_voice",
    "ljspeech": "ljspeech:read_ljspeech",
    "folder": "folder:read_folder",
}


def open_source(place: str, *, name: str | None = None, language: str = "en") -> Iterator[Found]:
    """Recordings at `place`, a path or `hf:NAME`; the layout is told by the files, or named."""
    if not place.startswith("hf:") and not Path(place).exists():
        raise MissingResource(f"there is no {place}")
    if name is not None and name not in SOURCES:
        raise UserError(f"there is no source named {name!r}; there are {', '.join(SOURCES)}")
    if name is not None and not _matches(name, place):
        raise UserError(f"{place} is not laid out as {name}; it looks like {detect(place)}")
    name = name or detect(place)
    read: Callable[[Any, str], Iterator[Found]] = load_address(FOLDER + SOURCES[name])
    return read(place if place.startswith("hf:") else Path(place), language)


def detect(place: str) -> str:
    """The name of the layout at `place`."""
    for name in SOURCES:
        if _matches(name, place):
            return name
    raise UserError(f"{place} has none of the layouts {', '.join(SOURCES)}")


def _matches(name: str, place: str) -> bool:
    if place.startswith("hf:") or name == "huggingface":
        return place.startswith("hf:") and name == "huggingface"
    matches: Callable[[Path], bool] = load_address(f"{FOLDER}{SOURCES[name].split(':')[0]}:matches")
    return matches(Path(place))
