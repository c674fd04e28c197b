"""SSML -> a script: the elements of W3C's Speech Synthesis Markup that can be followed here.

Spoken are `speak`, `break`, `p`, `s`, `sub`, `say-as` and `prosody rate`; everything else is
refused by its name, so that nothing is lost in silence (SSML 1.1, https://www.w3.org/TR/speech-synthesis11).
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from xml.etree import ElementTree

from uslm.text.english.layout import ENDS_WITH_STOP, spelled_out
from uslm.text.english.numbers import ordinal
from uslm.text.segmentation import LONGEST_PAUSE_SECONDS, Segment
from uslm_tokenizer.errors import TextError

_OPENING = re.compile(r"\s*(?:<\?xml[^<>]{0,200}\?>\s*)?(?:<!DOCTYPE[^<>]{0,200}>\s*)?<speak[\s>/]")
_SECONDS = re.compile(r"\+?(\d{1,6}|\d{0,6}\.\d{1,6})(s|ms)")
_PERCENT = re.compile(r"([+-]?)(\d{1,3}|\d{0,3}\.\d{1,6})%")
_MOST_NESTED = 32
_STRENGTHS = {
    "none": 0.0, "x-weak": 0.1, "weak": 0.2, "medium": 0.4, "strong": 0.7, "x-strong": 1.2,
}  # fmt: skip
"""Seconds of a break that says how strong it is."""
_RATES = {
    "x-slow": 0.5, "slow": 0.75, "medium": 1.0, "default": 1.0, "fast": 1.25, "x-fast": 1.75,
}  # fmt: skip
_SPELLED = ("characters", "spell-out", "verbatim", "digits", "telephone")
_AS_WRITTEN = ("cardinal", "number", "date", "time", "currency", "unit", "fraction", "address")
"""What the text normalisation reads so anyway."""
_LANGUAGE = "{http://www.w3.org/XML/1998/namespace}lang"
_ATTRIBUTES = {
    "speak": {"version", _LANGUAGE},
    "p": {_LANGUAGE},
    "s": {_LANGUAGE},
    "break": {"time", "strength"},
    "sub": {"alias"},
    "say-as": {"interpret-as", "format", "detail"},
    "prosody": {"rate"},
}
"""The elements that are followed, and what may stand in them; `xml:lang` is checked as any text's
language is."""
_SCHEMA = "{http://www.w3.org/2001/XMLSchema-instance}schemaLocation"


def is_ssml(text: str) -> bool:
    """Whether a text is meant as SSML: it begins with `<speak`."""
    return _OPENING.match(text) is not None


def parse_ssml(text: str) -> list[Segment]:
    """Text and pauses, in order. Raises TextError, naming the place or the element, where the text
    is no XML or asks for what cannot be done."""
    reader = _Reader()
    parser = ElementTree.XMLParser(target=reader)
    try:
        parser.feed(text.strip())
        parser.close()
    except ElementTree.ParseError as error:
        raise TextError(f"SSML must be well-formed XML, but there is: {error}") from None
    except UnicodeEncodeError as error:
        raise TextError(
            f"SSML must be characters, but holds half of one at {error.start}"
        ) from None
    return reader.segments


@dataclass(frozen=True)
class _Element:
    """An element that is open."""

    name: str
    speed: float
    """Of the speech in it; 1 is as usual."""
    said: str | None = None
    """`sub`: what is said in place of its text."""
    kind: str = ""
    """`say-as`: what its text is."""


class _Reader:
    """Target that XMLParser hands the elements to."""

    def __init__(self) -> None:
        self.segments: list[Segment] = []
        self._open: list[_Element] = []
        self._buffer: list[str] = []
        self._inner: list[str] = []
        self._starts_paragraph = False

    def start(self, tag: str, attributes: Mapping[str, str]) -> None:
        name = tag.rpartition("}")[2]
        parent = self._open[-1] if self._open else None
        if name not in _ATTRIBUTES or (parent is None) != (name == "speak"):
            known = ", ".join(_ATTRIBUTES)
            raise TextError(f"SSML <{name}> cannot be followed here; what can: {known}")
        for attribute in attributes.keys() - _ATTRIBUTES[name] - {_SCHEMA}:
            known = ", ".join(sorted(each.rpartition("}")[2] for each in _ATTRIBUTES[name]))
            raise TextError(f"SSML <{name} {attribute}> cannot be followed; what can: {known}")
        if parent is not None and parent.name in ("sub", "say-as", "break"):
            raise TextError(f"SSML <{parent.name}> must hold text alone, but holds <{name}>")
        if len(self._open) == _MOST_NESTED:
            raise TextError(f"SSML must be nested at most {_MOST_NESTED} deep")
        speed = parent.speed if parent else 1.0
        element = _Element(name, speed)
        if name in ("p", "s"):
            self._flush(speed)
            self._starts_paragraph |= name == "p"
        elif name == "prosody":
            self._flush(speed)
            element = _Element(name, _speed(speed, _needed(name, "rate", attributes)))
        elif name == "sub":
            element = _Element(name, speed, said=_needed(name, "alias", attributes))
        elif name == "say-as":
            element = _Element(name, speed, kind=_kind(_needed(name, "interpret-as", attributes)))
        elif name == "break":
            self._flush(speed)
            self.segments.append(Segment(pause_seconds=_break_seconds(attributes)))
        self._open.append(element)

    def data(self, text: str) -> None:
        inner = self._open[-1].name in ("sub", "say-as", "break")
        (self._inner if inner else self._buffer).append(text)

    def end(self, tag: str) -> None:
        element, inner = self._open.pop(), "".join(self._inner).strip()
        self._inner.clear()
        if element.name == "break" and inner:
            raise TextError(f"SSML <break> must be empty, but holds {inner[:40]!r}")
        if element.name == "sub":
            self._buffer.append(element.said or "")
        elif element.name == "say-as":
            self._buffer.append(_as(inner, element.kind))
        elif element.name in ("p", "s", "prosody", "speak"):
            self._flush(element.speed, is_sentence=element.name in ("p", "s"))
            self._starts_paragraph |= element.name == "p"

    def doctype(self, name: str, public: str | None, system: str | None) -> None:
        raise TextError("SSML must be without a DOCTYPE")

    def _flush(self, speed: float, *, is_sentence: bool = False) -> None:
        """Make a segment of what was gathered; a sentence ends with a stop."""
        text = " ".join("".join(self._buffer).split())
        self._buffer.clear()
        if not text:
            return
        if is_sentence and not ENDS_WITH_STOP.search(text[-8:]):
            text += "."
        first, self._starts_paragraph = self._starts_paragraph, False
        self.segments.append(Segment(text=text, speed=speed, starts_paragraph=first))


def _needed(name: str, attribute: str, attributes: Mapping[str, str]) -> str:
    if attribute not in attributes:
        raise TextError(f"SSML <{name}> must have the attribute {attribute}")
    return attributes[attribute].strip()


def _break_seconds(attributes: Mapping[str, str]) -> float:
    if "time" not in attributes:
        strength = attributes.get("strength", "medium")
        if strength not in _STRENGTHS:
            raise TextError(
                f"SSML <break strength> must be one of {', '.join(_STRENGTHS)}, but is {strength!r}"
            )
        return _STRENGTHS[strength]
    time = _SECONDS.fullmatch(attributes["time"].strip())
    seconds = float(time[1]) / (1000 if time[2] == "ms" else 1) if time else math.inf
    if seconds > LONGEST_PAUSE_SECONDS:
        raise TextError(
            f"SSML <break time> must be like 500ms or 1.5s, up to {LONGEST_PAUSE_SECONDS:g}s, but "
            f"is {attributes['time']!r}"
        )
    return seconds


def _speed(outer: float, rate: str) -> float:
    percent = _PERCENT.fullmatch(rate)
    if percent:  # with a sign it is a change
        share = float(percent[2]) / 100
        factor = {"+": 1 + share, "-": 1 - share}.get(percent[1], share)
    elif re.fullmatch(r"\d{1,3}|\d{0,3}\.\d{1,6}", rate):
        factor = float(rate)
    elif rate in _RATES:
        factor = _RATES[rate]
    else:
        raise TextError(
            f"SSML <prosody rate> must be like 90%, +10%, 1.2 or one of {', '.join(_RATES)}, but "
            f"is {rate!r}"
        )
    speed = outer * factor
    if not 0.5 <= speed <= 2:
        raise TextError(f"SSML <prosody rate> must be from 50% to 200% in all, but is {speed:.0%}")
    return speed


def _kind(kind: str) -> str:
    if kind not in (*_SPELLED, "ordinal", *_AS_WRITTEN):
        known = ", ".join((*_SPELLED, "ordinal", *_AS_WRITTEN))
        raise TextError(f"SSML <say-as interpret-as> must be one of {known}, but is {kind!r}")
    return kind


def _as(text: str, kind: str) -> str:
    if kind == "ordinal":
        number = text.replace(",", "")
        if not (number.isascii() and number.isdecimal() and len(number) <= 15):
            raise TextError(f"SSML <say-as> must hold a whole number as an ordinal, not {text!r}")
        return ordinal(number)
    return spelled_out(text) if kind in _SPELLED else text
