"""The plan of a text that comes in fragments, as a language model writes it: segment by segment."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass

from uslm.synthesis.plan import PlanConfig, plan_text
from uslm.text.script import parse_script
from uslm.text.segmentation import SHORTEST_SEGMENT, Segment
from uslm.text.ssml import is_ssml
from uslm_tokenizer.errors import TextError

_LONGEST_MARK = 66
_MAY_BE_SSML = re.compile(r"\s*(<([?!s]\S{0,20})?)?$")


@dataclass(frozen=True)
class Waiting:
    """Nothing has come yet of what is to be said next."""


class TextFragments:
    """Fragments of a text, read once; `text` is what came so far."""

    def __init__(self, fragments: Iterable[str]) -> None:
        self._fragments = fragments
        self._read: list[str] = []

    @property
    def text(self) -> str:
        return "".join(self._read)

    def __iter__(self) -> Iterator[str]:
        for fragment in self._fragments:
            if not isinstance(fragment, str):
                raise TextError(f"text must come as str, but there is {type(fragment).__name__}")
            self._read.append(fragment)
            yield fragment


def plan_fragments(
    fragments: Iterable[str], config: PlanConfig, voices: Collection[str] | None = None
) -> Iterator[Segment | Waiting]:
    """The segments and pauses of `plan_text`, each as soon as what comes can hardly change it; for
    an empty fragment `Waiting`.

    A segment is held back until its successor has begun, for short sentences are joined. Where a
    text has many line ends, cuts may differ from those of the whole text. SSML is read to its end.
    Raises TextError as `plan_text` does.
    """
    text, had_text = "", False
    for fragment in fragments:
        if not fragment:
            yield Waiting()
            continue
        text += fragment
        if _MAY_BE_SSML.match(text) or is_ssml(text):
            continue
        while True:
            whole = _whole_marks(text)
            ready, rest = _first_segment(whole, config, voices)
            if not ready:
                break
            text = rest + text[len(whole) :]
            had_text |= any(not segment.is_pause for segment in ready)
            yield from ready
    if text.strip() or not had_text:
        yield from _last_segments(text, config, voices, had_text)


def _last_segments(
    text: str, config: PlanConfig, voices: Collection[str] | None, had_text: bool
) -> list[Segment]:
    """Segments left at the end; pauses and punctuation alone may be, after something was said."""
    if had_text and not any(segment.text for segment in parse_script(text, voices)):
        return parse_script(text, voices)
    return plan_text(text, config, voices)


def _first_segment(
    text: str, config: PlanConfig, voices: Collection[str] | None
) -> tuple[list[Segment], str]:
    """The first segment with the pauses around it, once it is settled, and the text after it."""
    if not any(segment.text for segment in parse_script(text, voices)):
        return [], text
    plan = plan_text(text, config, voices)
    places = [place for place, segment in enumerate(plan) if not segment.is_pause]
    if len(places) < 2:
        return [], text
    first, second = (plan[place] for place in places[:2])
    if len(places) == 2 and min(len(first.text), len(second.text)) < SHORTEST_SEGMENT:
        return [], text  # they may still be joined
    words = r"\s*".join(re.escape(word) for word in first.text.split())
    found = re.search(words, text)
    if found is None:  # written otherwise; it comes with what follows
        return [], text
    rest = text[found.end() :]
    goes_on = f"[{second.voice}] " if voices is not None and second.voice else ""
    if goes_on and rest.lstrip().startswith("["):
        goes_on = f"[{first.voice}] " if first.voice else ""
    begins_with_pause = parse_script(rest, voices)[:1]
    own = begins_with_pause and begins_with_pause[0].is_pause
    return plan[: places[0] + 1 if own else places[1]], goes_on + rest


def _whole_marks(text: str) -> str:
    """The text without a mark at its end that is not closed yet."""
    opened = text.rfind("[")
    if opened >= 0 and "]" not in text[opened:] and len(text) - opened <= _LONGEST_MARK:
        return text[:opened]
    return text
