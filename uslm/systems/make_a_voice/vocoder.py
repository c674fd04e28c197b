"""Make-A-Voice's unit vocoder: the first codebooks of a codec -> a waveform.

The codec's own decoder learnt to hear all of its codebooks, and misses those that are not there;
this one has never heard more than the first few.
"""

from dataclasses import dataclass, field
from typing import ClassVar, cast

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from uslm_tokenizer.errors import ConfigError, UserError
from uslm_tokenizer.hub import PretrainedModel
from uslm_tokenizer.nn.vocos import Vocos, VocosConfig


@dataclass(frozen=True, kw_only=True)
class CodeVocoderConfig:
    """Sizes of a CodeVocoder."""

    num_codebooks: int = 3
    """The first codebooks of the codec, as many as are heard."""
    codebook_size: int = 1024
    """Entries of each of them."""
    vocos: VocosConfig = field(
        default_factory=lambda: VocosConfig(
            in_dim=256, dim=256, hidden_dim=768, num_layers=6, n_fft=1280, hop_length=320
        )
    )
    """The network; `in_dim` is the width of the codes' vectors, `hop_length` the codec's."""
    sample_rate: int = 16_000
    """Samples per second of the waveform, Hz."""

    def __post_init__(self) -> None:
        if self.num_codebooks < 1 or self.codebook_size < 1:
            raise ConfigError(
                "num_codebooks and codebook_size must be 1 or more, but are "
                f"{self.num_codebooks} and {self.codebook_size}"
            )


class CodeVocoder(PretrainedModel):
    """Codes [b, k, t] -> waveform of t * hop_length samples."""

    model_type: ClassVar[str] = "code_vocoder"
    config_class: ClassVar[type] = CodeVocoderConfig
    config: CodeVocoderConfig

    def __init__(self, config: CodeVocoderConfig) -> None:
        super().__init__(config)
        rows = config.num_codebooks * config.codebook_size
        self.embedding = nn.Embedding(rows, config.vocos.in_dim)
        self.vocos = Vocos(config.vocos)

    @classmethod
    def tiny_config(cls) -> CodeVocoderConfig:
        vocos = VocosConfig(
            in_dim=16, dim=16, hidden_dim=32, num_layers=2, n_fft=640, hop_length=320
        )
        return CodeVocoderConfig(num_codebooks=2, codebook_size=8, vocos=vocos)

    @property
    def sample_rate(self) -> int:
        """Samples per second, Hz."""
        return self.config.sample_rate

    @property
    def hop_length(self) -> int:
        """Samples that one frame of codes stands for."""
        return self.config.vocos.hop_length

    def forward(self, codes: Int[Tensor, "b k t"]) -> Float[Tensor, "b 1 n"]:
        """The waveform. UserError for codes of another codec."""
        count, size = self.config.num_codebooks, self.config.codebook_size
        if codes.shape[1] != count:
            raise UserError(f"codes must be of {count} codebooks, but are of {codes.shape[1]}")
        if codes.numel() and not 0 <= int(codes.min()) <= int(codes.max()) < size:
            raise UserError(
                f"codes must lie in [0, {size}), but reach from {int(codes.min())} to "
                f"{int(codes.max())}"
            )
        first = size * torch.arange(count, device=codes.device)[:, None]
        vectors = self.embedding(codes + first).sum(dim=1)
        return cast(Tensor, self.vocos(vectors.transpose(1, 2)))

    @torch.no_grad()
    def decode(self, codes: Int[Tensor, "b k t"]) -> Float[Tensor, "b 1 n"]:
        """As `forward`, without gradients."""
        return cast(Tensor, self(codes))
