"""Losses of waveforms: spectral distance, and the two sides of the adversarial game.

The game is played by the rules of one of two papers:
encodec   hinge; means over the scales; features by their relative distance (Defossez et al. 2022)
hifi_gan  least squares; sums over the discriminators; features count twice (Kong et al. 2020);
          SpeechTokenizer and DM-Codec were trained so
"""

from collections.abc import Sequence
from typing import Literal, NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from uslm_tokenizer.nn.spectral import LogMel, mel_filters

Rules = Literal["encodec", "hifi_gan"]


class MelScale(NamedTuple):
    """One resolution of a spectral distance."""

    window: int
    """Samples."""
    bands: int
    """Mel bands."""
    hop: int
    """Samples."""
    weight: float = 1.0


MEL_SCALES = tuple(
    MelScale(window, bands, window // 4, 1 / 6)
    for window, bands in ((64, 10), (128, 20), (256, 40), (512, 60), (1024, 80), (2048, 120))
)
"""Their mean, as DAC has it (Kumar et al. 2023)."""
SPEECH_TOKENIZER_SCALES = tuple(
    MelScale(window, 80, window * 15 // 64, weight)
    for window, weight in ((1024, 45.0), (512, 1.0), (256, 1.0), (128, 1.0))
)
"""Those of SpeechTokenizer (Zhang et al. 2023)."""


class MultiScaleMelLoss(nn.Module):
    """Weighted sum of L1 distances of log-mel spectrograms at several resolutions."""

    def __init__(
        self,
        sample_rate: int,
        scales: Sequence[MelScale] = MEL_SCALES,
        *,
        equal_area: bool = False,
        reflect: bool = False,
    ) -> None:
        """`equal_area` and `reflect`: see `LogMel`."""
        super().__init__()
        self.weights = [scale.weight for scale in scales]
        self.mels = nn.ModuleList(
            LogMel(
                sample_rate,
                scale.window,
                scale.hop,
                scale.bands,
                equal_area=equal_area,
                reflect=reflect,
            )
            for scale in scales
        )

    def distances(
        self, waveform: Float[Tensor, "b 1 n"], target: Float[Tensor, "b 1 m"]
    ) -> list[Float[Tensor, ""]]:
        """One for each resolution, without its weight."""
        return [F.l1_loss(*common(mel(waveform), mel(target))) for mel in self.mels]

    def forward(
        self, waveform: Float[Tensor, "b 1 n"], target: Float[Tensor, "b 1 m"]
    ) -> Float[Tensor, ""]:
        """n and m must be multiples of each hop; they are compared over the shorter."""
        pairs = zip(self.weights, self.distances(waveform, target), strict=True)
        return torch.stack([weight * distance for weight, distance in pairs]).sum()


def speech_tokenizer_mel_loss(sample_rate: int) -> MultiScaleMelLoss:
    """The spectral distance that SpeechTokenizer and DM-Codec were trained with."""
    return MultiScaleMelLoss(sample_rate, SPEECH_TOKENIZER_SCALES, equal_area=True, reflect=True)


STFT_SCALES = ((2048, 512, 128), (1024, 256, 80), (512, 128, 40), (256, 64, 20))
"""Window and hop in samples, and number of mel bands, of each resolution."""


class MultiResolutionSTFTLoss(nn.Module):
    """L1 distance of log-mel and log-linear magnitudes at several resolutions.

    The linear ones see what mel bands blur: single harmonics, and the noise between them.
    """

    def __init__(
        self,
        sample_rate: int,
        scales: Sequence[tuple[int, int, int]] = STFT_SCALES,
        *,
        linear_weight: float = 0.3,
        mel_floor: float = 1e-4,
        linear_floor: float = 1e-3,
    ) -> None:
        super().__init__()
        self.scales, self.linear_weight = tuple(scales), linear_weight
        self.mel_floor, self.linear_floor = mel_floor, linear_floor
        for n_fft, _, num_mels in scales:
            filters = mel_filters(n_fft // 2 + 1, num_mels, sample_rate)
            self.register_buffer(f"window{n_fft}", torch.hann_window(n_fft), persistent=False)
            self.register_buffer(f"filters{n_fft}", filters, persistent=False)

    def forward(
        self, waveform: Float[Tensor, "b 1 n"], target: Float[Tensor, "b 1 n"]
    ) -> Float[Tensor, ""]:
        """n must be above half of the longest window."""
        total = waveform.new_zeros((), dtype=torch.float32)
        for n_fft, hop, _ in self.scales:
            window, filters = (getattr(self, f"{kind}{n_fft}") for kind in ("window", "filters"))
            made, real = (
                torch.stft(x[:, 0].float(), n_fft, hop, window=window, return_complex=True).abs()
                for x in (waveform, target)
            )
            mel = F.l1_loss(
                (filters @ made).clamp(min=self.mel_floor).log(),
                (filters @ real).clamp(min=self.mel_floor).log(),
            )
            linear = F.l1_loss(
                made.clamp(min=self.linear_floor).log(), real.clamp(min=self.linear_floor).log()
            )
            total = total + mel + self.linear_weight * linear
        return total / len(self.scales)


def sample_loss(
    waveform: Float[Tensor, "b 1 n"], target: Float[Tensor, "b 1 m"]
) -> Float[Tensor, ""]:
    """Mean absolute difference of the samples."""
    n = min(waveform.shape[-1], target.shape[-1])
    return F.l1_loss(waveform[..., :n], target[..., :n])


def common(
    a: Float[Tensor, "b t d"], b: Float[Tensor, "b s d"]
) -> tuple[Float[Tensor, "b u d"], Float[Tensor, "b u d"]]:
    """Both cut to the frames of the shorter."""
    t = min(a.shape[1], b.shape[1])
    return a[:, :t], b[:, :t]


# ---- the adversarial game


Scores = Sequence[Float[Tensor, "..."]]
Features = Sequence[Sequence[Float[Tensor, "..."]]]


def discriminator_loss(real: Scores, fake: Scores, rules: Rules = "encodec") -> Float[Tensor, ""]:
    """Real scores are to lie above 1 and fake ones below -1; or real ones at 1, fake ones at 0."""
    pairs = [(r.float(), f.float()) for r, f in zip(real, fake, strict=True)]
    if rules == "encodec":
        return torch.stack([F.relu(1 - r).mean() + F.relu(1 + f).mean() for r, f in pairs]).mean()
    return torch.stack([(1 - r).square().mean() + f.square().mean() for r, f in pairs]).sum()


def adversarial_loss(fake: Scores, rules: Rules = "encodec") -> Float[Tensor, ""]:
    """Loss of the generator: it wants high scores for its output, or scores of 1."""
    if rules == "encodec":
        return torch.stack([F.relu(1 - f.float()).mean() for f in fake]).mean()
    return torch.stack([(1 - f.float()).square().mean() for f in fake]).sum()


def feature_matching_loss(
    real: Features, fake: Features, rules: Rules = "encodec"
) -> Float[Tensor, ""]:
    """L1 distance of the discriminator's features; EnCodec's is relative to their size (eq. 4)."""
    pairs = [
        (r.float().detach(), f.float())
        for real_scale, fake_scale in zip(real, fake, strict=True)
        for r, f in zip(real_scale, fake_scale, strict=True)
    ]
    if rules == "encodec":
        return torch.stack(
            [F.l1_loss(f, r) / r.abs().mean().clamp(min=1e-4) for r, f in pairs]
        ).mean()
    return 2 * torch.stack([F.l1_loss(f, r) for r, f in pairs]).sum()
