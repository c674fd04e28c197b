"""Inputs of speech encoders: Whisper's log-mel, Kaldi's filter bank, a normalised waveform.

Written with torch operations: they run on any device, on padded batches (a row never sees its
padding), and without the feature extractors of transformers, which fail beside a broken torchaudio.
"""

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from uslm_tokenizer.nn.padding import length_mask
from uslm_tokenizer.nn.spectral import mel_filters

SAMPLE_RATE = 16_000
HOP_LENGTH = 320
"""Samples that a frame of features stands for, of every encoder here."""


def normalise_waveform(
    waveform: Float[Tensor, "b n"], mask: Bool[Tensor, "b n"]
) -> Float[Tensor, "b n"]:
    """Zero mean and unit variance over each row's own samples; the padding becomes zero."""
    count = mask.sum(1, keepdim=True).clamp(min=1)
    centred = (waveform - (waveform * mask).sum(1, keepdim=True) / count) * mask
    variance = centred.square().sum(1, keepdim=True) / count
    return centred / (variance + 1e-7).sqrt()


class WhisperLogMel(nn.Module):
    """Log10-mel at 100 Hz from 25 ms Hann windows, floored 8 decades below the loudest bin."""

    def __init__(self, num_bins: int = 80) -> None:
        super().__init__()
        filters = slaney_mel_filters(num_bins, n_fft=400)
        self.register_buffer("filters", filters, persistent=False)
        self.register_buffer("window", torch.hann_window(400), persistent=False)

    filters: Tensor
    window: Tensor

    def forward(self, waveform: Float[Tensor, "b n"]) -> Float[Tensor, "b m t"]:
        with torch.autocast(waveform.device.type, enabled=False):
            spectrum = torch.stft(
                waveform.float(), 400, 160, window=self.window.float(), return_complex=True
            )
            mel = self.filters.float() @ spectrum[..., :-1].abs().square()
            decades = mel.clamp(min=1e-10).log10()
            decades = decades.maximum(decades.amax((1, 2), keepdim=True) - 8.0)
            return (decades + 4.0) / 4.0


class KaldiFilterBank(nn.Module):
    """Kaldi's 80 log-mel bins at 100 Hz, each of zero mean and unit variance over the row's frames.

    w2v-BERT reads them in pairs, so 50 times per second.
    """

    def __init__(self) -> None:
        super().__init__()
        povey = torch.hann_window(400, periodic=False).pow(0.85)
        self.register_buffer("filters", kaldi_mel_filters(80, n_fft=512), persistent=False)
        self.register_buffer("window", povey, persistent=False)

    filters: Tensor
    window: Tensor

    def forward(
        self, waveform: Float[Tensor, "b n"], num_frames: Int[Tensor, " b"]
    ) -> Float[Tensor, "b t m"]:
        """`num_frames` says how many frames of each row are not padding."""
        with torch.autocast(waveform.device.type, enabled=False):
            frames = (waveform.float() * 2**15).unfold(1, 400, 160)  # Kaldi works on 16-bit values
            frames = frames - frames.mean(2, keepdim=True)
            previous = torch.cat([frames[..., :1], frames[..., :-1]], 2)
            frames = (frames - 0.97 * previous) * self.window.float()
            power = torch.fft.rfft(frames, 512).abs().square()
            mel = (power @ self.filters.float().T).clamp(min=torch.finfo(torch.float32).eps).log()
            mask = length_mask(num_frames, mel.shape[1])[..., None]
            count = num_frames[:, None, None].clamp(min=2)
            centred = (mel - (mel * mask).sum(1, keepdim=True) / count) * mask
            variance = centred.square().sum(1, keepdim=True) / (count - 1)
            normalised: Tensor = centred / (variance + 1e-7).sqrt()
            return normalised


def slaney_mel_filters(num_bins: int, *, n_fft: int) -> Float[Tensor, "m f"]:
    """Triangles of equal area on Slaney's mel scale: linear below 1 kHz, logarithmic above."""
    return mel_filters(n_fft // 2 + 1, num_bins, SAMPLE_RATE, equal_area=True, slaney=True)


def kaldi_mel_filters(num_bins: int, *, n_fft: int) -> Float[Tensor, "m f"]:
    """Triangles of height one, straight on the mel scale itself, from 20 Hz up."""

    def mel(frequency: Tensor) -> Tensor:
        return 1127.0 * (1 + frequency / 700).log()

    low, high = mel(torch.tensor([20.0, SAMPLE_RATE / 2], dtype=torch.float64)).tolist()
    edges = torch.linspace(low, high, num_bins + 2, dtype=torch.float64)
    bins = torch.linspace(0, SAMPLE_RATE / 2, n_fft // 2 + 1, dtype=torch.float64)
    return _triangles(mel(bins), edges).float()


def _triangles(points: Float[Tensor, " f"], edges: Float[Tensor, " e"]) -> Float[Tensor, "m f"]:
    """Row i rises from edge i to edge i + 1 and falls back to zero at edge i + 2."""
    low, centre, high = edges[:-2, None], edges[1:-1, None], edges[2:, None]
    rising, falling = (points - low) / (centre - low), (high - points) / (high - centre)
    return F.relu(torch.minimum(rising, falling))
