"""Any English text as people write it -> clean text on one line, fit for the rules."""

from __future__ import annotations

from uslm.text.clean import Cleaned, clean
from uslm.text.english.characters import spell_out
from uslm.text.english.layout import lay_out
from uslm.text.english.scripts import in_latin, leave_out


def clean_english(text: str, marked_up: bool = True) -> Cleaned:
    """Like `clean`; also mark-up becomes pauses, look-alikes become what they stand for, and what
    the voice cannot read is left out and named. `marked_up=False` leaves mark-up as it is."""
    cleaned = clean(spell_out(lay_out(text)) if marked_up else text)
    readable, unread = leave_out(in_latin(cleaned.text))
    return Cleaned(" ".join(readable.split()), (*cleaned.dropped, *unread))
