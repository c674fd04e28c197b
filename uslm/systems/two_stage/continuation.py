"""Continuation with a model of ours: units that follow a recording, in the voice of that."""

from collections.abc import Callable

import torch
from jaxtyping import Int
from torch import Tensor

from uslm.synthesis.protocols import Converted
from uslm.synthesis.timer import StageTimer
from uslm.systems.two_stage.conversion import speak_units, units_and_pitches
from uslm.systems.two_stage.parts import BundleParts
from uslm.voices.prompt import VoicePrompt
from uslm_tokenizer.audio.read import Audio
from uslm_tokenizer.errors import AudioError, UserError


def continue_by_units(
    bundle: BundleParts,
    prompt: Audio,
    voice: VoicePrompt,
    go_on: Callable[[Int[Tensor, " t"]], Int[Tensor, " n"]],
    seed: int,
    timer: StageTimer,
) -> Converted:
    """Sound that follows `prompt`: `go_on` tells the units after its own. Stage 2 sees these too,
    so that the join is heard as little as that of two blocks. UserError where nothing follows."""
    waveform = prompt.resampled(bundle.tokenizer.sample_rate).waveform
    if not waveform.shape[-1]:
        raise AudioError("the recording to go on from is empty")
    with timer.stage("semantic"):
        units, pitches = units_and_pitches(bundle, waveform, voice)
        new = go_on(units)
        if not len(new):
            raise UserError("the language model ended the speech at once; another seed may help")
        if len(pitches):
            pitches = torch.cat([pitches, pitches_like(units, pitches, new)])
    whole = speak_units(bundle, torch.cat([units, new]), pitches, voice, seed, timer)
    begin = len(units) * bundle.tokenizer.hop_length
    return Converted(waveform=whole.waveform[:, begin:], codes=whole.codes[:, len(units) :])


def pitches_like(
    units: Int[Tensor, " t"], pitches: Int[Tensor, " t"], new: Int[Tensor, " n"]
) -> Int[Tensor, " n"]:
    """Pitches of new units: each has that of the same unit where it was last heard before.

    A language model of units alone tells none. A unit that was not heard goes on with what is
    before it; so the melody is that of the recording, in fragments.
    """
    known = dict(zip(units.tolist(), pitches.tolist(), strict=True))
    found, latest = [], int(pitches[-1]) if len(pitches) else 0
    for unit in new.tolist():
        latest = known.get(unit, latest)
        found.append(latest)
    return torch.tensor(found, dtype=pitches.dtype)
