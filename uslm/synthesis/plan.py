"""The plan of a text, in order: segments of about a sentence, and the pauses between them."""

# ruff: noqa: RUF001 (this file is about characters that look alike)

import re
from collections.abc import Collection
from dataclasses import dataclass, replace

from uslm.text.script import parse_script
from uslm.text.segmentation import Segment, split_lines
from uslm_tokenizer.errors import ConfigError, TextError

_PARAGRAPH = re.compile(r"\n\s*\n")
_CLOSING = "\"'”’)]»"


@dataclass(frozen=True, kw_only=True)
class PlanConfig:
    """Settings of the segmentation of a text, and of the rests between segments, seconds."""

    max_chars: int = 220
    """Longest segment, characters."""
    sentence_seconds: float = 0.3
    """Rest after . ! ? and the like."""
    clause_seconds: float = 0.12
    """Rest after , ; : and the like, where a long sentence was cut."""
    word_seconds: float = 0.0
    """Rest where a sentence had to be cut between two words."""
    paragraph_seconds: float = 0.6
    """Rest after a paragraph."""

    def __post_init__(self) -> None:
        if self.max_chars < 20:
            raise ConfigError(f"max_chars must be 20 or more, but is {self.max_chars}")


def plan_text(
    text: str, config: PlanConfig, voices: Collection[str] | None = None
) -> list[Segment]:
    """Segments of text and pauses in turn. Raises TextError where there is nothing to say.

    `[pause:0.8]` in the text stands in place of the rest that punctuation would ask for. With
    `voices`, `[name]` says who speaks from there on. A text that begins with `<speak` is SSML.
    """
    if not isinstance(text, str):
        raise TextError(f"text must be a str, but is {type(text).__name__}")
    segments: list[Segment] = []
    for part in parse_script(text, voices):
        if part.is_pause:
            segments.append(part)
            continue
        sentences = _sentences(part.text, config)
        if sentences and segments and not segments[-1].is_pause:
            rest = _rest(segments[-1].text, config)
            if part.starts_paragraph:
                rest = config.paragraph_seconds
            elif part.speed == segments[-1].speed:  # another voice takes over
                rest = max(config.clause_seconds, rest)
            segments.append(Segment(pause_seconds=rest))
        segments += [
            segment if segment.is_pause else replace(segment, voice=part.voice, speed=part.speed)
            for segment in sentences
        ]
    if all(segment.is_pause for segment in segments):
        raise TextError("text must have something to say, but is empty")
    return segments


def _sentences(text: str, config: PlanConfig) -> list[Segment]:
    segments: list[Segment] = []
    for paragraph in _PARAGRAPH.split(text):
        for sentence in split_lines(paragraph, config.max_chars):
            rest = Segment(pause_seconds=_rest(sentence, config))
            segments += [Segment(text=sentence.rstrip("\n")), rest]
        if segments:
            segments[-1] = Segment(pause_seconds=config.paragraph_seconds)
    return segments[:-1]


def _rest(sentence: str, config: PlanConfig) -> float:
    last = sentence.rstrip(_CLOSING)[-1:]
    if last == "\n":
        return config.sentence_seconds
    if last.isalnum():
        return config.word_seconds
    return config.clause_seconds if last in ",;:—–，；：、" else config.sentence_seconds
