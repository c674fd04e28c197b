"""Scripts: text with [pause:0.8] and [voice] marks, or SSML -> what is said, by whom, how fast."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator

from uslm.text.segmentation import LONGEST_PAUSE_SECONDS, Segment
from uslm.text.ssml import is_ssml, parse_ssml
from uslm_tokenizer.errors import TextError

_PAUSE = re.compile(r"\[\s*pause\b([^\]\n]{0,40})\]?", re.IGNORECASE)
_VOICE = re.compile(r"\[\s*([A-Za-z0-9][A-Za-z0-9._-]{0,63})\s*\]")


def parse_script(text: str, voices: Collection[str] | None = None) -> list[Segment]:
    """Cut a text at its [pause:SECONDS] marks, or SSML at what says how it is spoken; other text in
    brackets is left alone.

    With `voices`, names, it is also cut at marks like [anna], which say who speaks from there on.
    Raises TextError if a pause has no length, or one outside 0..10 seconds, or if there is no
    such voice.
    """
    if is_ssml(text):
        return parse_ssml(text)
    segments: list[Segment] = []
    end, voice = 0, ""
    for mark in _PAUSE.finditer(text):
        for segment in _by_voice(text[end : mark.start()], voices, voice):
            voice = segment.voice
            segments += [segment] if segment.text else []
        segments.append(Segment(pause_seconds=_seconds(mark[0], mark[1])))
        end = mark.end()
    segments += [segment for segment in _by_voice(text[end:], voices, voice) if segment.text]
    return segments


def _by_voice(text: str, voices: Collection[str] | None, voice: str) -> Iterator[Segment]:
    """Segments by voice; the last one may be empty, and tells who goes on."""
    end = 0
    for mark in () if voices is None else _VOICE.finditer(text):
        yield Segment(text=text[end : mark.start()].strip(), voice=voice)
        voice, end = mark[1], mark.end()
        if voice not in (voices or ()):
            known = ", ".join(sorted(voices or ())) or "none"
            raise TextError(f"the text asks for the voice [{voice}]; the voices given: {known}")
    yield Segment(text=text[end:].strip(), voice=voice)


def _seconds(mark: str, length: str) -> float:
    number = re.fullmatch(r"\s*:\s*(\d{0,9}\.?\d{1,9})\s*s?\s*", length)
    seconds = float(number[1]) if number and mark.endswith("]") else -1.0
    if not 0 <= seconds <= LONGEST_PAUSE_SECONDS:
        raise TextError(
            f"a pause must be [pause:SECONDS] with 0 to {LONGEST_PAUSE_SECONDS:g} seconds, "
            f"but is {mark!r}"
        )
    return seconds


def spoken_text(text: str) -> str:
    """Spoken text of a script whose voices are not known yet, without pauses and mark-up."""
    return " ".join(segment.text for segment in parse_script(text) if segment.text)
