"""GenSE with random weights, built in milliseconds: what tests and examples clean with."""

from dataclasses import replace
from pathlib import Path

import torch

from uslm.systems.gense.model import GenseLM, kinds_of
from uslm.systems.tiny_folder import save_parts
from uslm_tokenizer.codecs.kmeans_units.model import KMeansUnits
from uslm_tokenizer.codecs.waveform_codec.model import WaveformCodec, WaveformCodecConfig
from uslm_tokenizer.hub import PretrainedModel
from uslm_tokenizer.nn.seanet import SEANetConfig
from uslm_tokenizer.quantize.vq import VectorQuantizerConfig


def tiny_parts(*, seed: int = 0) -> dict[str, PretrainedModel]:
    """Every part; there are twice as many codes per second as units."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        units = KMeansUnits(KMeansUnits.tiny_config())
        codec = WaveformCodec(
            WaveformCodecConfig(
                encoder=SEANetConfig(dim=12, num_filters=2, strides=(4, 5, 8), num_lstm_layers=0),
                quantizer=VectorQuantizerConfig(dim=12, codebook_size=24),
            )
        )
        first = kinds_of(num_units=units.codebook_size, unit_rate=units.frame_rate)
        both = kinds_of(
            num_units=units.codebook_size, unit_rate=units.frame_rate,
            num_codes=codec.codebook_size, code_rate=codec.frame_rate,
        )  # fmt: skip
        tiny = GenseLM.tiny_config()
        parts: dict[str, PretrainedModel] = {
            "units": units, "codec": codec,
            "cleaner": GenseLM(replace(tiny, kinds=first)),
            "speaker": GenseLM(replace(tiny, kinds=both)),
        }  # fmt: skip
    return {name: part.eval() for name, part in parts.items()}


def save_tiny_gense(folder: Path, *, seed: int = 0) -> Path:
    """A folder that answers, and cleans nothing."""
    save_parts("gense", tiny_parts(seed=seed), folder)
    return folder
