"""MeLoDy with random weights, built in milliseconds: what tests and examples speak with."""

from pathlib import Path

import torch

from uslm.systems.melody.model import DualPath, DualPathConfig, MelodyLM
from uslm.systems.tiny_folder import save_parts
from uslm_tokenizer.codecs.kmeans_units.model import KMeansUnits
from uslm_tokenizer.codecs.vae.model import VAECodec
from uslm_tokenizer.hub import PretrainedModel


def tiny_parts(*, seed: int = 0) -> dict[str, PretrainedModel]:
    """Every part; units and latents are of one frame rate or of a multiple."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        units = KMeansUnits(KMeansUnits.tiny_config())
        codec = VAECodec(VAECodec.tiny_config())
        size, rate = units.codebook_size, codec.frame_rate / units.frame_rate
        tiny = DualPath.tiny_config()
        config = DualPathConfig(
            latent_dim=codec.latent_dim, num_units=size, frames_per_unit=rate, dim=tiny.dim,
            num_heads=tiny.num_heads, num_layers=tiny.num_layers, segment_size=tiny.segment_size,
        )  # fmt: skip
        lm = MelodyLM.config_class(
            text_vocab_size=64, codebook_size=size, dim=32, hidden_dim=64, num_heads=2,
            num_layers=2,
        )  # fmt: skip
        parts: dict[str, PretrainedModel] = {
            "units": units, "lm": MelodyLM(lm), "diffusion": DualPath(config), "codec": codec,
        }  # fmt: skip
    return {name: part.eval() for name, part in parts.items()}


def save_tiny_melody(folder: Path, *, seed: int = 0) -> Path:
    """A folder that speaks, and says nothing."""
    save_parts("melody", tiny_parts(seed=seed), folder)
    return folder
