"""Discriminators of complex spectrograms, small enough to train on a CPU."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.utils.parametrizations import weight_norm

MIN_MAGNITUDE = 1e-5
COMPRESSION = 0.3
"""Power of the magnitudes, so that quiet bands count beside loud ones."""


class SpectrogramDiscriminator(nn.Module):
    """Convolutions over one complex spectrogram; strides along frequency, none along time but one.

    A score stands for a patch of time and frequency. Each layer's output is a feature map.
    """

    window: Tensor

    def __init__(self, n_fft: int, channels: int) -> None:
        super().__init__()
        self.n_fft = n_fft
        self.register_buffer("window", torch.hann_window(n_fft), persistent=False)
        wide = 2 * channels
        self.layers = nn.ModuleList(
            [
                weight_norm(nn.Conv2d(2, channels, (9, 3), (4, 1), (4, 1))),
                weight_norm(nn.Conv2d(channels, channels, (9, 3), (4, 1), (4, 1))),
                weight_norm(nn.Conv2d(channels, wide, (9, 3), (2, 2), (4, 1))),
                weight_norm(nn.Conv2d(wide, wide, 3, (2, 1), 1)),
            ]
        )
        self.score = weight_norm(nn.Conv2d(wide, 1, 3, padding=1))

    def forward(
        self, waveform: Float[Tensor, "b 1 n"]
    ) -> tuple[Float[Tensor, "b 1 _f _t"], list[Float[Tensor, "b _c _f _t"]]]:
        """Scores, and the feature maps before them; n must be above n_fft / 2."""
        spectrum = torch.stft(
            waveform[:, 0].float(), self.n_fft, self.n_fft // 4, window=self.window.float(),
            return_complex=True,
        )  # fmt: skip
        magnitude = spectrum.abs().clamp(min=MIN_MAGNITUDE)
        hidden = torch.view_as_real(spectrum * magnitude.pow(COMPRESSION - 1)).movedim(-1, 1)
        features = []
        for layer in self.layers:
            hidden = F.leaky_relu(layer(hidden), 0.2)
            features.append(hidden)
        return self.score(hidden), features


class SpectrogramDiscriminators(nn.Module):
    """One for each resolution: what one window blurs, another shows."""

    def __init__(self, windows: Sequence[int], channels: int) -> None:
        super().__init__()
        self.scales = nn.ModuleList(SpectrogramDiscriminator(n, channels) for n in windows)

    def forward(
        self, waveform: Float[Tensor, "b 1 n"]
    ) -> tuple[list[Float[Tensor, "b 1 _f _t"]], list[list[Float[Tensor, "b _c _f _t"]]]]:
        """Scores of each resolution, and its feature maps."""
        each = [scale(waveform) for scale in self.scales]
        return [scores for scores, _ in each], [features for _, features in each]
