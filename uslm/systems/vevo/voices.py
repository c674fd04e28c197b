"""Voices of Vevo of which the manner is one recording's, and the timbre another's."""

from dataclasses import replace

from jaxtyping import Int
from torch import Tensor

from uslm.systems.vevo.settings import MEL, TIMBRE_UNITS
from uslm.voices.prompt import VoicePrompt


def timbre_units(voice: VoicePrompt) -> Int[Tensor, " p"]:
    """Units of the frames that the flow goes on from."""
    found: Tensor = voice.extras.get(TIMBRE_UNITS, voice.codes[0])
    return found.long()


def mix(manner: VoicePrompt, timbre: VoicePrompt) -> VoicePrompt:
    """A voice of words and manner of one, and of how the other sounds."""
    extras = {
        **manner.extras, MEL: timbre.extras[MEL], TIMBRE_UNITS: timbre_units(timbre),
    }  # fmt: skip
    return replace(manner, name=f"{manner.name} as {timbre.name}", extras=extras)
