"""Voice conversion with a model of ours: units of the source, levels of the voice."""

import torch
from jaxtyping import Float, Int
from torch import Tensor

from uslm.output.samples import checked_samples
from uslm.output.streaming_decoder import StreamingDecoder
from uslm.synthesis.protocols import Converted
from uslm.synthesis.seeds import generator
from uslm.synthesis.timer import Clock
from uslm.systems.two_stage.blocks import CodeBlocks
from uslm.systems.two_stage.bundle import Bundle
from uslm.voices.prompt import VoicePrompt
from uslm.voices.verification import recognizer
from uslm_tokenizer.audio.read import Audio
from uslm_tokenizer.base import AudioTokenizer
from uslm_tokenizer.errors import AudioError

WINDOW_SECONDS = 20.0
"""Longer recordings are encoded in windows of this length, ..."""
MARGIN_SECONDS = 2.0
"""... each with so much of its neighbours."""


def revoice(
    bundle: Bundle, source: Audio, voice: VoicePrompt, seed: int, clock: Clock
) -> Converted:
    """The words of `source` in the voice; the seed matters only where stage 2 draws."""
    config, tokenizer = bundle.config, bundle.tokenizer
    waveform = source.resampled(tokenizer.sample_rate).waveform
    if not waveform.shape[-1]:
        raise AudioError("the recording to convert is empty")
    with clock.stage("semantic"):
        units = encode_units(tokenizer, waveform)
    decoder, made = StreamingDecoder(tokenizer), []
    blocks = CodeBlocks(config.blocks, voice.codes[:, : config.prompt.acoustic_frames], None)
    draws = generator(seed, "acoustic")
    spoken = units.tolist()
    while (row := blocks.plan(spoken, is_final=True)) is not None:
        with clock.stage("acoustic"):
            [filled] = bundle.fill([row], [draws])
        blocks.accept(filled)
        with clock.stage("decode"):
            is_final = blocks.num_frames == len(units)
            new = blocks.codes[:, decoder.num_frames :]
            made.append(decoder.push(new, is_final))
        if made[-1].numel():
            clock.audio()
    samples = checked_samples(torch.cat(made, dim=1), "the conversion")
    return Converted(waveform=samples[:, : waveform.shape[-1]], codes=blocks.codes)


def encode_units(tokenizer: AudioTokenizer, waveform: Float[Tensor, "1 n"]) -> Int[Tensor, " t"]:
    """Units of a recording of any length, window by window."""
    encoder, hop = recognizer(tokenizer), tokenizer.hop_length
    step = int(WINDOW_SECONDS * tokenizer.frame_rate) * hop
    margin = int(MARGIN_SECONDS * tokenizer.frame_rate) * hop
    pieces = []
    for start in range(0, waveform.shape[-1], step):
        first = max(0, start - margin)
        window = waveform[:, first : start + step + margin]
        units = encoder.encode(window[None].to(tokenizer.device))[0, 0].cpu()
        pieces.append(units[(start - first) // hop :][: step // hop])
    return torch.cat(pieces)
