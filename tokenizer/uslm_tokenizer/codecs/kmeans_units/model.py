"""Units as in HuBERT and GSLM: k-means over the features of a frozen speech encoder.

encoder = SSLEncoder.from_pretrained("facebook/hubert-base-ls960", layers=(9,))
tokenizer = KMeansUnits.from_encoder(encoder, num_units=500)
tokenizer.fit(batches, generator=torch.Generator().manual_seed(0))
tokenizer.save_pretrained("units")
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from uslm_tokenizer.base import AudioTokenizer
from uslm_tokenizer.codecs.kmeans_units.speaker_mean import less_mean
from uslm_tokenizer.codecs.ssl_units.base import SSLUnitTokenizer
from uslm_tokenizer.quantize import kmeans
from uslm_tokenizer.quantize.kmeans import KMeans, KMeansConfig
from uslm_tokenizer.ssl.encoder import SSLConfig, SSLEncoder
from uslm_tokenizer.ssl.tiny_backbones import TINY_HUBERT


@dataclass(frozen=True, kw_only=True)
class KMeansUnitsConfig:
    """The parts of KMeansUnits."""

    encoder: SSLConfig
    """The frozen speech encoder and its layers."""
    num_units: int = 500
    """Number of centroids."""
    subtract_mean: bool = False
    """Whether the mean of an utterance, which says much of the speaker, is taken off its features
    (Vec-Tok, Zhu et al. 2023); then an utterance has to be encoded whole."""


class KMeansUnits(SSLUnitTokenizer):
    """Waveform -> units [b, 1, t], the nearest centroid of each frame's features."""

    model_type: ClassVar[str] = "kmeans_units"
    config_class: ClassVar[type] = KMeansUnitsConfig
    encoder: SSLEncoder
    config: KMeansUnitsConfig

    def __init__(self, config: KMeansUnitsConfig) -> None:
        super().__init__(config)
        self._assemble(SSLEncoder(config.encoder))

    @classmethod
    def from_encoder(
        cls, encoder: SSLEncoder, num_units: int = 500, *, subtract_mean: bool = False
    ) -> "KMeansUnits":
        """Around a loaded encoder; the centroids are noise until `fit`."""
        units = cls.__new__(cls)
        config = KMeansUnitsConfig(
            encoder=encoder.config, num_units=num_units, subtract_mean=subtract_mean
        )
        AudioTokenizer.__init__(units, config)
        units._assemble(encoder)
        return units.eval()

    def _assemble(self, encoder: SSLEncoder) -> None:
        self.encoder = encoder
        self.quantizer = KMeans(KMeansConfig(dim=encoder.dim, codebook_size=self.config.num_units))

    @property
    def num_codebooks(self) -> int:
        return 1

    @property
    def codebook_size(self) -> int:
        return self.config.num_units

    @torch.no_grad()
    def fit(
        self,
        batches: Iterable[tuple[Float[Tensor, "_ _"], Int[Tensor, " _"]]],
        *,
        iterations: int = 50,
        batch_size: int | None = None,
        generator: torch.Generator | None = None,
    ) -> None:
        """Measure the encoder's statistics, then place the centroids.

        `batches` of waveforms and lengths are read twice, so a list or a loader; the features of
        all of them must fit in memory. `batch_size` is that of k-means, in frames; None: all.
        """
        self.encoder.fit_statistics(batches)
        features = []
        for waveform, lengths in batches:
            frames, mask = self.encoder(waveform[:, None], lengths)
            features.append(self._normalised(frames, mask)[mask])
        centroids = kmeans.fit(
            torch.cat(features),
            self.codebook_size,
            iterations=iterations,
            batch_size=batch_size,
            generator=generator,
        )
        self.quantizer.centroids.copy_(centroids)

    @torch.no_grad()
    def encode(
        self, waveform: Float[Tensor, "b 1 n"], lengths: Int[Tensor, " b"] | None = None
    ) -> Int[Tensor, "b 1 t"]:
        features, mask = self._features(waveform, lengths)
        return self.quantizer.encode(self._normalised(features, mask).transpose(1, 2))

    def _normalised(
        self, features: Float[Tensor, "b t d"], mask: Bool[Tensor, "b t"]
    ) -> Float[Tensor, "b t d"]:
        return less_mean(features, mask) if self.config.subtract_mean else features

    @torch.no_grad()
    def vectors(
        self, waveform: Float[Tensor, "b 1 n"], lengths: Int[Tensor, " b"] | None = None
    ) -> tuple[Float[Tensor, "b t d"], Bool[Tensor, "b t"]]:
        """The encoder's features, with all that they hold of the voice, and which are real."""
        return self._features(waveform, lengths)

    @classmethod
    def tiny_config(cls) -> KMeansUnitsConfig:
        encoder = SSLConfig(backbone=TINY_HUBERT, layers=(1, 2))
        return KMeansUnitsConfig(encoder=encoder, num_units=16)
