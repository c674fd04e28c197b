"""SpeechTokenizer: a residual codec whose first codebook is taught to hold what is spoken.

Zhang et al. 2023 (arXiv 2308.16692). A SEANet encoder and decoder around eight codebooks; in
training the first level's output, projected, follows the features of HuBERT over time. DM-Codec
(Ahasan et al. 2024) is the same network with other teachers.
"""

from dataclasses import dataclass, field, replace
from typing import ClassVar, cast

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from uslm_tokenizer.base import CodecPass, TrainableCodec
from uslm_tokenizer.errors import ConfigError, UserError
from uslm_tokenizer.nn.seanet import SEANetConfig, SEANetDecoder, SEANetEncoder
from uslm_tokenizer.quantize.base import Quantized
from uslm_tokenizer.quantize.rvq import ResidualQuantizer, ResidualQuantizerConfig
from uslm_tokenizer.quantize.vq import VectorQuantizerConfig


@dataclass(frozen=True, kw_only=True)
class SpeechTokenizerConfig:
    """Sizes of a SpeechTokenizer; the defaults are the pretrained ones."""

    sample_rate: int = 16_000
    """Samples per second of the waveform, Hz."""
    network: SEANetConfig = field(
        default_factory=lambda: SEANetConfig(dim=1024, num_filters=64, bidirectional=True)
    )
    """Encoder and decoder."""
    level: VectorQuantizerConfig = field(
        default_factory=lambda: VectorQuantizerConfig(
            dim=1024, codebook_size=1024, dead_share=0.0, dead_count=2.0, smoothing=1e-5
        )
    )
    """One codebook; its `dim` must be the network's."""
    num_levels: int = 8
    """Codebooks of the model."""
    num_codebooks: int | None = None
    """Codebooks in use, the first so many; None: all."""
    semantic_dim: int = 768
    """Width of the teacher's features; the first level is projected unless it is as wide."""
    merge: tuple[int, ...] = ()
    """See `ResidualQuantizerConfig.merge`."""

    def __post_init__(self) -> None:
        if self.level.dim != self.network.dim:
            raise ConfigError(
                f"level.dim must be network.dim, {self.network.dim}, but is {self.level.dim}"
            )
        if self.network.audio_channels != 1:
            raise ConfigError(
                f"network.audio_channels must be 1, but is {self.network.audio_channels}"
            )


@dataclass
class SpeechTokenizerPass(CodecPass):
    """A training pass."""

    semantic: Float[Tensor, "b t semantic_dim"]
    """What the teacher's features are compared with: the first level, projected."""


class SpeechTokenizer(TrainableCodec):
    """Waveform <-> codes [b, levels, t], the first of them semantic.

    Where the published code errs in training, this does not: the commitment of every level reaches
    the encoder (theirs: the first level's only), and dead codes really are reset.
    """

    model_type: ClassVar[str] = "speech_tokenizer"
    config_class: ClassVar[type] = SpeechTokenizerConfig
    config: SpeechTokenizerConfig

    def __init__(self, config: SpeechTokenizerConfig) -> None:
        super().__init__(config)
        dim = config.network.dim
        self.encoder = SEANetEncoder(config.network)
        self.quantizer = ResidualQuantizer(
            ResidualQuantizerConfig(
                levels=(config.level,) * config.num_levels, dropout=0.0, merge=config.merge
            )
        )
        self.to_semantic = (
            nn.Identity() if config.semantic_dim == dim else nn.Linear(dim, config.semantic_dim)
        )
        self.decoder = SEANetDecoder(config.network)
        if config.num_codebooks is not None:
            self.use_codebooks(config.num_codebooks)

    @property
    def sample_rate(self) -> int:
        return self.config.sample_rate

    @property
    def hop_length(self) -> int:
        return self.config.network.hop_length

    @property
    def num_codebooks(self) -> int:
        return self.config.num_codebooks or self.config.num_levels

    @property
    def codebook_size(self) -> int:
        return self.quantizer.codebook_size

    def use_codebooks(self, count: int) -> None:
        if not 1 <= count <= self.config.num_levels:
            raise UserError(
                f"the number of codebooks must be from 1 to {self.config.num_levels}, "
                f"but is {count}"
            )
        self.config = replace(self.config, num_codebooks=count)

    @property
    def latent_dim(self) -> int:
        return self.config.network.dim

    @torch.no_grad()
    def encode(
        self,
        waveform: Float[Tensor, "b 1 n"],
        lengths: Int[Tensor, " b"] | None = None,
        *,
        start: int = 0,
    ) -> Int[Tensor, "b k t"]:
        """Codes of each row; t = ceil(n / hop_length).

        With a `start` the codes of the levels from there on, as if those before were not there:
        nothing is subtracted for them (`st` of the published encode).
        """
        self.check_waveform(waveform)
        self._check_start(start)

        def encode(alone: Tensor) -> Tensor:
            codes = self.quantizer.encode(self.encoder(alone), self.num_codebooks, start)
            return F.pad(codes, (0, 0, start, 0))

        return self.encode_by_length(waveform.to(self.dtype), lengths, encode)[:, start:]

    @torch.no_grad()
    def decode(self, codes: Int[Tensor, "b k t"], *, start: int = 0) -> Float[Tensor, "b 1 n"]:
        """The waveform of the codes, which begin with level `start`; n = t * hop_length."""
        self._check_start(start)
        self.check_codes(codes, self.num_codebooks - start)
        latents = self.quantizer.decode(codes, start=start)
        return cast(Tensor, self.decoder(latents.to(self.dtype)))

    def quantize(
        self, waveform: Float[Tensor, "b 1 n"], generator: torch.Generator | None = None
    ) -> Quantized:
        """Encode into latents; in training mode the codebooks follow their moving averages.

        `generator` draws the frames that dead codes are reset to.
        """
        return cast(
            Quantized,
            self.quantizer(
                self.encoder(waveform), generator=generator, num_quantizers=self.num_codebooks
            ),
        )

    def project(self, level: Float[Tensor, "b d t"]) -> Float[Tensor, "b t semantic_dim"]:
        """Vectors that a level adds, brought to the teacher's width; made for the first one."""
        return cast(Tensor, self.to_semantic(level.transpose(1, 2)))

    def forward(
        self, waveform: Float[Tensor, "b 1 n"], generator: torch.Generator | None = None
    ) -> SpeechTokenizerPass:
        """Encode, quantise and decode, for training."""
        quantized = self.quantize(waveform, generator)
        return SpeechTokenizerPass(
            self.decoder(quantized.latents), quantized, self.project(quantized.levels[0])
        )

    @torch.no_grad()
    def initialize(
        self, waveform: Float[Tensor, "b 1 n"], generator: torch.Generator | None = None
    ) -> None:
        """Start the codebooks from k-means of this sound, as training should begin."""
        self.quantizer.initialize(self.encoder(waveform), generator=generator)

    def _check_start(self, start: int) -> None:
        if not 0 <= start < self.num_codebooks:
            raise UserError(f"start must be from 0 to {self.num_codebooks - 1}, but is {start}")

    @classmethod
    def tiny_config(cls) -> SpeechTokenizerConfig:
        return SpeechTokenizerConfig(
            network=SEANetConfig(dim=12, num_filters=2, strides=(2, 4, 5), bidirectional=True),
            level=VectorQuantizerConfig(
                dim=12, codebook_size=32, dead_share=0.0, dead_count=2.0, smoothing=1e-5
            ),
            num_levels=3,
            semantic_dim=8,
        )
