"""Published systems with random weights: every part is there, built in milliseconds."""

import json
from dataclasses import replace
from pathlib import Path

import torch

from uslm.models.valle import Valle, ValleConfig
from uslm.models.valle_ar import ValleAR
from uslm.models.valle_nar import ValleNAR
from uslm.pipeline.bundle_config import LengthConfig
from uslm.pipeline.long_text import JoinConfig
from uslm.pipeline.published.uslm import Uslm, UslmSettings
from uslm_tokenizer.acoustic.speech_tokenizer import SpeechTokenizer
from uslm_tokenizer.nn.seanet import SEANetConfig
from uslm_tokenizer.published.store import RECORD

HASTY = LengthConfig(min_frames_per_symbol=0.5, max_frames_per_symbol=1.0, margin_frames=15)
"""They never know when to end, so they are stopped early."""
UNTRIMMED = JoinConfig(trim_silence=False)
"""Random weights say nothing but silence now and then."""


def tiny_uslm(*, seed: int = 0) -> Uslm:
    """A USLM that babbles, at 50 frames a second as the published one."""
    tokenizer = replace(
        SpeechTokenizer.tiny_config(),
        network=SEANetConfig(dim=12, num_filters=2, strides=(8, 5, 4, 2), bidirectional=True),
    )
    size, levels = tokenizer.level.codebook_size, tokenizer.num_levels
    model = ValleConfig(
        ar=replace(ValleAR.tiny_config(), text_vocab_size=100, codebook_size=size),
        nar=replace(
            ValleNAR.tiny_config(), text_vocab_size=100, codebook_size=size, num_codebooks=levels
        ),
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return Uslm(
            SpeechTokenizer(tokenizer).eval(),
            Valle(model).eval(),
            settings=UslmSettings(length=HASTY, join=UNTRIMMED),
        )


def save_uslm(speaker: Uslm, folder: Path) -> Path:
    """The folder that a conversion would have written."""
    speaker.tokenizer.save_pretrained(folder / "codec")
    speaker.model.save_pretrained(folder / "lm")
    write_record("uslm", folder)
    return folder


def write_record(system: str, folder: Path) -> None:
    """Say what the folder holds."""
    (folder / RECORD).write_text(json.dumps({"format": 1, "system": system, "sources": []}))
