"""The voice that stage 2 is given, and how it is kept in a voice's file."""

import torch
from jaxtyping import Int
from torch import Tensor

from uslm.models.base import AcousticRow, VoiceFit
from uslm.voices.prompt import VoicePrompt

SPOKEN, POOLED, OUTPUT = "spoken", "fit.pooled", "fit.output"
"""Names of the extra tensors: text id of the symbol that each frame is of; what was fitted."""
USUAL_PITCH = 32
"""Median of a voice that was never voiced, in the codec's steps: some 150 Hz."""


def voice_extras(spoken: Int[Tensor, " p"] | None, fit: VoiceFit | None) -> dict[str, Tensor]:
    """The extra tensors of a voice."""
    extras = {} if spoken is None else {SPOKEN: spoken.to(torch.int16)}
    return extras if fit is None else {**extras, POOLED: fit.pooled, OUTPUT: fit.output}


def voice_row(voice: VoicePrompt, max_frames: int) -> AcousticRow:
    """A row without frames, in a voice of at most so many frames."""
    extras, codes = voice.extras, voice.codes[:, :max_frames]
    spoken = extras[SPOKEN].long()[:max_frames] if SPOKEN in extras else None
    fitted = POOLED in extras and OUTPUT in extras
    return AcousticRow(
        prompt=codes,
        codes=codes[:, :0],
        prompt_spoken=spoken,
        fit=VoiceFit(extras[POOLED].float(), extras[OUTPUT].float()) if fitted else None,
    )


def median_pitch(pitches: Int[Tensor, " t"]) -> int:
    """The median of the voiced frames, in the codec's steps."""
    voiced = pitches[pitches > 0]
    return int(voiced.median()) if len(voiced) else USUAL_PITCH
