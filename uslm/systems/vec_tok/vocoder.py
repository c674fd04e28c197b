"""Vec-Tok's vocoder: vectors of a speech encoder -> a waveform.

Vectors of speech are heard by it, and so are those that inverse k-means makes of units, or that
have another's mean in the place of their own.
"""

from dataclasses import dataclass, field
from typing import ClassVar, cast

import torch
from jaxtyping import Float
from torch import Tensor

from uslm_tokenizer.errors import UserError
from uslm_tokenizer.hub import PretrainedModel
from uslm_tokenizer.nn.vocos import Vocos, VocosConfig
from uslm_tokenizer.weight_hash import check_made_for


@dataclass(frozen=True, kw_only=True)
class VectorVocoderConfig:
    """Sizes of a VectorVocoder."""

    vocos: VocosConfig = field(
        default_factory=lambda: VocosConfig(
            in_dim=512, dim=256, hidden_dim=768, num_layers=6, n_fft=1280, hop_length=320
        )
    )
    """The network; `in_dim` is the width of the vectors, `hop_length` the encoder's."""
    sample_rate: int = 16_000
    """Samples per second of the waveform, Hz."""
    tokenizer_hash: str = ""
    """Hash of the tokenizer whose vectors it learnt; empty where nobody knows."""


class VectorVocoder(PretrainedModel):
    """Vectors [b, t, f] -> waveform of t * hop_length samples."""

    model_type: ClassVar[str] = "vector_vocoder"
    config_class: ClassVar[type] = VectorVocoderConfig
    config: VectorVocoderConfig

    def __init__(self, config: VectorVocoderConfig) -> None:
        super().__init__(config)
        self.vocos = Vocos(config.vocos)

    def check_tokenizer(self, found: str) -> None:
        """UserError unless this is the hash of the tokenizer whose vectors it learnt."""
        check_made_for("the vocoder", self.config.tokenizer_hash, found)

    @classmethod
    def tiny_config(cls) -> VectorVocoderConfig:
        vocos = VocosConfig(
            in_dim=16, dim=16, hidden_dim=32, num_layers=2, n_fft=640, hop_length=320
        )
        return VectorVocoderConfig(vocos=vocos)

    @property
    def sample_rate(self) -> int:
        """Samples per second, Hz."""
        return self.config.sample_rate

    @property
    def hop_length(self) -> int:
        """Samples that one vector stands for."""
        return self.config.vocos.hop_length

    def forward(self, vectors: Float[Tensor, "b t f"]) -> Float[Tensor, "b 1 n"]:
        """The waveform. UserError for vectors of another encoder's width."""
        if vectors.shape[2] != self.config.vocos.in_dim:
            raise UserError(
                f"vectors must be {self.config.vocos.in_dim} wide, as the vocoder learnt them, but "
                f"are {vectors.shape[2]}"
            )
        return cast(Tensor, self.vocos(vectors.to(self.dtype).transpose(1, 2)))

    @torch.no_grad()
    def decode(self, vectors: Float[Tensor, "b t f"]) -> Float[Tensor, "b 1 n"]:
        """As `forward`, without gradients."""
        return cast(Tensor, self(vectors))
