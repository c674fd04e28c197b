"""Speakers who are learnt from, and those who are kept for tests."""

import hashlib
import re

TEST_SHARE = 0.04


def split_of(speaker: str, given: str | None = None) -> str:
    """The part of the corpus that a speaker belongs to: as given, or drawn by the name's hash."""
    listed = re.fullmatch(r"ls/(\d+)", speaker)
    if listed and int(listed[1]) % 5 == 0:  # LibriSpeech speakers that are kept for tests
        return "test"
    if given is not None:
        return given
    digest = hashlib.sha256(speaker.encode(errors="replace")).digest()
    return "test" if int.from_bytes(digest[:8], "big") < TEST_SHARE * 2**64 else "train"
