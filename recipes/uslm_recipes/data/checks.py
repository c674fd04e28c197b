"""Signs, found without a recogniser, that a text is not what its recording says."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

WINDOW = 64  # recordings in a row whose texts are compared with their lengths
ENOUGH = 48  # of them whose lengths are known
MAX_SHIFT = 5


@dataclass(frozen=True, kw_only=True)
class TextRules:
    """Rules for texts that enter a corpus."""

    max_ids_per_second: float = 27.0
    """A text that would have to be spoken faster belongs to another recording, or this one is cut
    off; of 5,000 sound English recordings the fastest has 26.5."""
    max_characters_per_second: float = 30.0
    """The same for texts without phonemes."""
    min_characters_per_second: float = 0.5
    """A text that would have to be spoken slower leaves something out; in sound recordings of
    single words with silence around them it is .8."""
    needs_text: bool = False
    """Whether recordings without text are left out."""


def text_problem(text: str, num_ids: int, seconds: float, rules: TextRules) -> str | None:
    """Reason why the text cannot belong to a recording of this length, if so."""
    if not text and not num_ids:
        return "empty text" if rules.needs_text else None
    if num_ids > rules.max_ids_per_second * seconds:
        return f"text of {num_ids} phonemes does not fit into {seconds:.2f} s"
    if not num_ids and len(text) > rules.max_characters_per_second * seconds:
        return f"text of {len(text)} characters does not fit into {seconds:.2f} s"
    if text and len(text) < rules.min_characters_per_second * seconds:
        return f"text of {len(text)} characters is too short for {seconds:.2f} s"
    return None


def order_problem(characters: Sequence[int], seconds: Sequence[float]) -> str | None:
    """Reason why texts in a row do not belong to their recordings, by length alone, if so.

    0 characters or a length that is not a number stand for what is not known.

    Longer texts take longer: in windows of 64 sound recordings of ten collections the two correlate
    by .29 to .99, and by at most .6 when shifted against each other.
    """
    texts, lengths = np.asarray(characters, np.float64), np.asarray(seconds, np.float64)
    texts[texts == 0] = np.nan
    if np.isfinite(texts * lengths).sum() < ENOUGH:
        return None
    here = _correlation(texts, lengths, 0)
    shifts = [shift for shift in range(-MAX_SHIFT, MAX_SHIFT + 1) if shift]
    there = {shift: _correlation(texts, lengths, shift) for shift in shifts}
    best = max(there, key=lambda shift: there[shift])
    if here < 0.4 and there[best] > 0.75:
        side = "later" if best > 0 else "earlier"
        return (
            f"texts in the wrong order: they fit recordings {abs(best)} lines {side} "
            f"(their lengths correlate by {there[best]:.2f}, here by {here:.2f})"
        )
    if here < 0.15 and np.nanstd(texts) > 0.35 * np.nanmean(texts):
        return f"texts in the wrong order: their lengths correlate with the sound by {here:.2f}"
    return None


def _correlation(texts: NDArray[np.float64], lengths: NDArray[np.float64], shift: int) -> float:
    """Of each text with the recording `shift` lines later."""
    if shift > 0:
        texts, lengths = texts[:-shift], lengths[shift:]
    elif shift < 0:
        texts, lengths = texts[-shift:], lengths[:shift]
    known = np.isfinite(texts * lengths)
    texts, lengths = texts[known], lengths[known]
    if texts.std() == 0 or lengths.std() == 0:  # nothing can be said
        return 1.0 if shift == 0 else 0.0
    return float(np.corrcoef(texts, lengths)[0, 1])
