"""Language-Codec (Ji et al. 2024): eight codebooks, the first three of which share the work.

In a plain residual stack the first codebook holds most of the information, and its codes are hard
to predict. Here three see a third of the channels each (MaskedChannelQuantizer), for language
models that predict one codebook after the other.
"""

from dataclasses import dataclass, field
from typing import ClassVar

from uslm_tokenizer.codecs.vocos.model import VocosCodec, VocosCodecConfig
from uslm_tokenizer.nn.seanet import SEANetConfig
from uslm_tokenizer.nn.vocos import VocosConfig
from uslm_tokenizer.quantize.mcrvq import MaskedChannelQuantizer, MaskedChannelQuantizerConfig
from uslm_tokenizer.quantize.rvq import ResidualQuantizer
from uslm_tokenizer.quantize.vq import VectorQuantizerConfig


def masked_channels(
    dim: int, codebook_size: int, num_levels: int = 8
) -> MaskedChannelQuantizerConfig:
    """Language-Codec's quantizer."""
    level = VectorQuantizerConfig(
        dim=dim, codebook_size=codebook_size, dead_share=0.0, dead_count=2.0, smoothing=1e-5
    )
    return MaskedChannelQuantizerConfig(levels=(level,) * num_levels)


@dataclass(frozen=True, kw_only=True)
class LanguageCodecConfig(VocosCodecConfig):
    """Sizes of a LanguageCodec; the defaults are the pretrained ones."""

    encoder: SEANetConfig = field(default_factory=SEANetConfig)
    """From the waveform to latents."""
    quantizer: MaskedChannelQuantizerConfig = field(
        default_factory=lambda: masked_channels(128, 1024)
    )
    """Of the latents; its `dim` must be the encoder's."""
    decoder: VocosConfig = field(
        default_factory=lambda: VocosConfig(
            in_dim=128, dim=384, hidden_dim=1152, num_layers=12, n_fft=1280, hop_length=320,
            num_conditions=4,
        )
    )  # fmt: skip
    """From quantized latents to the waveform."""


class LanguageCodec(VocosCodec):
    """Waveform <-> codes [b, 3 to 8, t]."""

    model_type: ClassVar[str] = "language_codec"
    config_class: ClassVar[type] = LanguageCodecConfig
    quantizer_class: ClassVar[type[ResidualQuantizer]] = MaskedChannelQuantizer

    @classmethod
    def tiny_config(cls) -> LanguageCodecConfig:
        return LanguageCodecConfig(
            encoder=SEANetConfig(dim=10, num_filters=2, strides=(2, 4, 5)),
            quantizer=masked_channels(10, 16, num_levels=5),
            decoder=VocosConfig(
                in_dim=10, dim=16, hidden_dim=24, num_layers=2, n_fft=160, hop_length=40,
                num_conditions=2,
            ),
        )  # fmt: skip
