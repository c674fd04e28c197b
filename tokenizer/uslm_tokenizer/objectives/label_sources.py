"""Sources of labels for masked prediction, behind one interface.

source             what is coded                      of
k-means            features, by the nearest centroid  HuBERT (Hsu et al. 2021)
random projection  features, by what is never learnt  BEST-RQ; BEATs' first iteration
multi-codebook     features, as a sum of codes        SPEAR
residual           features, level after level        a control of SPEAR
distilled          spectra, so that features can be   BEATs' later iterations
                   told from the codes

Features are a teacher's: another encoder's, or those of the iteration before. Without a teacher
they are the log-mel spectra that the encoder reads.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Literal, cast

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from uslm_tokenizer.errors import ConfigError
from uslm_tokenizer.nn.transformer import Transformer
from uslm_tokenizer.quantize.base import Quantizer
from uslm_tokenizer.quantize.kmeans import KMeans, KMeansConfig
from uslm_tokenizer.quantize.mvq import MultiCodebookConfig, MultiCodebookQuantizer
from uslm_tokenizer.quantize.random_projection import RandomProjection, RandomProjectionConfig
from uslm_tokenizer.quantize.rvq import ResidualQuantizer, ResidualQuantizerConfig
from uslm_tokenizer.quantize.vq import VectorQuantizer, VectorQuantizerConfig

Kind = Literal["k-means", "random projection", "multi-codebook", "residual", "distilled"]


@dataclass(frozen=True, kw_only=True)
class LabelsConfig:
    """The source of labels, and its sizes."""

    kind: Kind = "k-means"
    """Source of the labels, one of those above."""
    num_codebooks: int = 1
    """Labels of a frame; more than one of "multi-codebook" and "residual" only."""
    codebook_size: int = 500
    """Different values of each; of "multi-codebook" a square number."""
    code_dim: int = 16
    """Width in which "random projection" and "distilled" choose codes."""
    dim: int = 128
    """Width of the networks of "distilled"."""
    num_heads: int = 4
    """Their attention heads."""
    num_layers: int = 2
    """Layers before the codes of "distilled"."""
    num_estimator_layers: int = 1
    """Layers after them, which tell the features."""
    seed: int = 0
    """What "random projection" is drawn by."""

    def __post_init__(self) -> None:
        several = ("multi-codebook", "residual")
        if self.num_codebooks != 1 and self.kind not in several:
            raise ConfigError(
                f"labels.num_codebooks must be 1 of kind {self.kind!r}, but is {self.num_codebooks}"
            )
        for name in ("num_codebooks", "codebook_size", "code_dim", "dim", "num_layers"):
            if getattr(self, name) < 1:
                raise ConfigError(f"labels.{name} must be at least 1, but is {getattr(self, name)}")


@dataclass
class Described:
    """Frames of a batch, and the features of them that labels are made of."""

    frames: Float[Tensor, "b t m"]
    """Spectra, as the encoder reads them."""
    features: Float[Tensor, "b t f"]
    """A teacher's, or the spectra again."""
    real: Bool[Tensor, "b t"]
    """True where a frame is no padding."""


class LabelSource(nn.Module, ABC):
    """Labels of frames. A source that has to be trained first says so, and gives a loss."""

    trains: bool = False
    """Whether `loss` has to be minimised before its labels are worth predicting."""

    @abstractmethod
    def place(self, given: Described, generator: torch.Generator | None = None) -> None:
        """Fit what needs no training: centroids, scales, the start of codebooks."""

    @abstractmethod
    def labels(self, given: Described) -> Int[Tensor, "b k t"]:
        """The labels of every frame; those of padding mean nothing."""

    def loss(self, given: Described, generator: torch.Generator | None = None) -> Float[Tensor, ""]:
        """Of a source that `trains`."""
        raise AssertionError(f"{type(self).__name__} is not trained")


class QuantizedLabels(LabelSource):
    """Codes of the features, by any quantizer."""

    def __init__(self, quantizer: Quantizer) -> None:
        super().__init__()
        self.quantizer = quantizer.eval().requires_grad_(False)

    def train(self, mode: bool = True) -> "QuantizedLabels":
        """Stays as it was placed, whatever the model around it does."""
        return super().train(False)

    @torch.no_grad()
    def place(self, given: Described, generator: torch.Generator | None = None) -> None:
        self.quantizer.initialize(given.features.mT, given.real, generator=generator)

    @torch.no_grad()
    def labels(self, given: Described) -> Int[Tensor, "b k t"]:
        return self.quantizer.encode(given.features.mT)


class DistilledLabels(LabelSource):
    """Codes of the spectra from which a small estimator tells the teacher's features.

    The loss is one minus the cosine to these, and the commitment. The estimator goes when the
    labels are used.
    """

    trains = True

    def __init__(self, config: LabelsConfig, num_mels: int, feature_dim: int) -> None:
        super().__init__()
        dim, heads = config.dim, config.num_heads
        self.input = nn.Linear(num_mels, dim)
        self.encoder = Transformer(dim, heads, config.num_layers)
        self.to_latents = nn.Sequential(
            nn.Linear(dim, dim), nn.Tanh(), nn.Linear(dim, config.code_dim)
        )
        self.quantizer = VectorQuantizer(
            VectorQuantizerConfig(
                dim=config.code_dim, codebook_size=config.codebook_size, cosine=True
            )
        )
        self.from_latents = nn.Linear(config.code_dim, dim)
        self.estimator = Transformer(dim, heads, config.num_estimator_layers)
        self.output = nn.Linear(dim, feature_dim)

    @torch.no_grad()
    def place(self, given: Described, generator: torch.Generator | None = None) -> None:
        """Start the codebook among the latents of the untrained network."""
        self.quantizer.initialize(self._latents(given), given.real, generator=generator)

    @torch.no_grad()
    def labels(self, given: Described) -> Int[Tensor, "b k t"]:
        return self.quantizer.encode(self._latents(given))

    def loss(self, given: Described, generator: torch.Generator | None = None) -> Float[Tensor, ""]:
        quantized = self.quantizer(self._latents(given), given.real, generator=generator)
        x = self.from_latents(quantized.latents.mT.to(self.from_latents.weight.dtype))
        predicted = self.output(_run(self.estimator, x, given.real)).float()[given.real]
        target = given.features.detach().float()[given.real]
        loss: Tensor = 1 - F.cosine_similarity(predicted, target, dim=-1).mean() + quantized.loss
        return loss

    def _latents(self, given: Described) -> Float[Tensor, "b d t"]:
        x = self.input(given.frames.to(self.input.weight.dtype)) * given.real[..., None]
        latents = self.to_latents(_run(self.encoder, x, given.real)).float()
        return F.normalize(latents, dim=-1).mT


def build_labels(config: LabelsConfig, *, num_mels: int, feature_dim: int) -> LabelSource:
    """The source of this config, of features of this width."""
    if config.kind == "distilled":
        return DistilledLabels(config, num_mels, feature_dim)
    return QuantizedLabels(_quantizer(config, feature_dim))


def _quantizer(config: LabelsConfig, dim: int) -> Quantizer:
    size = config.codebook_size
    if config.kind == "k-means":
        return KMeans(KMeansConfig(dim=dim, codebook_size=size))
    if config.kind == "random projection":
        return RandomProjection(
            RandomProjectionConfig(
                dim=dim, codebook_size=size, code_dim=config.code_dim, seed=config.seed
            )
        )
    if config.kind == "multi-codebook":
        return MultiCodebookQuantizer(
            MultiCodebookConfig(dim=dim, num_codebooks=config.num_codebooks, codebook_size=size)
        )
    level = VectorQuantizerConfig(dim=dim, codebook_size=size)
    levels = (level,) * config.num_codebooks
    return ResidualQuantizer(ResidualQuantizerConfig(levels=levels, dropout=0.0))


def _run(
    transformer: Transformer, x: Float[Tensor, "b t d"], real: Bool[Tensor, "b t"]
) -> Float[Tensor, "b t d"]:
    positions = torch.arange(x.shape[1], device=x.device).expand(len(x), -1)
    return cast(Tensor, transformer(x, positions, mask=real[:, None, None]))
