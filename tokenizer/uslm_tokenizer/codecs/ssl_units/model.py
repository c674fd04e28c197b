"""Units from a codec of speech features: a frozen speech encoder, then RepCodec or Vevo's own.

encoder = SSLEncoder.from_pretrained("facebook/w2v-bert-2.0", layers=(17,), padding="end")
tokenizer = SSLUnits.from_parts(encoder, codec)
tokenizer.save_pretrained("semantic")
"""

from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Float, Int
from torch import Tensor

from uslm_tokenizer.base import AudioTokenizer
from uslm_tokenizer.codecs.repcodec.model import RepCodec, RepCodecConfig
from uslm_tokenizer.codecs.ssl_units.base import SSLUnitTokenizer
from uslm_tokenizer.codecs.vevo_content.model import VevoContentConfig, VevoContentTokenizer
from uslm_tokenizer.errors import ConfigError
from uslm_tokenizer.ssl.encoder import SSLConfig, SSLEncoder
from uslm_tokenizer.ssl.tiny_backbones import TINY_W2V_BERT

Codec = RepCodec | VevoContentTokenizer


@dataclass(frozen=True, kw_only=True)
class SSLUnitsConfig:
    """The parts of SSLUnits."""

    encoder: SSLConfig
    """The frozen speech encoder and its layers; its statistics standardise the features."""
    codec: RepCodecConfig | VevoContentConfig
    """The codec of its features."""


class SSLUnits(SSLUnitTokenizer):
    """Waveform -> units [b, 1, t]."""

    model_type: ClassVar[str] = "ssl_units"
    config_class: ClassVar[type] = SSLUnitsConfig
    encoder: SSLEncoder
    config: SSLUnitsConfig

    def __init__(self, config: SSLUnitsConfig) -> None:
        super().__init__(config)
        self._assemble(SSLEncoder(config.encoder), _build(config.codec))

    @classmethod
    def from_parts(cls, encoder: SSLEncoder, codec: Codec) -> "SSLUnits":
        """Around a loaded encoder and a loaded codec, which are not copied."""
        units = cls.__new__(cls)
        AudioTokenizer.__init__(units, SSLUnitsConfig(encoder=encoder.config, codec=codec.config))
        units._assemble(encoder, codec)
        return units.eval()

    def _assemble(self, encoder: SSLEncoder, codec: Codec) -> None:
        if encoder.dim != codec.dim:
            raise ConfigError(
                f"the codec must take features of width {encoder.dim}, as the encoder makes them, "
                f"but takes {codec.dim}"
            )
        self.encoder, self.codec = encoder, codec

    @property
    def num_codebooks(self) -> int:
        return self.codec.num_codebooks

    @property
    def codebook_size(self) -> int:
        return self.codec.codebook_size

    @torch.no_grad()
    def encode(
        self, waveform: Float[Tensor, "b 1 n"], lengths: Int[Tensor, " b"] | None = None
    ) -> Int[Tensor, "b k t"]:
        """As of any tokenizer; of an encoder without padding, t is what it makes of n samples."""
        features, mask = self._features(waveform, lengths)
        return self.codec.encode(features, mask.sum(1))

    @classmethod
    def tiny_config(cls) -> SSLUnitsConfig:
        encoder = SSLConfig(backbone=TINY_W2V_BERT, layers=(2,), padding="end")
        return SSLUnitsConfig(encoder=encoder, codec=RepCodec.tiny_config())


def _build(config: RepCodecConfig | VevoContentConfig) -> Codec:
    return RepCodec(config) if isinstance(config, RepCodecConfig) else VevoContentTokenizer(config)
