"""A score: notes, how long each lasts, and the syllables that are sung to them.

Lyrics are written as under notes: `Twin-kle, twin-kle lit-tle star` has seven syllables; a `_`
holds the syllable before it for one note more.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from uslm_tokenizer.errors import ConfigError, UserError

HOLD = "_"
TOLERANCE_SECONDS = 1e-3
"""By how much a note may begin before the last one ends: times of files are rounded."""
A4_NUMBER, A4_HERTZ = 69, 440.0
NAMES = ("C", "C#", "D", "D#", "E", "F", "F#", "G", "G#", "A", "A#", "B")


@dataclass(frozen=True, kw_only=True)
class Note:
    """One note of a voice."""

    start_seconds: float
    """When it begins."""
    seconds: float
    """How long it lasts."""
    number: float
    """Its height, as MIDI counts half-tones: 69 is A4, 440 Hz."""
    syllable: str = ""
    """What is sung to it; empty: the syllable before is held, or nothing is known yet."""
    joined: bool = False
    """Whether the word goes on in the next syllable."""

    def __post_init__(self) -> None:
        if not (self.start_seconds >= 0 and self.seconds > 0 and 0 <= self.number <= 127):
            raise ConfigError(
                "a note must begin at 0 s or later, last longer than 0 s and have a number from 0 "
                f"to 127, but is {self}"
            )

    @property
    def end_seconds(self) -> float:
        """Its end, seconds."""
        return self.start_seconds + self.seconds

    @property
    def hertz(self) -> float:
        """Its F0, Hz."""
        return float(A4_HERTZ * 2 ** ((self.number - A4_NUMBER) / 12))

    def __str__(self) -> str:
        octave = round(self.number) // 12 - 1
        return f"{NAMES[round(self.number) % 12]}{octave} at {self.start_seconds:.2f} s"


@dataclass(frozen=True)
class SungWord:
    """A word and the notes of each of its syllables."""

    text: str
    syllables: tuple[tuple[Note, ...], ...]


@dataclass(frozen=True)
class Score:
    """Notes of one voice in the order of their beginnings. UserError where there are none, or where
    two sound at once."""

    notes: tuple[Note, ...]

    def __post_init__(self) -> None:
        if not self.notes:
            raise UserError("the score holds no notes")
        for before, after in zip(self.notes, self.notes[1:], strict=False):
            if after.start_seconds < before.end_seconds - TOLERANCE_SECONDS:
                raise UserError(
                    f"the notes {before} and {after} of the score overlap, but one voice sings one "
                    "note at a time; leave a single melody in it"
                )

    @property
    def seconds(self) -> float:
        """The end of the last note, seconds."""
        return self.notes[-1].end_seconds

    @property
    def lyrics(self) -> str:
        """Its words."""
        return " ".join(word.text for word in self.words())

    def transposed(self, half_tones: float) -> Score:
        """The same, so many half-tones higher; UserError where a note has no number then."""
        for note in self.notes:
            if not 0 <= note.number + half_tones <= 127:
                raise UserError(f"{note} cannot be moved by {half_tones:g} half-tones")
        return Score(tuple(replace(n, number=n.number + half_tones) for n in self.notes))

    def with_lyrics(self, lyrics: str) -> Score:
        """The same with other lyrics. UserError unless there is a syllable for each note."""
        syllables = split_lyrics(lyrics)
        if len(syllables) != len(self.notes):
            raise UserError(
                f"the lyrics have {len(syllables)} syllables (with each {HOLD!r}), but the score "
                f"has {len(self.notes)} notes; write - between syllables of a word, and {HOLD} for "
                "each further note of a syllable"
            )
        notes = zip(self.notes, syllables, strict=True)
        return Score(tuple(replace(n, syllable=text, joined=join) for n, (text, join) in notes))

    def words(self) -> tuple[SungWord, ...]:
        """Words, with the notes of their syllables. UserError where nothing is to be sung to the
        first note."""
        if not self.notes[0].syllable:
            raise UserError(
                f"the score says nothing to sing to its first note, {self.notes[0]}; give the "
                "lyrics as well"
            )
        groups: list[list[Note]] = []
        for note in self.notes:
            if note.syllable:
                groups.append([note])
            else:
                groups[-1].append(note)
        words, word = [], list[list[Note]]()
        for place, group in enumerate(groups):
            word.append(group)
            if not group[0].joined or place == len(groups) - 1:
                text = "".join(part[0].syllable for part in word)
                words.append(SungWord(text, tuple(tuple(part) for part in word)))
                word = []
        return tuple(words)


def split_lyrics(lyrics: str) -> Sequence[tuple[str, bool]]:
    """Syllables, and whether their word goes on; a held one is empty. UserError of lyrics without
    words."""
    found: list[tuple[str, bool]] = []
    for word in lyrics.split():
        parts = [part for part in word.replace(HOLD, f"-{HOLD}-").split("-") if part]
        sung = [place for place, part in enumerate(parts) if part != HOLD]
        for place, part in enumerate(parts):
            more = bool(sung) and place < sung[-1]
            found.append(("", False) if part == HOLD else (part, more))
    if not any(text for text, _ in found):
        raise UserError("the lyrics hold no words")
    if not found[0][0]:
        raise UserError(f"lyrics must begin with a syllable, but begin with {HOLD!r}")
    return found
