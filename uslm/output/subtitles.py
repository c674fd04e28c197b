"""Subtitles of speech: its words in cues that can be read, as SubRip (SRT) and WebVTT."""

import html
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass

from uslm.output.speech import SegmentReport, Word

LINE_CHARS = 42
CUE_CHARS = 2 * LINE_CHARS
CUE_SECONDS = 7.0
PAUSE_SECONDS = 0.6
"""A pause of this length ends a cue."""
SENTENCE_ENDS = (".", "!", "?", "…", "。", "！", "？")  # noqa: RUF001 (of other scripts)
CLOSING = "\"'”’»)]"  # noqa: RUF001 (quotation marks)


@dataclass(frozen=True, kw_only=True)
class Cue:
    """Text that is shown at once."""

    start_seconds: float
    end_seconds: float
    words: tuple[Word, ...]

    @property
    def text(self) -> str:
        """All words."""
        return " ".join(word.text for word in self.words)


def make_cues(segments: Sequence[SegmentReport]) -> list[Cue]:
    """Cues of at most two lines and seven seconds that end where sentences and pauses do.

    A segment whose words have no times becomes one cue.
    """
    cues: list[Cue] = []
    for segment in segments:
        if segment.words:
            cues += _grouped(segment.words)
        elif segment.stop_reason != "silent" and segment.text.split():
            whole = Word(
                text=" ".join(segment.text.split()),
                start_seconds=segment.start_seconds,
                end_seconds=segment.end_seconds,
            )
            cues.append(_cue([whole]))
    return cues


def to_srt(segments: Sequence[SegmentReport]) -> str:
    """SubRip: numbered cues."""
    cues = []
    for number, cue in enumerate(make_cues(segments), start=1):
        span = f"{_clock(cue.start_seconds, ',')} --> {_clock(cue.end_seconds, ',')}"
        cues.append(f"{number}\n{span}\n{_lines(cue.text.replace('-->', '→'))}\n")
    return "\n".join(cues)


def to_vtt(segments: Sequence[SegmentReport]) -> str:
    """WebVTT; inside a cue each word but the first has its own time."""
    cues = ["WEBVTT\n"]
    for cue in make_cues(segments):
        span = f"{_clock(cue.start_seconds, '.')} --> {_clock(cue.end_seconds, '.')}"
        texts = [html.escape(word.text, quote=False) for word in cue.words]
        times = ["", *(f"<{_clock(word.start_seconds, '.')}>" for word in cue.words[1:])]
        timed = " ".join(time + text for time, text in zip(times, texts, strict=True))
        cues.append(f"{span}\n{timed}\n")
    return "\n".join(cues)


def _grouped(words: Sequence[Word]) -> list[Cue]:
    cues: list[Cue] = []
    group: list[Word] = []
    for word in words:
        if group and _is_full(group, word):
            cues.append(_cue(group))
            group = []
        group.append(word)
    return [*cues, _cue(group)]


def _is_full(group: Sequence[Word], following: Word) -> bool:
    first, last = group[0], group[-1]
    return (
        last.text.rstrip(CLOSING).endswith(SENTENCE_ENDS)
        or following.start_seconds - last.end_seconds > PAUSE_SECONDS
        or following.end_seconds - first.start_seconds > CUE_SECONDS
        or sum(len(word.text) + 1 for word in group) + len(following.text) > CUE_CHARS
    )


def _cue(words: Sequence[Word]) -> Cue:
    return Cue(
        start_seconds=words[0].start_seconds,
        end_seconds=words[-1].end_seconds,
        words=tuple(words),
    )


def _lines(text: str) -> str:
    """Lines of about one length, as few as there can be."""
    num_lines = -(-len(text) // LINE_CHARS)
    for width in range(-(-len(text) // num_lines), len(text) + 1):
        lines = textwrap.wrap(text, width, break_long_words=False, break_on_hyphens=False)
        if len(lines) <= num_lines:
            break
    return "\n".join(lines)


def _clock(seconds: float, point: str) -> str:
    """hours:minutes:seconds with milliseconds."""
    milliseconds = round(1000 * seconds)
    minutes, milliseconds = divmod(milliseconds, 60_000)
    hours, minutes = divmod(minutes, 60)
    return f"{hours:02d}:{minutes:02d}:{milliseconds // 1000:02d}{point}{milliseconds % 1000:03d}"
