"""Voice conversion with a model of ours: units (and melody) of the source, codebooks of the
voice."""

from dataclasses import replace

import torch
from jaxtyping import Float, Int
from torch import Tensor

from uslm.output.samples import checked_samples
from uslm.output.streaming_decoder import StreamingDecoder
from uslm.synthesis.protocols import Converted
from uslm.synthesis.seeds import generator
from uslm.synthesis.timer import StageTimer
from uslm.systems.two_stage.blocks import CodeBlocks
from uslm.systems.two_stage.parts import BundleParts
from uslm.systems.two_stage.voice_row import median_pitch
from uslm.voices.prompt import VoicePrompt
from uslm_tokenizer.audio.read import Audio
from uslm_tokenizer.base import AudioTokenizer
from uslm_tokenizer.errors import AudioError

WINDOW_SECONDS = 20.0
"""Longer recordings are encoded in windows of this length."""


def convert_by_units(
    bundle: BundleParts, source: Audio, voice: VoicePrompt, seed: int, timer: StageTimer
) -> Converted:
    """The words of `source` in the voice; the seed matters only where stage 2 draws."""
    waveform = source.resampled(bundle.tokenizer.sample_rate).waveform
    if not waveform.shape[-1]:
        raise AudioError("the recording to convert is empty")
    with timer.stage("semantic"):
        units, pitches = units_and_pitches(bundle, waveform, voice)
    converted = speak_units(bundle, units, pitches, voice, seed, timer)
    return replace(converted, waveform=converted.waveform[:, : waveform.shape[-1]])


def speak_units(
    bundle: BundleParts,
    units: Int[Tensor, " t"],
    pitches: Int[Tensor, " _"],
    voice: VoicePrompt,
    seed: int,
    timer: StageTimer,
) -> Converted:
    """Sound of units and pitches, as `units_and_pitches` finds them, in the voice."""
    decoder, made = StreamingDecoder(bundle.tokenizer), []
    blocks = CodeBlocks(bundle.config.blocks, bundle.voice_row(voice), None)
    draws = generator(seed, "acoustic")
    spoken, heights = units.tolist(), pitches.tolist()
    while (row := blocks.plan(spoken, is_final=True, pitches=heights)) is not None:
        with timer.stage("acoustic"):
            [filled] = bundle.fill([row], [draws])
        blocks.accept(filled)
        with timer.stage("decode"):
            is_final = blocks.num_frames == len(units)
            new = blocks.codes[:, decoder.num_frames :]
            made.append(decoder.push(new, is_final))
        if made[-1].numel():
            timer.audio()
    return Converted(
        waveform=checked_samples(torch.cat(made, dim=1), "the conversion"), codes=blocks.codes
    )


def units_and_pitches(
    bundle: BundleParts, waveform: Float[Tensor, "1 n"], voice: VoicePrompt
) -> tuple[Int[Tensor, " t"], Int[Tensor, " _"]]:
    """Units and pitches of a recording of any length: its units, and its melody at
    the height of the voice; no pitches where the model knows none."""
    tokenizer, codebook = bundle.tokenizer, bundle.pitch_codebook
    if codebook is None:
        return encode_units(tokenizer, waveform), torch.zeros(0, dtype=torch.long)
    codes = tokenizer.encode_long(waveform, seconds=WINDOW_SECONDS)
    highest = tokenizer.num_pitches - 1
    return codes[0], transposed(codes[codebook], voice.codes[codebook], highest)


def transposed(
    pitches: Int[Tensor, " t"], voice: Int[Tensor, " p"], most: int
) -> Int[Tensor, " t"]:
    """The melody of some pitches at the height of a voice's."""
    moved = pitches + median_pitch(voice) - median_pitch(pitches)
    return torch.where(pitches > 0, moved.clamp(1, most), 0)


def encode_units(tokenizer: AudioTokenizer, waveform: Float[Tensor, "1 n"]) -> Int[Tensor, " t"]:
    """Units of a recording of any length."""
    inside = getattr(tokenizer, "units", None)
    assert isinstance(inside, AudioTokenizer)  # as those of our models are
    return inside.encode_long(waveform, seconds=WINDOW_SECONDS)[0]
