"""HiFi-GAN's discriminators of the waveform itself (Kong et al. 2020, section 2.3).

Of every p-th sample, for what repeats in speech; and of the waveform at several rates. At a width
of 32 they are the published ones, but for weight norm in all of them.
"""

from collections.abc import Sequence

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.utils.parametrizations import weight_norm

SLOPE = 0.1
Judged = tuple[list[Float[Tensor, "..."]], list[list[Float[Tensor, "..."]]]]
"""Scores of each discriminator, and its feature maps."""


class PeriodDiscriminator(nn.Module):
    """The waveform as rows of `period` samples; the convolutions look along the columns only."""

    def __init__(self, period: int, width: int) -> None:
        super().__init__()
        self.period = period
        sizes = [1, width, 4 * width, 16 * width, 32 * width, 32 * width]
        strides = (3, 3, 3, 3, 1)
        self.layers = nn.ModuleList(
            weight_norm(nn.Conv2d(sizes[i], sizes[i + 1], (5, 1), (stride, 1), (2, 0)))
            for i, stride in enumerate(strides)
        )
        self.score = weight_norm(nn.Conv2d(sizes[-1], 1, (3, 1), padding=(1, 0)))

    def forward(self, waveform: Float[Tensor, "b 1 n"]) -> Judged:
        """n must be above `period`; what is missing to whole rows is mirrored."""
        b, _, n = waveform.shape
        whole = F.pad(waveform, (0, -n % self.period), "reflect")
        hidden: Tensor = whole.view(b, 1, -1, self.period)
        features = []
        for layer in self.layers:
            hidden = F.leaky_relu(layer(hidden), SLOPE)
            features.append(hidden)
        score: Tensor = self.score(hidden)
        return [score], [[*features, score]]


class ScaleDiscriminator(nn.Module):
    """The waveform at 1 / `factor` of its rate, by the mean of windows of twice the factor."""

    def __init__(self, factor: int, width: int) -> None:
        super().__init__()
        self.factor = factor
        first = 4 * width
        shapes = (  # out, kernel, stride, groups
            (first, 15, 1, 1), (first, 41, 2, 4), (2 * first, 41, 2, 16), (4 * first, 41, 4, 16),
            (8 * first, 41, 4, 16), (8 * first, 41, 1, 16), (8 * first, 5, 1, 1),
        )  # fmt: skip
        ins = (1, *(shape[0] for shape in shapes[:-1]))
        self.layers = nn.ModuleList(
            weight_norm(
                nn.Conv1d(i, o, kernel, stride, kernel // 2, groups=min(groups, i, first // 4))
            )
            for i, (o, kernel, stride, groups) in zip(ins, shapes, strict=True)
        )
        self.score = weight_norm(nn.Conv1d(shapes[-1][0], 1, 3, padding=1))

    def forward(self, waveform: Float[Tensor, "b 1 n"]) -> Judged:
        """Any n."""
        hidden: Tensor = waveform
        if self.factor > 1:
            hidden = F.avg_pool1d(hidden, 2 * self.factor, self.factor, self.factor)
        features = []
        for layer in self.layers:
            hidden = F.leaky_relu(layer(hidden), SLOPE)
            features.append(hidden)
        score: Tensor = self.score(hidden)
        return [score], [[*features, score]]


class Discriminators(nn.Module):
    """Several, each of which may be several."""

    def __init__(self, parts: Sequence[nn.Module]) -> None:
        super().__init__()
        self.parts = nn.ModuleList(parts)

    def forward(self, waveform: Float[Tensor, "b 1 n"]) -> Judged:
        """The scores and feature maps of all."""
        each = [part(waveform) for part in self.parts]
        return [s for scores, _ in each for s in scores], [f for _, maps in each for f in maps]
