"""lhotse: a CutSet in JSONL, or a folder of Shar; read without the package.

cuts.jsonl.gz             one MonoCut a line, whose recording is a file
cuts.000000.jsonl.gz ...  Shar: the same, with the audio in recording.000000.tar under the cut's id
"""

from __future__ import annotations

import gzip
import tarfile
import zlib
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from reprlib import repr
from typing import Any

from uslm_recipes.data.corpus_format import are_labels
from uslm_recipes.data.labels import gender_label
from uslm_recipes.data.places import named_file
from uslm_recipes.data.recording import SPLITS, Found, Recording, Rejected, Segment, is_time
from uslm_recipes.data.text_files import load_json
from uslm_tokenizer.errors import TextError

CUTS = ("MonoCut", "MultiCut", "MixedCut", "PaddingCut")
OURS = "uslm"
"""Field of `custom` with what lhotse has no name for; written by `shards --format shar`."""
NAMES = {"english": "en", "german": "de", "french": "fr", "spanish": "es", "chinese": "zh",
         "mandarin": "zh", "japanese": "ja", "italian": "it", "dutch": "nl", "polish": "pl",
         "portuguese": "pt"}  # fmt: skip
"""Tags of languages that lhotse's recipes write out."""


def matches(root: Path) -> bool:
    """Whether this is a CutSet, or a folder of Shar."""
    if root.is_dir():
        return bool(_shards(root))
    if not root.name.endswith((".jsonl", ".jsonl.gz")) or not root.is_file():
        return False
    for _, data in _lines(root):
        return isinstance(data, dict) and data.get("type") in CUTS
    return False


def read_lhotse(root: Path, language: str = "en") -> Iterator[Found]:
    """Each cut a recording: of one channel, with one supervision at most."""
    if not root.is_dir():
        yield from _read_cuts(root, root.name.split(".")[0], language, None)
        return
    for cuts in _shards(root):
        archive = root / cuts.name.replace("cuts.", "recording.", 1).replace(".jsonl.gz", ".tar")
        try:
            places = _places(archive)
        # What a damaged header makes tarfile raise is more than TarError.
        except (tarfile.TarError, OSError, ValueError, OverflowError) as problem:
            yield Rejected(where=archive.name, audio=str(archive), reason=f"unreadable: {problem}")
            continue
        yield from _read_cuts(cuts, root.resolve().name, language, (archive, places))


Archive = tuple[Path, dict[str, Segment]]
"""A tar of Shar, and where in it the audio of each cut is."""


def _shards(root: Path) -> list[Path]:
    return sorted(root.glob("cuts.*.jsonl.gz"))


def _places(archive: Path) -> dict[str, Segment]:
    with tarfile.open(archive, "r:") as members:
        return {
            str(PurePosixPath(each.name).with_suffix("")): Segment(
                offset=each.offset_data, num_bytes=each.size
            )
            for each in members
            if each.isfile() and not each.name.endswith((".json", ".nodata", ".nometa"))
        }


def _lines(path: Path) -> Iterator[tuple[int, Any]]:
    """Number and content of each line; None stands for one that is no JSON, and for a damaged
    rest."""
    number = 0
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as lines:
            for number, line in enumerate(lines, 1):
                yield number, _parsed(line)
    except (OSError, EOFError, zlib.error):
        yield number + 1, None


def _parsed(line: bytes) -> Any:
    try:
        return load_json(line.decode("utf-8"))
    except (TextError, UnicodeDecodeError):
        return None


def _read_cuts(path: Path, source: str, language: str, archive: Archive | None) -> Iterator[Found]:
    for number, cut in _lines(path):
        where = f"{path.name}:{number}"
        problem = _problem(cut)
        if problem is not None:
            yield Rejected(where=where, audio="", reason=problem)
        else:
            yield _recording(cut, path, source, language, archive, where)


def _problem(cut: Any) -> str | None:
    """Reason why a line is no recording for us, if so."""
    if not isinstance(cut, dict) or cut.get("type") not in CUTS:
        return "line is no cut of lhotse"
    if cut["type"] != "MonoCut":
        return f"a {cut['type']} is no recording of its own; write its audio with lhotse first"
    if not isinstance(cut.get("id"), str) or not cut["id"]:
        return f"id must be a non-empty string, but is {repr(cut.get('id'))}"
    if not (is_time(cut.get("start")) and is_time(cut.get("duration"))):
        return f"cut cannot be {repr(cut.get('start'))} s and {repr(cut.get('duration'))} s long"
    supervisions, recording = cut.get("supervisions") or [], cut.get("recording")
    if not isinstance(supervisions, list) or not all(isinstance(s, dict) for s in supervisions):
        return "supervisions must be a list of objects"
    if len(supervisions) > 1:
        return f"cut has {len(supervisions)} supervisions; use trim_to_supervisions of lhotse"
    if not isinstance(recording, dict):
        return "cut has no recording"
    if recording.get("transforms"):
        return "recording has transforms, which only lhotse makes; write its audio first"
    sources = recording.get("sources")
    if not isinstance(sources, list) or len(sources) != 1 or not isinstance(sources[0], dict):
        return f"recording must have one source, but has {repr(sources)}"
    if len(sources[0].get("channels") or [0]) != 1:
        return "recording has several channels"
    return None


def _recording(
    cut: dict[str, Any], path: Path, source: str, language: str, archive: Archive | None, where: str
) -> Found:
    [place] = cut["recording"]["sources"]
    named, start, whole = str(place.get("source") or ""), cut["start"], Segment()
    if place.get("type") == "file" and named:
        # lhotse's paths are from the folder it runs in.
        audio = named_file(path.parent, named)
        audio = audio if audio.exists() else Path(named)
    elif place.get("type") == "shar" and archive is not None:
        audio, places = archive
        if cut["id"] not in places:
            reason = f"{audio.name} has no audio of cut {cut['id']!r}"
            return Rejected(where=where, audio=str(audio), reason=reason)
        whole = places[cut["id"]]
    else:
        reason = f"audio of a source of type {place.get('type')!r} cannot be read"
        return Rejected(where=where, audio=named, reason=reason)
    said: dict[str, Any] = (cut.get("supervisions") or [{}])[0]
    custom = said.get("custom")
    ours: dict[str, Any] = (custom if isinstance(custom, dict) else {}).get(OURS) or {}
    speaker, spoken = said.get("speaker") or cut["id"], str(said.get("language") or language)
    durations = ours.get("durations")
    return Recording(
        where=where,
        audio=audio,
        id=cut["id"] if ours else f"{source}/{cut['id']}",
        source=str(ours.get("source") or source),
        speaker=str(speaker) if ours else f"{source}/{speaker}",
        language=NAMES.get(spoken.lower(), spoken),
        text=" ".join(str(said.get("text") or "").split()),
        phonemes=ours.get("phonemes") or None,
        durations=None if durations is None else tuple(durations),
        split=ours.get("split") if ours.get("split") in SPLITS else None,
        segment=_segment(whole, start, cut),
        labels=ours["labels"]
        if are_labels(ours.get("labels"))
        else gender_label(str(said.get("gender") or "")),
    )


def _segment(whole: Segment, start: float, cut: dict[str, Any]) -> Segment | None:
    """The cut's part of its file; None where it is all of it."""
    stop: float | None = start + cut["duration"]
    assert stop is not None
    seconds = cut["recording"].get("duration")
    if is_time(seconds) and abs(stop - seconds) < 1e-3:
        stop = None
    if whole.num_bytes is None and not start and stop is None:
        return None
    return Segment(
        start_seconds=start, stop_seconds=stop, offset=whole.offset, num_bytes=whole.num_bytes
    )
