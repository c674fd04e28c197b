"""The cut of a prompt that is too long, and the words that are then left."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from uslm.voices.speech_activity import HOP_SECONDS, Levels, Mask, spans

AlignedWord = tuple[str, float, float]
"""A word, and where it begins and ends in seconds."""

SHORT_PAUSE_SECONDS = 0.1
LONG_PAUSE_SECONDS = 0.3


@dataclass(frozen=True, kw_only=True)
class Cut:
    """The new end of a recording."""

    seconds: float
    """Place of the cut."""
    pause_seconds: float
    """Length of the pause that it lies in; 0 where there was none."""


def find_cut(levels: Levels, speech: Mask, *, start: float, limit: float, margin: float) -> Cut:
    """The last long pause in the second half of what is allowed, else its longest short pause,
    else its softest place near the end; `margin` seconds of a pause are kept."""
    first, last = round((start + limit / 2) / HOP_SECONDS), round((start + limit) / HOP_SECONDS)
    pauses = [(a * HOP_SECONDS, b * HOP_SECONDS) for a, b in spans(~speech[first:last])]
    short = [pause for pause in pauses if _length(pause) > SHORT_PAUSE_SECONDS - 1e-6]
    long = [pause for pause in pauses if _length(pause) > LONG_PAUSE_SECONDS - 1e-6]
    if short:
        pause = long[-1] if long else max(short, key=_length)
        place = first * HOP_SECONDS + pause[0] + min(_length(pause), margin)
        return Cut(seconds=place, pause_seconds=_length(pause))
    late = round((start + 0.8 * limit) / HOP_SECONDS)
    smooth = np.convolve(levels[late:last], np.ones(5) / 5, mode="same")
    return Cut(seconds=(late + int(smooth.argmin())) * HOP_SECONDS, pause_seconds=0.0)


def cut_words(words: Sequence[AlignedWord], end: float) -> tuple[list[str], float]:
    """The words that end before `end`, and `end` moved back to where no word is cut in two."""
    kept = [word for word in words if word[2] <= end + 0.05]
    if kept and len(kept) < len(words) and words[len(kept)][1] < end:
        last_end, next_start = kept[-1][2], words[len(kept)][1]
        end = min(end, max(last_end, (last_end + next_start) / 2))
    return [word[0] for word in kept], end


def _length(pause: tuple[float, float]) -> float:
    return pause[1] - pause[0]
