"""USLM with random weights, built in milliseconds: what tests and examples speak with."""

from dataclasses import replace
from pathlib import Path

import torch

from uslm.generate.length import LengthConfig
from uslm.output.joiner import JoinConfig
from uslm.systems.tiny_folder import save_parts
from uslm.systems.valle.ar import ValleAR
from uslm.systems.valle.model import Valle, ValleConfig
from uslm.systems.valle.nar import ValleNAR
from uslm.systems.valle.pipeline import Uslm
from uslm.systems.valle.settings import UslmSettings
from uslm_tokenizer.codecs.speech_tokenizer.model import SpeechTokenizer
from uslm_tokenizer.nn.seanet import SEANetConfig

HASTY = LengthConfig(min_frames_per_symbol=0.5, max_frames_per_symbol=1.0, margin_frames=15)
"""It never knows when to end, so it is stopped early."""
UNTRIMMED = JoinConfig(trim_silence=False)
"""Random weights say nothing but silence now and then."""


def tiny_uslm(*, seed: int = 0) -> Uslm:
    """A USLM that babbles, at 50 frames per second as the pretrained one."""
    tokenizer = replace(
        SpeechTokenizer.tiny_config(),
        network=SEANetConfig(dim=12, num_filters=2, strides=(8, 5, 4, 2), bidirectional=True),
    )
    size, codebooks = tokenizer.level.codebook_size, tokenizer.num_levels
    model = ValleConfig(
        ar=replace(ValleAR.tiny_config(), text_vocab_size=100, codebook_size=size),
        nar=replace(
            ValleNAR.tiny_config(), text_vocab_size=100, codebook_size=size, num_codebooks=codebooks
        ),
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return Uslm(
            SpeechTokenizer(tokenizer).eval(),
            Valle(model).eval(),
            settings=UslmSettings(length=HASTY, join=UNTRIMMED),
        )


def save_tiny_uslm(synthesizer: Uslm, folder: Path) -> Path:
    """The folder that a conversion would have written."""
    save_parts("uslm", {"codec": synthesizer.tokenizer, "lm": synthesizer.model}, folder)
    return folder


def save_tiny_folder(folder: Path) -> Path:
    """The same of a new one."""
    return save_tiny_uslm(tiny_uslm(), folder)
