"""Classes that collections publish of their speakers, in one set of words."""

from __future__ import annotations

import re
from collections.abc import Mapping

GENDERS = {
    "f": "female",
    "female": "female",
    "female_feminine": "female",
    "m": "male",
    "male": "male",
    "male_masculine": "male",
}
"""As VCTK, LibriSpeech and Common Voice write them. Whoever says neither has no label."""
KOKORO_VOICE = re.compile(r"[a-z]([fm])_[a-z]+")
"""A language's letter, a gender's, and a name: af_heart."""


def gender_label(written: str) -> Mapping[str, str]:
    """The label for what a collection writes; none where it says neither or nothing."""
    gender = GENDERS.get(written.strip().lower())
    return {} if gender is None else {"gender": gender}


def labels_of_voice(speaker: str) -> Mapping[str, str]:
    """Labels that the name of a synthetic voice tells: those of Kokoro say their gender."""
    named = KOKORO_VOICE.fullmatch(speaker.rpartition("/")[2])
    return {} if named is None else gender_label(named[1])
