"""What is said, in order: pieces of about a sentence, and the pauses between them."""

# ruff: noqa: RUF001 (this file is about characters that look alike)

import re
from collections.abc import Collection
from dataclasses import dataclass, replace

from uslm.text.chunking import Piece, parse_script, split_lines
from uslm_tokenizer.errors import ConfigError, TextError

_PARAGRAPH = re.compile(r"\n\s*\n")
_CLOSING = "\"'”’)]»"


@dataclass(frozen=True, kw_only=True)
class PlanConfig:
    """How a text is cut, and how long the voice rests between the pieces, seconds."""

    max_chars: int = 220
    """Longest piece, characters."""
    sentence_seconds: float = 0.3
    """Rest behind . ! ? and the like."""
    clause_seconds: float = 0.12
    """Rest behind , ; : and the like, where a long sentence was cut."""
    word_seconds: float = 0.0
    """Rest where a sentence had to be cut between two words."""
    paragraph_seconds: float = 0.6
    """Rest behind a paragraph."""

    def __post_init__(self) -> None:
        if self.max_chars < 20:
            raise ConfigError(f"max_chars must be 20 or more, but is {self.max_chars}")


def plan_text(text: str, config: PlanConfig, voices: Collection[str] | None = None) -> list[Piece]:
    """Pieces of text and pauses in turn. Raises TextError where there is nothing to say.

    `[pause:0.8]` in the text stands in place of the rest that punctuation would ask for. With
    `voices`, `[name]` says who speaks from there on.
    """
    if not isinstance(text, str):
        raise TextError(f"text must be a str, but is {type(text).__name__}")
    pieces: list[Piece] = []
    for part in parse_script(text, voices):
        if part.is_pause:
            pieces.append(part)
            continue
        sentences = _sentences(part.text, config)
        if sentences and pieces and not pieces[-1].is_pause:  # another voice takes over
            rest = max(config.clause_seconds, _rest(pieces[-1].text, config))
            pieces.append(Piece(pause_seconds=rest))
        pieces += [
            piece if piece.is_pause else replace(piece, voice=part.voice) for piece in sentences
        ]
    if all(piece.is_pause for piece in pieces):
        raise TextError("text must have something to say, but is empty")
    return pieces


def _sentences(text: str, config: PlanConfig) -> list[Piece]:
    pieces: list[Piece] = []
    for paragraph in _PARAGRAPH.split(text):
        for sentence in split_lines(paragraph, config.max_chars):
            rest = Piece(pause_seconds=_rest(sentence, config))
            pieces += [Piece(text=sentence.rstrip("\n")), rest]
        if pieces:
            pieces[-1] = Piece(pause_seconds=config.paragraph_seconds)
    return pieces[:-1]


def _rest(sentence: str, config: PlanConfig) -> float:
    last = sentence.rstrip(_CLOSING)[-1:]
    if last == "\n":
        return config.sentence_seconds
    if last.isalnum():
        return config.word_seconds
    return config.clause_seconds if last in ",;:—–，；：、" else config.sentence_seconds
