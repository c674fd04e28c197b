"""VoxCPM with random weights, built in milliseconds: what tests and examples speak with."""

from pathlib import Path

import torch

from uslm.systems.tiny_folder import save_parts
from uslm.systems.voxcpm.model import VoxCPM
from uslm_tokenizer.codecs.audio_vae.model import AudioVAE
from uslm_tokenizer.hub import PretrainedModel


def tiny_parts(*, seed: int = 0) -> dict[str, PretrainedModel]:
    """Both parts; the stop head has a bias to end."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        codec = AudioVAE(AudioVAE.tiny_config())
        model = VoxCPM(VoxCPM.tiny_config())
        with torch.no_grad():
            for body in (model.lm, model.residual_lm, model.encoder, model.decoder):
                for parameter in body.parameters():
                    if parameter.ndim > 1:  # so that what is read makes a difference
                        torch.nn.init.normal_(parameter, std=0.2)
    return {"codec": codec.eval(), "lm": model.eval()}


def save_tiny_voxcpm(folder: Path, *, seed: int = 0) -> Path:
    """The folder that a conversion would have written, but of a model that reads phonemes."""
    save_parts("voxcpm", tiny_parts(seed=seed), folder)
    return folder
