"""The user's own words: how to say names and terms, as a respelling or as /phonemes/."""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Callable, Mapping
from pathlib import Path

from uslm_tokenizer.errors import MissingResource, TextError

_TOKEN = re.compile(r"\w+|\s+|[^\w\s]")
_SIBILANTS = tuple("szʃʒ")
_VOICELESS = tuple("ptkfθ")


class Lexicon:
    """Words and how they are said, found whole, in any case, the longest first.

    A value between slashes is phonemes (`/nulæn/`) and reaches the model as it is; any other
    value is a respelling and is read like text. Keys may have several words and signs ("New York",
    "C++"). A following 's is kept.
    """

    def __init__(self, entries: Mapping[str, str]) -> None:
        self._entries: dict[tuple[str, ...], str] = {}
        self._longest: dict[str, int] = {}
        for word, said in entries.items():
            key = tuple(_key(token) for token in _TOKEN.findall(word.strip()))
            if not key:
                raise TextError("a lexicon entry must have a word, but one is empty")
            if not said.strip().strip("/"):
                raise TextError(f"lexicon entry {word!r} must say something, but is empty")
            self._entries[key] = said.strip()
            self._longest[key[0]] = max(len(key), self._longest.get(key[0], 0))

    @classmethod
    def load(cls, path: str | Path) -> Lexicon:
        """Read a .json object, or lines of `word<TAB>said` (# starts a comment line)."""
        path = Path(path)
        try:
            text = path.read_text(encoding="utf-8-sig")
        except (FileNotFoundError, IsADirectoryError) as error:
            raise MissingResource(f"lexicon {path} must be a file, but is not there") from error
        except UnicodeDecodeError as error:
            line = path.read_bytes()[: error.start].count(b"\n") + 1
            raise TextError(f"{path}:{line}: a lexicon must be UTF-8 text, but is not") from error
        pairs = _read_json(path, text) if path.suffix == ".json" else _read_tsv(path, text)
        entries: dict[str, str] = {}
        for line, word, said in pairs:
            try:
                cls({word: said})
            except TextError as error:
                raise TextError(f"{path}:{line}: {error}") from error
            entries[word] = said
        return cls(entries)

    def __len__(self) -> int:
        return len(self._entries)

    def replace(self, text: str, phonemes: Callable[[str], str]) -> str:
        """Every known word respelled, or given to `phonemes` and its answer put in its place."""
        tokens = _TOKEN.findall(text)
        out: list[str] = []
        place = 0
        while place < len(tokens):
            count, said = self._match(tokens, place)
            if not count:
                out.append(tokens[place])
                place += 1
                continue
            place += count
            if len(said) > 2 and said[0] == said[-1] == "/":
                sounds = said[1:-1].strip()
                if _possessive(tokens, place):
                    sounds += _possessive_sound(sounds)
                    place += 2
                out.append(phonemes(sounds))
            else:
                out.append(said)
        return "".join(out)

    def _match(self, tokens: list[str], place: int) -> tuple[int, str]:
        """Number of tokens from `place` on that are an entry, and what it says; 0 if none are."""
        longest = self._longest.get(_key(tokens[place]), 0)
        if longest and place > 1 and tokens[place - 1] == "'" and tokens[place - 2][-1].isalnum():
            return 0, ""
        keys = tuple(_key(token) for token in tokens[place : place + longest])
        for count in range(len(keys), 0, -1):
            said = self._entries.get(keys[:count])
            if said is not None and _ends_whole(tokens, place + count):
                return count, said
        return 0, ""


def _key(token: str) -> str:
    return " " if token.isspace() else unicodedata.normalize("NFC", token).casefold()


def _possessive(tokens: list[str], place: int) -> bool:
    return tokens[place : place + 2] in (["'", "s"], ["'", "S"])


def _ends_whole(tokens: list[str], place: int) -> bool:
    """Not inside a word such as don't; a possessive may follow."""
    inside = tokens[place : place + 1] == ["'"] and tokens[place + 1 : place + 2] != []
    return not inside or not tokens[place + 1][0].isalnum() or _possessive(tokens, place)


def _possessive_sound(phonemes: str) -> str:
    if phonemes.endswith(_SIBILANTS):
        return "ᵻz"
    return "s" if phonemes.endswith(_VOICELESS) else "z"


def _read_tsv(path: Path, text: str) -> list[tuple[int, str, str]]:
    pairs = []
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip() or line.startswith("#"):
            continue
        word, tab, said = line.partition("\t")
        if not tab:
            raise TextError(f"{path}:{number}: a line must be word<TAB>said, but is {line[:60]!r}")
        pairs.append((number, word, said))
    return pairs


def _read_json(path: Path, text: str) -> list[tuple[int, str, str]]:
    try:
        entries = json.loads(text)
    except json.JSONDecodeError as error:
        raise TextError(f"{path}:{error.lineno}: not valid JSON: {error.msg}") from error
    if not isinstance(entries, dict):
        raise TextError(f"{path}:1: a JSON lexicon must be an object of word: said")
    pairs = []
    for word, said in entries.items():
        found = text.find(json.dumps(word, ensure_ascii=False))
        number = text.count("\n", 0, max(found, 0)) + 1
        if not isinstance(said, str):
            raise TextError(f"{path}:{number}: {word!r} must be said as a text, but is {said!r}")
        pairs.append((number, word, said))
    return pairs
