"""VCTK: txt/p225/p225_001.txt beside wav48_silence_trimmed/p225/p225_001_mic1.flac or wav48/."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from uslm_recipes.data.labels import gender_label
from uslm_recipes.data.recording import Found, Recording, Rejected
from uslm_recipes.data.text_files import read_lines, read_text
from uslm_tokenizer.errors import TextError

AUDIO_FOLDERS = ("wav48_silence_trimmed", "wav48")
# The other microphone has the same words once more.
MICROPHONE = "_mic1"


def matches(root: Path) -> bool:
    """Whether texts and audio lie in their folders."""
    return (root / "txt").is_dir() and any((root / name).is_dir() for name in AUDIO_FOLDERS)


def read_vctk(root: Path, language: str = "en") -> Iterator[Found]:
    """Every utterance of the first microphone; one speaker has no texts (p315)."""
    folder = next(root / name for name in AUDIO_FOLDERS if (root / name).is_dir())
    found = set()
    labels = _labels(root)
    for audio in sorted([*folder.glob("*/*.flac"), *folder.glob("*/*.wav")]):
        name = audio.stem.removesuffix(MICROPHONE)
        if name.endswith("_mic2"):
            continue
        found.add(name)
        speaker = audio.parent.name
        text = root / "txt" / speaker / f"{name}.txt"
        try:
            words = read_text(text) if text.is_file() or text.is_symlink() else ""
        except TextError as problem:
            yield Rejected(where=str(audio), audio=str(audio), reason=f"text file {problem}")
            continue
        yield Recording(
            where=str(audio),
            audio=audio,
            id=f"vctk/{speaker}/{name}",
            source="vctk",
            speaker=f"vctk/{speaker}",
            language=language,
            text=" ".join(words.split()),
            labels=labels.get(speaker.removeprefix("p"), {}),
        )
    for text in sorted((root / "txt").glob("*/*.txt")):
        if text.stem not in found:
            yield Rejected(where=str(text), audio=text.stem, reason="no audio file of this name")


def _labels(root: Path) -> dict[str, Mapping[str, str]]:
    """Of each speaker that speaker-info.txt lists: number, age, gender, accent."""
    table = root / "speaker-info.txt"
    rows = [line.text.split() for line in read_lines(table)] if table.is_file() else []
    return {row[0].removeprefix("p"): gender_label(row[2]) for row in rows if len(row) > 2}
