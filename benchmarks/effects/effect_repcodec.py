"""RepCodecs of log-mel frames, as Vevo's tokenizers: one feature, codebooks of any size."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import torch
from effect_codec import FRAME_RATE, MELS, Frames, Rows, crops, frames_of, places, seeded

from uslm.evaluation.suites.encoded import EncodedSet, EncodedSpeech
from uslm.evaluation.suites.speech_set import LabelledSpeech
from uslm_tokenizer.codecs.repcodec.model import RepCodec, RepCodecConfig
from uslm_tokenizer.quantize.factorized import FactorizedQuantizerConfig


@lru_cache(maxsize=32)
def trained_repcodec(speech: object, seed: int, steps: int, size: int) -> RepCodec:
    """One whose codebook has this size; every size has the same start, crops and steps."""
    frames = frames_of(speech)  # type: ignore[arg-type]
    quantizer = FactorizedQuantizerConfig(dim=MELS, code_dim=8, codebook_size=size)
    config = RepCodecConfig(dim=48, hidden_dim=96, num_layers=2, quantizer=quantizer)
    codec: RepCodec = seeded(seed, lambda: RepCodec(config)).train()
    draw = torch.Generator().manual_seed(seed)
    start = torch.cat([crops(frames.train, *places(frames.train, draw)) for _ in range(4)])
    with torch.no_grad():
        codec.quantizer.initialize(codec.latents(start), generator=draw)
    optimizer = torch.optim.Adam(codec.parameters(), 2e-3)
    for _ in range(steps):
        x = crops(frames.train, *places(frames.train, draw))
        optimizer.zero_grad()
        codec(x, generator=draw).loss.backward()
        torch.nn.utils.clip_grad_norm_(codec.parameters(), 1.0)
        optimizer.step()
    return codec.eval()


def repcodec_codes(codec: RepCodec, frames: Frames) -> EncodedSet:
    """The codes of each utterance, one for a frame."""

    def coded(rows: Rows, given: Sequence[LabelledSpeech]) -> tuple[EncodedSpeech, ...]:
        return tuple(
            EncodedSpeech(codes=codec.encode(x[None])[0], speech=each)
            for x, each in zip(rows, given, strict=True)
        )

    return EncodedSet(
        name=f"K = {codec.codebook_size}",
        train=coded(frames.train, frames.speech.train),
        test=coded(frames.test, frames.speech.test),
        frame_rate=FRAME_RATE,
        codebook_size=codec.codebook_size,
        num_codebooks=1,
    )
