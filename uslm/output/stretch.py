"""Faster or slower speech at the same pitch: WSOLA (Verhelst & Roelands 1993)."""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from uslm_tokenizer.errors import UserError

MIN_SPEED, MAX_SPEED = 0.25, 4.0
FRAME_SECONDS = 0.04
SEARCH_SECONDS = 0.01


def check_speed(speed: float) -> float:
    """The speed itself; raises UserError unless it is one that sounds like speech."""
    if not MIN_SPEED <= speed <= MAX_SPEED:
        raise UserError(f"speed must be from {MIN_SPEED} to {MAX_SPEED}, but is {speed}")
    return float(speed)


def time_stretch(
    waveform: Float[Tensor, "1 n"], speed: float, sample_rate: int
) -> Float[Tensor, "1 m"]:
    """The same speech in 1 / `speed` of the time; m = round(n / speed).

    Frames are laid down every half frame, each taken where it continues the one before best, so
    that no period of the voice is cut in two.
    """
    if speed == 1 or not waveform.numel():
        return waveform
    half = round(FRAME_SECONDS * sample_rate / 2)
    search = round(SEARCH_SECONDS * sample_rate)
    num_samples = round(waveform.shape[-1] / speed)
    padded = F.pad(waveform[0], (search, 4 * half + 2 * search))
    window = torch.hann_window(2 * half)
    stretched = padded.new_zeros(num_samples + 2 * half)
    expected: Tensor | None = None  # how the frame before went on in the recording
    for start in range(0, num_samples, half):
        nominal = min(round(start * speed), waveform.shape[-1])  # counted from `search` before it
        offset = search if expected is None else _best_offset(padded, nominal, search, expected)
        begin = nominal + offset
        stretched[start : start + 2 * half] += padded[begin : begin + 2 * half] * window
        expected = padded[begin + half : begin + 2 * half]
    # The first half frame has no other under it: undo its window.
    stretched[:half] = padded[search : search + half]
    return stretched[None, :num_samples]


def _best_offset(
    padded: Float[Tensor, " n"], nominal: int, search: int, expected: Float[Tensor, " h"]
) -> int:
    """Offset within 2 * search samples where the recording looks most like `expected`."""
    region = padded[nominal : nominal + 2 * search + len(expected)]
    products = F.conv1d(region[None, None], expected[None, None])[0, 0]
    energy = F.avg_pool1d(region[None, None].square(), len(expected), stride=1)[0, 0]
    return int((products / (energy + 1e-8).sqrt()).argmax())
