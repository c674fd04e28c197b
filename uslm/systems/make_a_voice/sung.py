"""Notes and words to units and F0: the words as they are spoken, stretched to their notes.

    notes    |  C4        |  E4   |rest|  G4       |
    words    |  twin      |  kle  |    |  star     |
    units    |  a a a b b |  c d  | -- |  e e f f  |     each word said alone, its syllables equally
    F0       |  262 Hz    | 330   | 0  |  392      |     long, and held or shortened

It is the smallest honest way from a score: F0 is that of the note from its beginning to its end,
voiced throughout, without vibrato or glides; and a singer would hold vowels and not consonants.
"""

from collections.abc import Callable

import torch
from jaxtyping import Float, Int
from torch import Tensor

from uslm.text.score import Note, Score
from uslm_tokenizer.base import AudioTokenizer
from uslm_tokenizer.codecs.source_filter.pitch import PitchConfig
from uslm_tokenizer.errors import UserError

SaidAs = Callable[[str], Tensor]
"""A word to its units, as it is spoken."""


def check_reach(score: Score, pitch: PitchConfig) -> None:
    """UserError of a note that has no pitch token of its own."""
    highest = pitch.lowest * 2 ** ((pitch.num_steps - 1) / pitch.steps_per_octave)
    for note in score.notes:
        if not pitch.lowest <= note.hertz <= highest:
            raise UserError(
                f"{note} has {note.hertz:.0f} Hz, but what can be sung goes from "
                f"{pitch.lowest:.0f} to {highest:.0f} Hz; transpose the score"
            )


def sung_units(
    score: Score, units: AudioTokenizer, said: SaidAs
) -> tuple[Int[Tensor, " t"], Float[Tensor, " t"]]:
    """A unit and an F0 (Hz, 0 in rests) for each frame of the score. UserError of a note that is
    shorter than a frame."""
    rate = units.frame_rate
    count = round(score.seconds * rate)
    sung = silent_unit(units).repeat(count)
    f0 = torch.zeros(count)
    for word in score.words():
        spoken = said(word.text)
        bounds = [len(spoken) * i // len(word.syllables) for i in range(len(word.syllables) + 1)]
        for start, stop, notes in zip(bounds, bounds[1:], word.syllables, strict=False):
            places = torch.cat([frames_of(note, rate) for note in notes])
            # A word that is said in fewer units than syllables has one for each all the same.
            part = spoken[min(start, len(spoken) - 1) : max(stop, start + 1)]
            sung[places] = stretched(part, len(places))
            for note in notes:
                f0[frames_of(note, rate)] = note.hertz
    return sung, f0


def frames_of(note: Note, rate: float) -> Int[Tensor, " t"]:
    """Numbers of the frames in which a note sounds. UserError where there are none."""
    frames = torch.arange(round(note.start_seconds * rate), round(note.end_seconds * rate))
    if not len(frames):
        raise UserError(
            f"{note} lasts {note.seconds:.3f} s, less than a unit, of which there are {rate:g} per "
            "second"
        )
    return frames


def stretched(units: Int[Tensor, " t"], count: int) -> Int[Tensor, " n"]:
    """So many units, each held or left out evenly."""
    return units[torch.arange(count) * len(units) // count]


@torch.no_grad()
def silent_unit(units: AudioTokenizer) -> Int[Tensor, " 1"]:
    """The unit of silence: what most frames of a silent second are."""
    waveform = torch.zeros(1, 1, units.sample_rate, device=units.device)
    return units.encode(waveform)[0, 0].cpu().mode().values[None]
