"""Contrast of predicted spectra: what stands out from the mel channels around it is enlarged.

A regressor predicts means, whose peaks are lower and whose valleys are shallower than those of any
one utterance (what Toda & Tokuda 2007 make up for in time by the global variance). Here it is made
up for along frequency, frame by frame, so that streams need nothing that comes later.
"""

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

WIDTH = 9
"""Mel channels over which the spectrum is smoothed."""


def with_contrast(
    latents: Float[Tensor, "*any e"], contrast: float, num_frames: int
) -> Float[Tensor, "*any e"]:
    """Latents of `num_frames` log-mel frames each, one after the other, with what their smooth
    envelope leaves multiplied by `contrast`."""
    frames = latents.reshape(-1, 1, latents.shape[-1] // num_frames)
    around = F.pad(frames, (WIDTH // 2, WIDTH // 2), mode="replicate")
    smooth = F.avg_pool1d(around, WIDTH, stride=1)
    return (smooth + contrast * (frames - smooth)).reshape(latents.shape)
