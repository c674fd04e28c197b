"""The conventions of seed-tts-eval (Anastassiou et al. 2024): its lists, and how it compares texts.

A list has a line for each utterance: `utterance|prompt text|prompt wav|text`, and perhaps `|real
recording of the text`; paths are relative to the list. Its error rate is the plain mean of the
utterances' own rates. Unlike there, a file that is missing is an error here.
"""

import string
import unicodedata
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from uslm.evaluation.suites.speaking import Line, Spoken
from uslm_tokenizer.audio.read import read_audio
from uslm_tokenizer.errors import MissingResource, UserError

Language = Literal["en", "zh"]

SUFFIXES = (".wav", ".flac", ".ogg", ".opus", ".mp3")
"""How the speech of an utterance may be stored; the first that is there counts."""


@dataclass(frozen=True, kw_only=True)
class ListedUtterance:
    """A line of a list."""

    name: str
    prompt_text: str
    prompt: Path
    text: str


def read_list(path: Path, limit: int | None = None) -> list[ListedUtterance]:
    """The lines of a list, the first `limit` of them. Errors name the line, or the missing file."""
    if not path.is_file():
        raise MissingResource(f"there is no list {str(path)!r}")
    try:
        lines = path.read_text("utf-8").splitlines()
    except UnicodeDecodeError as problem:
        raise UserError(f"{str(path)!r} must be UTF-8 text: {problem}") from problem
    found: dict[str, ListedUtterance] = {}
    for number, line in enumerate(lines, start=1):
        if not line.strip() or len(found) == limit:
            continue
        utterance = _parse(line, path.parent, where=f"{path}:{number}")
        if utterance.name in found:
            raise UserError(f"{path}:{number}: there are two utterances {utterance.name!r}")
        found[utterance.name] = utterance
    if not found:
        raise UserError(f"{str(path)!r} has no lines")
    missing = [each.prompt for each in found.values() if not each.prompt.is_file()]
    if missing:
        raise MissingResource(
            f"{path}: {len(missing)} of {len(found)} prompts are missing, as {str(missing[0])!r}"
        )
    return list(found.values())


def _parse(line: str, folder: Path, where: str) -> ListedUtterance:
    fields = [field.strip() for field in line.split("|")]
    if len(fields) not in (4, 5):
        raise UserError(
            f"{where} must be 'utterance|prompt text|prompt wav|text', perhaps with one field "
            f"more, but has {len(fields)} fields"
        )
    name, prompt_text, prompt, text = fields[:4]
    name = name.removesuffix(".wav")
    if not name or Path(name).name != name or "\\" in name:
        raise UserError(f"{where}: the utterance must be a file's name, but is {name!r}")
    if not text:
        raise UserError(f"{where}: the text is empty")
    return ListedUtterance(name=name, prompt_text=prompt_text, prompt=folder / prompt, text=text)


def to_lines(utterances: list[ListedUtterance]) -> list[Line]:
    """Lines to be spoken; utterances with the same prompt have the same voice."""
    voices: dict[tuple[Path, str], str] = {}
    lines = []
    for each in utterances:
        voice = voices.setdefault((each.prompt, each.prompt_text), f"{len(voices):04d}")
        lines.append(
            Line(
                name=each.name,
                text=each.text,
                prompt=each.prompt,
                prompt_text=each.prompt_text or None,
                voice=voice,
                speaker=each.prompt.stem,
            )
        )
    return lines


def find_spoken(utterances: list[ListedUtterance], folder: Path) -> list[Spoken]:
    """Recordings that another program made: a file for each utterance. MissingResource without."""
    if not folder.is_dir():
        raise MissingResource(f"there is no folder {str(folder)!r}")
    spoken, missing = [], []
    for each in utterances:
        files = [folder / f"{each.name}{suffix}" for suffix in SUFFIXES]
        file = next((file for file in files if file.is_file()), None)
        if file is None:
            missing.append(each.name)
            continue
        spoken.append(
            Spoken(
                audio=str(file.resolve()),
                text=each.text,
                prompt=str(each.prompt.resolve()),
                speaker=each.prompt.stem,
                seed=0,
                seconds=read_audio(file).seconds,
            )
        )
    if missing:
        raise MissingResource(
            f"{str(folder)!r} lacks {len(missing)} of {len(utterances)} utterances, as "
            f"{missing[0]}.wav"
        )
    return spoken


def normalize(text: str, language: Language = "en") -> str:
    """The text as it is compared: no punctuation but the apostrophe, small letters; Chinese
    character by character. (There, traditional characters are made simplified first; here not.)"""
    text = text.replace("\u2019", "'")  # a typesetter's apostrophe
    kept = "".join(char for char in text if char == "'" or not _is_punctuation(char))
    kept = kept.replace("  ", " ")
    return " ".join(kept.replace(" ", "")) if language == "zh" else kept.lower()


def _is_punctuation(char: str) -> bool:
    wide = unicodedata.normalize("NFKC", char)
    return unicodedata.category(char).startswith("P") or wide in string.punctuation
