"""Interface of speech encoders, pretrained or trained here, as tokenizers of units use them."""

from abc import ABC, abstractmethod
from typing import ClassVar

from jaxtyping import Bool, Float, Int
from torch import Tensor, nn


class SpeechEncoder(nn.Module, ABC):
    """Waveform -> features. A loss reaches what `unfreeze` let it reach, and nothing else.

    A row of a padded batch gives what the row alone gives.
    """

    sample_rate: ClassVar[int]
    """Samples per second of the waveform, Hz."""
    hop_length: ClassVar[int]
    """Samples per frame."""
    window_length: ClassVar[int]
    """Samples that a frame needs at least, where nothing is padded."""

    @property
    @abstractmethod
    def dim(self) -> int:
        """Width of the features."""

    @property
    @abstractmethod
    def pads(self) -> bool:
        """Whether a hop is a frame; else there is one for each window that fits."""

    @abstractmethod
    def forward(
        self, waveform: Float[Tensor, "b 1 n"], lengths: Int[Tensor, " b"] | None = None
    ) -> tuple[Float[Tensor, "b t d"], Bool[Tensor, "b t"]]:
        """Features, and which frames are not padding; t = n // hop_length where it pads."""

    @abstractmethod
    def unfreeze(self) -> None:
        """Let a loss reach all that can be trained."""
