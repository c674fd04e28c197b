"""Units that a loss after them has shaped: speech encoder -> adapter -> one codebook.

Differentiable k-means has no adapter, and centroids that an ASR loss moves; LAST has an adapter
and a codebook that a frozen language model's loss moves. `uslm_recipes.train_judged_units` trains
both; of what judged them nothing is left here.
"""

from dataclasses import dataclass, field
from typing import ClassVar, cast

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from uslm_tokenizer.base import AudioTokenizer
from uslm_tokenizer.codecs.ssl_units.base import SSLUnitTokenizer
from uslm_tokenizer.codecs.unit_tokenizer.model import LocalMixing
from uslm_tokenizer.errors import ConfigError
from uslm_tokenizer.objectives.judged import Tokenized
from uslm_tokenizer.quantize.base import Quantized
from uslm_tokenizer.quantize.build import QuantizerConfig, build_unit_quantizer
from uslm_tokenizer.quantize.diff_kmeans import DifferentiableKMeansConfig
from uslm_tokenizer.quantize.vq import VectorQuantizerConfig
from uslm_tokenizer.ssl.encoder import SSLConfig, SSLEncoder
from uslm_tokenizer.ssl.tiny_backbones import TINY_HUBERT


@dataclass(frozen=True, kw_only=True)
class AdapterConfig:
    """Sizes of what stands between a speech encoder and the codebook."""

    num_layers: int = 2
    """Convolutions with a residual path."""
    kernel_size: int = 5
    """Frames that each of them sees, an odd number."""

    def __post_init__(self) -> None:
        if self.num_layers < 0 or self.kernel_size < 1 or self.kernel_size % 2 == 0:
            raise ConfigError(
                "adapter must have 0 or more layers and an odd kernel_size, but has "
                f"{self.num_layers} and {self.kernel_size}"
            )


@dataclass(frozen=True, kw_only=True)
class JudgedUnitsConfig:
    """The parts of JudgedUnits."""

    encoder: SSLConfig
    """The speech encoder and its layers."""
    adapter: AdapterConfig | None = None
    """None: the codebook lies among the encoder's features."""
    quantizer: QuantizerConfig = field(
        default_factory=lambda: DifferentiableKMeansConfig(dim=512, temperature=2.0)
    )
    """The codebook, of any kind that gives one code a frame; its keys say which. Without an
    adapter its `dim` is the encoder's width."""


class Adapter(nn.Module):
    """A linear map to the codebook's width, and convolutions that see no padding."""

    def __init__(self, config: AdapterConfig, in_dim: int, out_dim: int) -> None:
        super().__init__()
        self.project = nn.Linear(in_dim, out_dim)
        self.layers = nn.ModuleList(
            LocalMixing(out_dim, config.kernel_size) for _ in range(config.num_layers)
        )

    def forward(
        self, features: Float[Tensor, "b t f"], mask: Bool[Tensor, "b t"]
    ) -> Float[Tensor, "b t d"]:
        x = self.project(features)
        for layer in self.layers:
            x = layer(x * mask[..., None])
        return F.layer_norm(x.float(), x.shape[-1:])


class JudgedUnits(SSLUnitTokenizer):
    """Waveform -> units [b, 1, t], from a codebook that its judges have shaped."""

    model_type: ClassVar[str] = "judged_units"
    config_class: ClassVar[type] = JudgedUnitsConfig
    encoder: SSLEncoder
    config: JudgedUnitsConfig

    def __init__(self, config: JudgedUnitsConfig) -> None:
        super().__init__(config)
        self._assemble(SSLEncoder(config.encoder))

    @classmethod
    def from_encoder(
        cls, encoder: SSLEncoder, quantizer: QuantizerConfig, adapter: AdapterConfig | None = None
    ) -> "JudgedUnits":
        """Around a loaded encoder, which is not copied."""
        units = cls.__new__(cls)
        config = JudgedUnitsConfig(encoder=encoder.config, adapter=adapter, quantizer=quantizer)
        AudioTokenizer.__init__(units, config)
        units._assemble(encoder)
        return units.eval()

    def _assemble(self, encoder: SSLEncoder) -> None:
        config = self.config
        self.encoder = encoder
        width = config.quantizer.dim
        if config.adapter is None and width != encoder.dim:
            raise ConfigError(
                f"quantizer.dim must be {encoder.dim}, the width of the speech encoder, as there "
                f"is no adapter, but is {width}"
            )
        self.adapter = None if config.adapter is None else Adapter(
            config.adapter, encoder.dim, width
        )  # fmt: skip
        self.quantizer = build_unit_quantizer(config.quantizer, "quantizer")

    @property
    def num_codebooks(self) -> int:
        return 1

    @property
    def codebook_size(self) -> int:
        return self.quantizer.codebook_size

    @torch.no_grad()
    def encode(
        self, waveform: Float[Tensor, "b 1 n"], lengths: Int[Tensor, " b"] | None = None
    ) -> Int[Tensor, "b 1 t"]:
        features, mask = self._features(waveform, lengths)
        return self.quantizer.encode(self.latents(features, mask))

    def latents(
        self, features: Float[Tensor, "b t f"], mask: Bool[Tensor, "b t"]
    ) -> Float[Tensor, "b d t"]:
        """Latents that the codebook quantizes."""
        adapted = features if self.adapter is None else self.adapter(features, mask)
        return cast(Tensor, adapted).transpose(1, 2)

    def forward(
        self,
        waveform: Float[Tensor, "b 1 n"],
        lengths: Int[Tensor, " b"],
        generator: torch.Generator | None = None,
        *,
        continuous: bool = False,
    ) -> Tokenized:
        """One training pass. `continuous` hands the latents on as they are, beside their codes."""
        features, mask = self._features(waveform, lengths)
        latents = self.latents(features, mask)
        if continuous:
            zero = latents.new_zeros((), dtype=torch.float32)
            quantized = Quantized(latents, self.quantizer.encode(latents), zero, zero, zero)
        else:
            quantized = self.quantizer(latents, mask, generator=generator)
        return Tokenized(features, latents, quantized, self.quantizer, mask)

    @classmethod
    def tiny_config(cls) -> JudgedUnitsConfig:
        return JudgedUnitsConfig(
            encoder=SSLConfig(backbone=TINY_HUBERT, layers=(1, 2), layer_weights="learnt"),
            adapter=AdapterConfig(num_layers=1, kernel_size=3),
            quantizer=VectorQuantizerConfig(dim=8, codebook_size=16),
        )
