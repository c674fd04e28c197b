"""RepCodec: a codec of speech features, whose codes are units with more in them than k-means finds.

    features -> ConvNeXt -> codebook of 8 dimensions -> ConvNeXt -> features

Huang et al. 2024, in the form of MaskGCT (Wang et al. 2025, section 3.2.1): the semantic codec
there, the content-style tokenizer in Vevo. Waveforms become units by `SSLUnits`, with w2v-BERT 2.0
(MaskGCT) or HuBERT-large (Vevo) in front.
"""

from dataclasses import dataclass, field
from typing import ClassVar, cast

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from uslm_tokenizer.errors import ConfigError
from uslm_tokenizer.hub import PretrainedModel
from uslm_tokenizer.nn.convnext import ConvNeXt
from uslm_tokenizer.nn.padding import length_mask
from uslm_tokenizer.quantize.base import Quantized
from uslm_tokenizer.quantize.build import QuantizerConfig, build_unit_quantizer
from uslm_tokenizer.quantize.factorized import FactorizedQuantizerConfig


@dataclass(frozen=True, kw_only=True)
class RepCodecConfig:
    """Sizes of a RepCodec."""

    dim: int = 384
    """Width of encoder and decoder."""
    hidden_dim: int = 2048
    """Width inside each ConvNeXt block."""
    num_layers: int = 12
    """ConvNeXt blocks of the encoder, and of the decoder."""
    quantizer: QuantizerConfig = field(
        default_factory=lambda: FactorizedQuantizerConfig(
            dim=1024,
            code_dim=8,
            codebook_size=8192,
            commitment_weight=0.15,
            weight_norm=True,
            count_use=False,
        )
    )
    """The codebook, of any kind that gives one code a frame; it takes latents as wide as the
    features."""
    feature_weight: float = 32.0
    """Weight of the features' error in the training loss, beside that of the codebook."""

    def __post_init__(self) -> None:
        if self.num_layers < 1:
            raise ConfigError(f"num_layers must be at least 1, but is {self.num_layers}")


@dataclass
class FeatureReconstruction:
    """A training pass."""

    features: Float[Tensor, "b t d"]
    """What the codes say of the features."""
    quantized: Quantized
    loss: Float[Tensor, ""]
    """Mean absolute error of the features and the codebook's loss, in their weights."""


class RepCodec(PretrainedModel):
    """Standardised features [b, t, d] <-> codes [b, 1, t]."""

    model_type: ClassVar[str] = "repcodec"
    config_class: ClassVar[type] = RepCodecConfig
    config: RepCodecConfig

    def __init__(self, config: RepCodecConfig) -> None:
        super().__init__(config)
        sizes = (config.dim, config.hidden_dim, config.num_layers)
        self.encoder = ConvNeXt(self.dim, *sizes)
        self.to_latents = nn.Linear(config.dim, self.dim)
        self.quantizer = build_unit_quantizer(config.quantizer, "quantizer")
        self.decoder = ConvNeXt(self.dim, *sizes)
        self.to_features = nn.Linear(config.dim, self.dim)

    @property
    def dim(self) -> int:
        """Width of the features."""
        return self.config.quantizer.dim

    @property
    def num_codebooks(self) -> int:
        """Codes in one frame: 1."""
        return 1

    @property
    def codebook_size(self) -> int:
        """Entries of the codebook; codes lie in [0, codebook_size)."""
        return self.quantizer.codebook_size

    @classmethod
    def tiny_config(cls) -> RepCodecConfig:
        """A config that builds in milliseconds, for tests and examples."""
        quantizer = FactorizedQuantizerConfig(
            dim=16, code_dim=4, codebook_size=32, weight_norm=True, count_use=False
        )
        return RepCodecConfig(dim=12, hidden_dim=24, num_layers=2, quantizer=quantizer)

    def latents(
        self, features: Float[Tensor, "b t d"], mask: Bool[Tensor, "b t"] | None = None
    ) -> Float[Tensor, "b d t"]:
        """Latents that are quantised; frames outside `mask` have no influence on others."""
        hidden = self.encoder(features.to(self.dtype), mask)
        return cast(Tensor, self.to_latents(hidden).float().transpose(1, 2))

    @torch.no_grad()
    def encode(
        self, features: Float[Tensor, "b t d"], lengths: Int[Tensor, " b"] | None = None
    ) -> Int[Tensor, "b k t"]:
        """Codes of each row, k = 1; `lengths` are its true frames, codes after mean nothing."""
        mask = None if lengths is None else length_mask(lengths, features.shape[1])
        return self.quantizer.encode(self.latents(features, mask))

    @torch.no_grad()
    def decode(self, codes: Int[Tensor, "b k t"]) -> Float[Tensor, "b t d"]:
        """The features that the codes stand for."""
        return self._restore(self.quantizer.decode(codes), None)

    def forward(
        self,
        features: Float[Tensor, "b t d"],
        mask: Bool[Tensor, "b t"] | None = None,
        *,
        generator: torch.Generator | None = None,
    ) -> FeatureReconstruction:
        """One training pass; `mask` is False in padding, `generator` draws what is drawn."""
        quantized = self.quantizer(self.latents(features, mask), mask, generator=generator)
        restored = self._restore(quantized.latents, mask)
        real = slice(None) if mask is None else mask
        error = F.l1_loss(restored[real].float(), features[real].float())
        loss = self.config.feature_weight * error + quantized.loss
        return FeatureReconstruction(restored, quantized, loss)

    def _restore(
        self, quantized: Float[Tensor, "b d t"], mask: Bool[Tensor, "b t"] | None
    ) -> Float[Tensor, "b t d"]:
        hidden = self.decoder(quantized.transpose(1, 2).to(self.dtype), mask)
        return cast(Tensor, self.to_features(hidden))
