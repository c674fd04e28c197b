"""MaskGCT with random weights, built in milliseconds: what tests and examples speak with."""

from dataclasses import replace
from pathlib import Path

import torch

from uslm.generate.masked import Unmasking
from uslm.output.joiner import JoinConfig
from uslm.synthesis.plan import PlanConfig
from uslm.systems.maskgct.duration import DurationRule
from uslm.systems.maskgct.model import MaskGCTSemanticToAcoustic, MaskGCTTextToSemantic
from uslm.systems.maskgct.pipeline import MaskGCT
from uslm.systems.maskgct.stages import STAGES, MaskGCTSettings
from uslm.systems.model_parts import Parts
from uslm.systems.tiny_folder import save_parts, save_signs
from uslm.text.vocab import PhonemeVocab
from uslm_tokenizer.codecs.maskgct.model import (
    MaskGCTCodec,
    MaskGCTCodecConfig,
    MaskGCTDecoderConfig,
    MaskGCTEncoderConfig,
    codebooks,
)
from uslm_tokenizer.codecs.ssl_units.model import SSLUnits
from uslm_tokenizer.hub import PretrainedModel
from uslm_tokenizer.nn.vocos import VocosConfig

SETTINGS = MaskGCTSettings(
    name="tiny maskgct",
    semantic=Unmasking(steps=(3,)),
    acoustic_steps=(2, 1),
    duration=DurationRule(least=0.5, usual=1.0, most=1.5),
    plan=PlanConfig(max_chars=40),
    join=JoinConfig(trim_silence=False),
    prompt_seconds=3.0,
)
"""It says little but noise, and that in a low_latency."""


def tiny_parts(*, seed: int = 0) -> dict[str, PretrainedModel]:
    """Every part, at 50 frames per second as published."""
    codec = MaskGCTCodecConfig(
        encoder=MaskGCTEncoderConfig(dim=2, strides=(3, 4, 5, 8), out_dim=8),
        decoder=MaskGCTDecoderConfig(
            quantizer=codebooks(3, 8, codebook_size=32, code_dim=4),
            vocos=VocosConfig(
                in_dim=8, dim=12, hidden_dim=24, num_layers=1, n_fft=1920, hop_length=480
            ),
        ),
    )
    rest = MaskGCTSemanticToAcoustic.tiny_config()
    t2s = replace(MaskGCTTextToSemantic.tiny_config(), num_phones=64)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        parts: dict[str, PretrainedModel] = {
            "semantic": SSLUnits(SSLUnits.tiny_config()),
            "acoustic": MaskGCTCodec(codec),
            "t2s": MaskGCTTextToSemantic(t2s),
            "s2a_first": MaskGCTSemanticToAcoustic(
                replace(rest, num_codebooks=1, first_codebook=0)
            ),
            "s2a_rest": MaskGCTSemanticToAcoustic(rest),
        }
        for stage in STAGES:  # fresh weights hardly attend
            for parameter in parts[stage].parameters():
                torch.nn.init.normal_(parameter, std=0.3)
    return {name: part.eval() for name, part in parts.items()}


def tiny_maskgct(*, seed: int = 0, settings: MaskGCTSettings = SETTINGS) -> MaskGCT:
    """It babbles. It reads our own phonemes, so that no published table is needed."""
    return MaskGCT(Parts(tiny_parts(seed=seed)), PhonemeVocab(), settings)


def save_tiny_maskgct(folder: Path, *, seed: int = 0) -> Path:
    """The folder that a conversion would have written, but with a table of single signs."""
    save_parts("maskgct", tiny_parts(seed=seed), folder)
    save_signs(folder)
    return folder
