"""A vector of a voice that needs no network: mean and deviation of its log-mel spectrum.

The paper asks 3D-Speaker for one. This holds the timbre, and the room with it.
"""

from functools import cache

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from uslm_tokenizer.audio.read import Audio
from uslm_tokenizer.nn.spectral import LogMel

SAMPLE_RATE, HOP, NUM_MELS = 16_000, 320, 80
SPEAKER_DIM = 2 * NUM_MELS
LOUD_SHARE = 0.5
"""Of the frames, the loudest ones, in which somebody speaks."""
CENTRE, SPREAD = -4.0, 3.0
"""Log-mel values of speech at full scale: what brings them near zero, and about one apart."""


@torch.no_grad()
def speaker_vector(recording: Audio) -> Float[Tensor, " d"]:
    """Mean and deviation of each mel over the louder half of the frames, on the CPU. How loud the
    recording is as a whole does not matter."""
    waveform = recording.resampled(SAMPLE_RATE).waveform.cpu().float()
    waveform = waveform / waveform.abs().max().clamp(min=1e-6)
    waveform = F.pad(waveform, (0, -waveform.shape[-1] % HOP))
    frames = (_log_mel()(waveform[None])[0] - CENTRE) / SPREAD
    count = max(1, round(LOUD_SHARE * len(frames)))
    loud = frames[frames.mean(1).topk(count).indices]
    return torch.cat([loud.mean(0), loud.std(0, correction=0)])


@cache
def _log_mel() -> LogMel:
    return LogMel(SAMPLE_RATE, hop_length=HOP, num_mels=NUM_MELS)
