"""The layouts that recordings come in; `matches` of each module tells its own.

A new one is a module with `matches(root) -> bool` and `read(root, language) -> Iterator[Found]`,
and a line here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from uslm_recipes.data.recording import Found
from uslm_tokenizer.addresses import load_address
from uslm_tokenizer.errors import MissingResource, UserError

FOLDER = "uslm_recipes.data.sources."
# In the order in which they are tried: the particular before the general.
SOURCES = {
    "huggingface": "hugging_face:read_hugging_face",
    "lhotse": "lhotse:read_lhotse",
    "manifest": "manifest:read_manifest",
    "gigaspeech": "gigaspeech:read_gigaspeech",
    "parquet": "parquet:read_parquet",
    "webdataset": "webdataset:read_webdataset",
    "librispeech": "librispeech:read_librispeech",
    "vctk": "vctk:read_vctk",
    "common-voice": "common_voice:read_common_voice",
    "ljspeech": "ljspeech:read_ljspeech",
    "folder": "folder:read_folder",
}
PREFIXES = ("lhotse", "parquet")


def open_source(place: str, *, name: str | None = None, language: str = "en") -> Iterator[Found]:
    """Recordings at `place`: `hf:NAME`, or a path whose layout is told by the files, or named.

    `lhotse:PATH` and `parquet:PATH?text=COLUMN` name it, too.
    """
    if place.startswith("hf:"):
        name = _checked(name or "huggingface", place)
        return _reader(name)(place, language)
    prefix, _, rest = place.partition(":")
    query = ""
    if prefix in PREFIXES and not Path(place).exists():
        name, (place, _, query) = name or prefix, rest.partition("?")
    if not Path(place).exists():
        raise MissingResource(f"there is no {place}")
    name = _checked(name or detect(place), place)
    if query and name != "parquet":
        raise UserError(f"options are of Parquet, but {place} is {name}: {query!r}")
    return _reader(name)(Path(place), language, **({"query": query} if query else {}))


def _checked(name: str, place: str) -> str:
    if name not in SOURCES:
        raise UserError(f"there is no source named {name!r}; there are {', '.join(SOURCES)}")
    if not _matches(name, place):
        raise UserError(f"{place} is not laid out as {name}; it looks like {detect(place)}")
    return name


def _reader(name: str) -> Callable[..., Iterator[Found]]:
    read: Callable[..., Iterator[Found]] = load_address(FOLDER + SOURCES[name])
    return read


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
