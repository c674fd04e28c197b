"""LibriSpeech and LibriTTS: SUBSET/SPEAKER/CHAPTER/, with texts by chapter or by utterance.

LibriSpeech   103/1240/103-1240-0000.flac           103/1240/103-1240.trans.txt
LibriTTS      103/1241/103_1241_000000_000001.wav   the same name with .normalized.txt
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from uslm_recipes.data.recording import Found, Recording, Rejected
from uslm_recipes.data.text_files import Line, read_lines, read_text
from uslm_tokenizer.errors import TextError

# As in uslm_recipes.prepare, one speaker has one name in both corpora: LibriTTS is cut from the
# same books, and who is kept for tests in one must not be trained on in the other.
SPEAKERS = "ls"
SPLITS = {"train": "train", "dev": "valid", "test": "test"}
CHAPTER = re.compile(r"(?:.*/)?(?P<subset>(?:train|dev|test)-[\w-]+)/(?P<speaker>\d+)/\d+")


def matches(root: Path) -> bool:
    """Whether a folder of a chapter lies below, at the depth where one must."""
    return next(_chapters(root), None) is not None


def read_librispeech(root: Path, language: str = "en") -> Iterator[Found]:
    """Utterances of `root`, which is a subset, the corpus, or a folder around it."""
    for folder in _chapters(root):
        texts = _texts_of_chapter(folder)
        audio = sorted([*folder.glob("*.flac"), *folder.glob("*.wav")])
        for path in audio:
            yield _recording(path, texts, language)
        for name in sorted(texts.keys() - {path.stem for path in audio}):
            where = f"{folder / name}"
            reason = "no audio file of this name" if name else f"{texts[name].problem}"
            yield Rejected(where=where, audio=name, reason=reason)


def _chapters(root: Path) -> Iterator[Path]:
    for depth in ("*/*", "*/*/*", "*/*/*/*"):
        for folder in sorted(root.glob(depth)):
            if folder.is_dir() and CHAPTER.fullmatch(folder.resolve().as_posix()):
                yield folder


def _texts_of_chapter(folder: Path) -> dict[str, Line]:
    """LibriSpeech's `id text`, or LibriTTS's `id <tab> original <tab> normalised`.

    A table that cannot be read at all stands under no name.
    """
    texts: dict[str, Line] = {}
    for table in sorted([*folder.glob("*.trans.txt"), *folder.glob("*.trans.tsv")]):
        for line in read_lines(table):
            separator = "\t" if table.suffix == ".tsv" else None
            if not line.text.strip() and not line.problem:
                continue
            name, *rest = line.text.split(separator, maxsplit=2 if separator else 1) or [""]
            texts[name.strip()] = replace(line, text=rest[-1].strip() if rest else "")
    return texts


def _recording(path: Path, texts: dict[str, Line], language: str) -> Found:
    line = texts.get(path.stem, texts.get(""))
    text, problem = (line.text, line.problem) if line else ("", None)
    for suffix in (".normalized.txt", ".original.txt"):
        beside = path.with_suffix(suffix)
        if not text and (beside.is_file() or beside.is_symlink()):
            try:
                text = read_text(beside)
            except TextError as unreadable:
                problem = f"text file {unreadable}"
    if problem is not None:
        return Rejected(where=str(path), audio=str(path), reason=problem)
    place = CHAPTER.fullmatch(path.parent.resolve().as_posix())
    assert place is not None
    libritts = "_" in path.stem
    return Recording(
        where=str(path),
        audio=path,
        id=f"{'libritts' if libritts else 'ls'}/{place['subset']}/{path.stem}",
        source="libritts" if libritts else "ls",
        speaker=f"{SPEAKERS}/{place['speaker']}",
        language=language,
        text=" ".join(text.split()),
        split=SPLITS[place["subset"].split("-")[0]],
    )
