"""WavTokenizer (Ji et al. 2024): one codebook of 4,096 codes, 40 or 75 frames per second.

All of a frame is in one code; so the decoder looks at all frames, by an attention before its
blocks, to tell what the code leaves open.
"""

from dataclasses import dataclass, field
from typing import ClassVar

from uslm_tokenizer.codecs.vocos.model import VocosCodec, VocosCodecConfig
from uslm_tokenizer.nn.seanet import SEANetConfig
from uslm_tokenizer.nn.vocos import VocosConfig
from uslm_tokenizer.quantize.rvq import ResidualQuantizerConfig
from uslm_tokenizer.quantize.vq import VectorQuantizerConfig


def one_codebook(dim: int, codebook_size: int, num_levels: int = 1) -> ResidualQuantizerConfig:
    """WavTokenizer's quantizer, which has one level."""
    level = VectorQuantizerConfig(
        dim=dim, codebook_size=codebook_size, dead_share=0.0, dead_count=2.0, smoothing=1e-5
    )
    return ResidualQuantizerConfig(levels=(level,) * num_levels, dropout=0.0)


@dataclass(frozen=True, kw_only=True)
class WavTokenizerConfig(VocosCodecConfig):
    """Sizes of a WavTokenizer; the defaults are those of the one with 75 frames per second."""

    encoder: SEANetConfig = field(default_factory=lambda: SEANetConfig(dim=512))
    """From the waveform to latents."""
    quantizer: ResidualQuantizerConfig = field(default_factory=lambda: one_codebook(512, 4096))
    """Of the latents; its `dim` must be the encoder's."""
    decoder: VocosConfig = field(
        default_factory=lambda: VocosConfig(
            in_dim=512, dim=768, hidden_dim=2304, num_layers=12, n_fft=1280, hop_length=320,
            num_conditions=4, position_net=True,
        )
    )  # fmt: skip
    """From quantized latents to the waveform."""


class WavTokenizer(VocosCodec):
    """Waveform <-> codes [b, 1, t]."""

    model_type: ClassVar[str] = "wav_tokenizer"
    config_class: ClassVar[type] = WavTokenizerConfig

    @classmethod
    def tiny_config(cls) -> WavTokenizerConfig:
        return WavTokenizerConfig(
            encoder=SEANetConfig(dim=12, num_filters=2, strides=(2, 4, 5)),
            quantizer=one_codebook(12, 32),
            decoder=VocosConfig(
                in_dim=12, dim=64, hidden_dim=48, num_layers=1, n_fft=160, hop_length=40,
                num_conditions=2, position_net=True,
            ),
        )  # fmt: skip
