"""Rhythm of another recording of a text: its track of phonemes leads stage 1 (VALL-E R).

    recording -> units -> where each symbol of the text begins -> a symbol for each unit to come

Whose voice it is has nothing to do with it, and neither has the pitch: stage 1 draws that.
"""

import torch

from uslm.generate.sampling import Sampling
from uslm.synthesis.protocols import Converted, SegmentRequest
from uslm.synthesis.timer import StageTimer
from uslm.systems.two_stage.parts import BundleParts
from uslm.systems.two_stage.segment_synthesizer import BundleSegmentSynthesizer
from uslm.text.frontend import FrontendResult
from uslm.voices.alignment import align_ctc, symbols_of
from uslm.voices.prompt import VoicePrompt
from uslm.voices.verification import recognizer
from uslm_tokenizer.audio.read import Audio
from uslm_tokenizer.errors import UserError


@torch.no_grad()
def symbol_track(bundle: BundleParts, recording: Audio, text: FrontendResult) -> tuple[int, ...]:
    """Index of the symbol that each unit of a recording is of, from the first symbol on.

    UserError where the text does not fit into the recording, or the model cannot find it there.
    """
    if bundle.vocab.reads != "phonemes":
        raise UserError("a track is one of phonemes, but this model reads letters")
    listener, lasts = recognizer(bundle.tokenizer), bundle.semantic.frames_per_unit
    waveform = recording.resampled(bundle.tokenizer.sample_rate).waveform
    units = listener.encode(waveform[None].to(bundle.tokenizer.device))[:, 0]
    starts = align_ctc(listener.phoneme_logits(units)[0], text.text_ids)
    if not starts:
        raise UserError(
            f"the recording of {recording.seconds:.1f} s is too short for the "
            f"{len(text.text_ids)} symbols of {text.text!r}"
        )
    frames = torch.arange(starts[0], units.shape[1], lasts)
    return tuple(symbols_of(frames, torch.tensor(starts)).tolist())


def speak_along(
    bundle: BundleParts,
    text: FrontendResult,
    recording: Audio,
    voice: VoicePrompt,
    *,
    seed: int,
    sampling: Sampling | None = None,
) -> Converted:
    """The text, in one go, in the voice and with the rhythm of the recording."""
    request = SegmentRequest(
        index=0, text=text, voice=voice, seed=seed, low_latency=False,
        track=symbol_track(bundle, recording, text),
    )  # fmt: skip
    synthesizer = BundleSegmentSynthesizer(
        bundle, sampling or bundle.settings.sampling, StageTimer()
    )
    [made] = synthesizer.synthesize_batch([request])
    assert made.result is not None
    return Converted(waveform=made.waveform, codes=made.result.codes)
