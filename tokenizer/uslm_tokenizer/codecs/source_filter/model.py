"""The default codec: what is said, how high, and how it sounds, in one frame of codes.

    row 0     unit: what is spoken, of a UnitTokenizer
    row 1     pitch: 0 unvoiced, else F0 in half of half-tones
    rows 2..  residual codes of two neighbouring log-mel frames

The decoder reads pitch and mel codes; units are for language models. Latents are mel frames and
not learnt: a language model can predict much more of them from units and a voice. (Of the latents
of UnitCodec half of the variance stayed unpredictable.)
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar, cast

import torch
from einops import rearrange
from jaxtyping import Float, Int
from torch import Tensor

from uslm_tokenizer.base import AudioTokenizer
from uslm_tokenizer.codecs.source_filter.decoder import (
    FINE_FRAMES,
    SourceFilterDecoder,
    SourceFilterDecoderConfig,
)
from uslm_tokenizer.codecs.source_filter.pitch import PitchConfig, estimate_f0
from uslm_tokenizer.codecs.unit_tokenizer.model import UnitTokenizer, UnitTokenizerConfig
from uslm_tokenizer.errors import ConfigError, UserError
from uslm_tokenizer.nn.spectral import LogMel
from uslm_tokenizer.quantize.base import Quantizer, full_precision
from uslm_tokenizer.quantize.rvq import ResidualQuantizer, ResidualQuantizerConfig
from uslm_tokenizer.quantize.vq import VectorQuantizerConfig

UNIT_ROW, PITCH_ROW, FIRST_MEL_ROW = 0, 1, 2


@dataclass(frozen=True, kw_only=True)
class SourceFilterCodecConfig:
    """Sizes of a SourceFilterCodec."""

    units: UnitTokenizerConfig = field(default_factory=UnitTokenizerConfig)
    """The semantic tokenizer inside; it gives row 0, the sample rate, the hop and the number of
    entries of every codebook."""
    pitch: PitchConfig = field(default_factory=PitchConfig)
    """How F0 is found and coded."""
    num_mel_codebooks: int = 8
    """Residual codebooks of the mel frames."""
    num_mels: int = 64
    """Bands of a mel frame; two frames make one of the codec."""
    mel_n_fft: int = 512
    """Window of the mel spectrogram, samples."""
    mel_floor: float = 1e-4
    """Least magnitude of a mel band."""
    decoder: SourceFilterDecoderConfig = field(default_factory=SourceFilterDecoderConfig)
    """What makes the waveform."""

    def __post_init__(self) -> None:
        if self.units.hop_length % FINE_FRAMES:
            raise ConfigError(f"hop_length must be even, but is {self.units.hop_length}")
        if self.pitch.num_steps >= self.units.quantizer.codebook_size:
            raise ConfigError(
                f"pitch.num_steps must be below the {self.units.quantizer.codebook_size} entries "
                f"of a codebook, but is {self.pitch.num_steps}"
            )
        if self.num_mel_codebooks < 1:
            raise ConfigError(f"num_mel_codebooks must be 1 or more, not {self.num_mel_codebooks}")

    @property
    def latent_dim(self) -> int:
        """Values of one frame's latents."""
        return FINE_FRAMES * self.num_mels


@dataclass
class Features:
    """Latents of a waveform, before it is quantized."""

    latents: Float[Tensor, "b t c"]
    """Two neighbouring log-mel frames, standardised."""
    f0: Float[Tensor, "b t"]
    """Hz, 0 where unvoiced."""


class SourceFilterCodec(AudioTokenizer):
    """Waveform <-> codes [b, 2 + mel codebooks, t]."""

    model_type: ClassVar[str] = "source_filter_codec"
    config_class: ClassVar[type] = SourceFilterCodecConfig
    config: SourceFilterCodecConfig
    decodes_from_start: ClassVar[bool] = True
    pitch_codebook: ClassVar[int | None] = PITCH_ROW
    mean: Tensor
    scale: Tensor

    def __init__(self, config: SourceFilterCodecConfig) -> None:
        super().__init__(config)
        self.units = UnitTokenizer(config.units).requires_grad_(False)
        sample_rate, hop = config.units.sample_rate, config.units.hop_length
        self.mel = LogMel(
            sample_rate, config.mel_n_fft, hop // FINE_FRAMES, config.num_mels, config.mel_floor
        )
        level = VectorQuantizerConfig(
            dim=config.latent_dim, codebook_size=config.units.quantizer.codebook_size,
            update="gradient", dead_share=0.0, count_use=False,
        )  # fmt: skip
        self.quantizer = ResidualQuantizer(
            ResidualQuantizerConfig(levels=(level,) * config.num_mel_codebooks, dropout=0.0)
        )
        self.decoder = SourceFilterDecoder(config.decoder, config.latent_dim, sample_rate, hop)
        # Log-mels of speech until a recipe has measured its own.
        self.register_buffer("mean", torch.full((config.latent_dim,), -5.0))
        self.register_buffer("scale", torch.tensor(2.0))
        self._num_codebooks = FIRST_MEL_ROW + config.num_mel_codebooks

    @property
    def sample_rate(self) -> int:
        return self.units.sample_rate

    @property
    def hop_length(self) -> int:
        return self.units.hop_length

    @property
    def num_codebooks(self) -> int:
        return self._num_codebooks

    @property
    def codebook_size(self) -> int:
        return self.units.codebook_size

    @property
    def num_pitches(self) -> int:
        return self.config.pitch.num_steps + 1

    @property
    def decoder_context_frames(self) -> int:
        return self.decoder.context_frames

    def use_codebooks(self, count: int) -> None:
        least, most = FIRST_MEL_ROW + 1, FIRST_MEL_ROW + self.config.num_mel_codebooks
        if not least <= count <= most:
            raise UserError(f"the number of codebooks must be from {least} to {most}, not {count}")
        self._num_codebooks = count

    @torch.no_grad()
    def encode(
        self, waveform: Float[Tensor, "b 1 n"], lengths: Int[Tensor, " b"] | None = None
    ) -> Int[Tensor, "b k t"]:
        self.check_waveform(waveform)
        units = self.units.encode(waveform, lengths)
        features = self.features(waveform, lengths)
        pitch = self.config.pitch.encode(features.f0)[:, None]
        return torch.cat([units, pitch, self.quantize(features.latents)], dim=1)

    @torch.no_grad()
    def features(
        self, waveform: Float[Tensor, "b 1 n"], lengths: Int[Tensor, " b"] | None = None
    ) -> Features:
        """Latents and F0 of each frame; t = ceil(n / hop_length)."""
        framed, _ = self.units.frame(waveform, lengths)
        mel = self.mel_frames(framed)
        ends = [waveform.shape[-1]] * len(waveform) if lengths is None else lengths.tolist()
        f0 = mel.new_zeros(mel.shape[:2])
        for row, end in enumerate(ends):
            if end:
                found = estimate_f0(
                    waveform[row, 0, :end], self.sample_rate, self.hop_length, self.config.pitch
                )
                f0[row, : len(found)] = found
        return Features((mel - self.mean) / self.scale, f0)

    def mel_frames(self, framed: Float[Tensor, "b 1 n"]) -> Float[Tensor, "b t c"]:
        """Two neighbouring log-mel frames each, of a waveform of whole frames."""
        with full_precision(framed):  # what a language model is to predict
            mel: Tensor = self.mel(framed)
        return rearrange(mel, "b (t two) m -> b t (two m)", two=FINE_FRAMES)

    def quantize(self, latents: Float[Tensor, "b t c"]) -> Int[Tensor, "b k t"]:
        """Codes of the mel codebooks in use."""
        codes = self.quantizer.encode(latents.transpose(1, 2))
        return codes[:, : self.num_codebooks - FIRST_MEL_ROW]

    def dequantize(self, codes: Int[Tensor, "b k t"]) -> Float[Tensor, "b t c"]:
        """Latents of codes of the first mel codebooks."""
        return self.quantizer.decode(codes).transpose(1, 2)

    @torch.no_grad()
    def codebook_vectors(self) -> Float[Tensor, "levels v c"]:
        """Vectors that the codes of the mel codebooks add to the latents."""
        codes = torch.arange(self.codebook_size, device=self.device)[None, None]
        levels = (cast(Quantizer, level) for level in self.quantizer.levels)
        return torch.stack([level.decode(codes)[0].T.float() for level in levels])

    @torch.no_grad()
    def decode(self, codes: Int[Tensor, "b k t"]) -> Float[Tensor, "b 1 n"]:
        return self.decode_window(codes, 0, codes.shape[-1])

    @torch.no_grad()
    def decode_window(
        self, codes: Int[Tensor, "b k t"], start: int, stop: int
    ) -> Float[Tensor, "b 1 n"]:
        self.check_codes(codes)
        f0 = self.config.pitch.decode(codes[:, PITCH_ROW])
        latents = self.dequantize(codes[:, FIRST_MEL_ROW:])
        return self.decoder.window_of(latents, f0, start, stop)

    def forward(
        self,
        codes: Int[Tensor, "b k t"],
        depth: Int[Tensor, " b"],
        noise: Float[Tensor, "b n"],
    ) -> Float[Tensor, "b 1 n"]:
        """A training pass of the decoder: `decode` with another noise, and of each row the first
        `depth` mel codebooks only."""
        latents = self.mean.new_zeros(())
        for number, level in enumerate(self.quantizer.levels):
            row = FIRST_MEL_ROW + number
            added = cast(Quantizer, level).decode(codes[:, row : row + 1]).transpose(1, 2)
            latents = latents + added * (number < depth)[:, None, None]
        return self.decoder.with_noise(
            latents, self.config.pitch.decode(codes[:, PITCH_ROW]), noise
        )

    @torch.no_grad()
    def fit_codebooks(
        self, waveforms: Sequence[Float[Tensor, "1 1 _n"]], generator: torch.Generator
    ) -> None:
        """Measure mean and scale of the latents of some speech, and place the mel codebooks."""
        mel = torch.cat([self.mel_frames(self.units.frame(each, None)[0])[0] for each in waveforms])
        self.mean.copy_(mel.mean(dim=0))
        self.scale.copy_(mel.std(dim=0).mean())
        latents = (mel - self.mean) / self.scale
        self.quantizer.initialize(latents.T[None], generator=generator)

    def check_codes(self, codes: Tensor, num_codebooks: int | None = None) -> None:
        super().check_codes(codes, num_codebooks)
        most = self.config.pitch.num_steps
        pitch = codes[:, PITCH_ROW : PITCH_ROW + 1]
        if pitch.numel() and int(pitch.max()) > most:
            raise UserError(
                f"codes must hold pitches from 0 to {most} in row {PITCH_ROW}, "
                f"but reach {int(pitch.max())}"
            )

    @classmethod
    def tiny_config(cls) -> SourceFilterCodecConfig:
        return SourceFilterCodecConfig(
            units=UnitTokenizer.tiny_config(),
            pitch=PitchConfig(steps_per_octave=9, num_steps=31),
            num_mel_codebooks=3,
            num_mels=12,
            decoder=SourceFilterDecoderConfig(
                dim=24, hidden_dim=48, num_layers=1, num_fine_layers=1
            ),
        )
