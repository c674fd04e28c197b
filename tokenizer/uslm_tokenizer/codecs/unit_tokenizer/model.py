"""The semantic tokenizer: 16 kHz speech -> 50 units per second that say what is spoken.

One codebook is learnt between two transformers. The network behind it must give back, from the
units alone, the features of a frozen speech encoder and the phonemes; so the units keep what is
said and lose who says it. The phoneme head stays: it recognises speech from its units.
"""

from dataclasses import dataclass, field
from typing import ClassVar, cast

import torch
import torch.nn.functional as F
from einops import rearrange
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from uslm_tokenizer.codecs.unit_only import UnitOnlyTokenizer
from uslm_tokenizer.nn.attention import Rotary
from uslm_tokenizer.nn.padding import frame_waveform
from uslm_tokenizer.nn.spectral import LogMel
from uslm_tokenizer.nn.transformer import Transformer
from uslm_tokenizer.quantize.build import QuantizerConfig, build_unit_quantizer
from uslm_tokenizer.quantize.vq import VectorQuantizerConfig


@dataclass(frozen=True, kw_only=True)
class UnitTokenizerConfig:
    """Sizes of a UnitTokenizer."""

    sample_rate: int = 16_000
    """Samples per second of the waveform, Hz."""
    hop_length: int = 320
    """Samples a unit stands for."""
    num_mels: int = 80
    """Mel bands of the input, one spectrum for each half hop."""
    dim: int = 256
    """Width of both transformers."""
    num_heads: int = 4
    """Attention heads of each layer."""
    num_layers: int = 6
    """Layers before the codebook."""
    encoder_stride: int = 1
    """Frames that those layers read as one; 2 halves their rate and more than halves their cost."""
    num_decoder_layers: int = 2
    """Layers after the codebook, which read units only."""
    kernel_size: int = 9
    """Frames that the convolution beside each layer sees."""
    dropout: float = 0.0
    """Share of activations dropped in training."""
    quantizer: QuantizerConfig = field(
        default_factory=lambda: VectorQuantizerConfig(
            dim=64, codebook_size=1024, commitment_weight=0.1, delayed_init=True
        )
    )
    """The codebook, of any kind that gives one code a frame."""
    teacher_dim: int = 512
    """Width of the teacher's features."""
    num_symbols: int = 53
    """Classes of the phoneme head; 0 is the CTC blank."""


class LocalMixing(nn.Module):
    """A depth-wise convolution in front of each transformer layer: the near before the far."""

    def __init__(self, dim: int, kernel_size: int) -> None:
        super().__init__()
        self.depthwise = nn.Conv1d(dim, dim, kernel_size, padding=kernel_size // 2, groups=dim)
        self.pointwise = nn.Linear(dim, dim)

    def forward(self, x: Float[Tensor, "b t d"]) -> Float[Tensor, "b t d"]:
        near = F.gelu(self.depthwise(x.transpose(1, 2)).transpose(1, 2))
        mixed: Tensor = x + self.pointwise(near)
        return mixed


@dataclass
class UnitPrediction:
    """Predictions that training compares with the teacher and the text."""

    features: Float[Tensor, "b t teacher_dim"]
    phoneme_logits: Float[Tensor, "b t v"]
    units: Int[Tensor, "b t"]
    commitment: Float[Tensor, ""]
    latents: Float[Tensor, "b d t"]
    mask: Bool[Tensor, "b t"]


class UnitTokenizer(UnitOnlyTokenizer):
    """Waveform -> units [b, 1, t]; units -> phonemes. Units do not hold a voice to decode."""

    model_type: ClassVar[str] = "unit_tokenizer"
    config_class: ClassVar[type] = UnitTokenizerConfig
    config: UnitTokenizerConfig

    def __init__(self, config: UnitTokenizerConfig) -> None:
        super().__init__(config)
        dim = config.dim
        self.mel = LogMel(config.sample_rate, 400, config.hop_length // 2, config.num_mels)
        self.input = nn.Conv1d(config.num_mels, dim, 5, padding=2)
        self.downsample = nn.Conv1d(dim, dim, 5, padding=2, stride=2)
        self.fold = nn.Linear(config.encoder_stride * dim, dim)
        self.unfold = nn.Linear(dim, config.encoder_stride * dim)
        self.near = nn.ModuleList(
            LocalMixing(dim, config.kernel_size) for _ in range(config.num_layers)
        )
        self.encoder = Transformer(dim, config.num_heads, config.num_layers, dropout=config.dropout)
        self.to_latents = nn.Linear(dim, config.quantizer.dim)
        self.quantizer = build_unit_quantizer(config.quantizer, "quantizer")
        self.from_latents = nn.Linear(config.quantizer.dim, dim)
        self.decoder = Transformer(
            dim, config.num_heads, config.num_decoder_layers, dropout=config.dropout
        )
        self.to_teacher = nn.Linear(dim, config.teacher_dim)
        self.to_phonemes = nn.Linear(dim, config.num_symbols)

    @property
    def sample_rate(self) -> int:
        return self.config.sample_rate

    @property
    def hop_length(self) -> int:
        return self.config.hop_length

    @property
    def num_codebooks(self) -> int:
        return 1

    @property
    def codebook_size(self) -> int:
        return self.quantizer.codebook_size

    @classmethod
    def tiny_config(cls) -> UnitTokenizerConfig:
        return UnitTokenizerConfig(
            dim=32,
            num_heads=2,
            num_layers=2,
            encoder_stride=2,
            num_decoder_layers=1,
            quantizer=VectorQuantizerConfig(dim=8, codebook_size=32),
            teacher_dim=16,
        )

    @torch.no_grad()
    def encode(
        self, waveform: Float[Tensor, "b 1 n"], lengths: Int[Tensor, " b"] | None = None
    ) -> Int[Tensor, "b 1 t"]:
        self.check_waveform(waveform)
        waveform, mask = self.frame(waveform, lengths)
        return self.quantizer.encode(self.latents(waveform, mask))

    def frame(
        self, waveform: Float[Tensor, "b 1 n"], lengths: Int[Tensor, " b"] | None
    ) -> tuple[Float[Tensor, "b 1 padded"], Bool[Tensor, "b t"]]:
        """Pad to whole frames, silence what lies after `lengths`, mark the frames that count."""
        return frame_waveform(waveform, lengths, self.config.hop_length)

    def latents(
        self, waveform: Float[Tensor, "b 1 n"], mask: Bool[Tensor, "b t"]
    ) -> Float[Tensor, "b d t"]:
        """Latents that the codebook quantises, of a waveform framed by `frame`."""
        mel = (self.mel(waveform) + 5) / 3  # log-mel of speech: mean near -5, deviation near 3
        # Spectra centred outside a row's frames must not reach it through the convolutions.
        halves = mask.repeat_interleave(2, dim=1)[:, None]
        x = F.gelu(self.input(mel.transpose(1, 2).to(self.input.weight.dtype) * halves)) * halves
        frames = F.gelu(self.downsample(x)).transpose(1, 2) * mask[..., None]
        projected = self.to_latents(frames + self._encode(frames, mask)).float()
        return F.layer_norm(projected, (self.config.quantizer.dim,)).transpose(1, 2)

    def _encode(
        self, frames: Float[Tensor, "b t d"], mask: Bool[Tensor, "b t"]
    ) -> Float[Tensor, "b t d"]:
        """The layers before the codebook, at `encoder_stride` frames a step."""
        stride, num_frames = self.config.encoder_stride, frames.shape[1]
        missing = -num_frames % stride
        frames, mask = F.pad(frames, (0, 0, 0, missing)), F.pad(mask, (0, missing))
        x = self.fold(rearrange(frames, "b (t s) d -> b t (s d)", s=stride))
        steps = mask[:, ::stride]
        rotary = Rotary.at(self._positions(x), self.encoder.head_dim)
        for near, block in zip(self.near, self.encoder.blocks, strict=True):
            x = near(x * steps[..., None])
            x = block(x, rotary, mask=steps[:, None, None])
        unfolded: Tensor = rearrange(
            self.unfold(self.encoder.norm(x)), "b t (s d) -> b (t s) d", s=stride
        )
        return unfolded[:, :num_frames]

    def forward(
        self,
        waveform: Float[Tensor, "b 1 n"],
        lengths: Int[Tensor, " b"],
        generator: torch.Generator | None = None,
    ) -> UnitPrediction:
        """One training pass: quantise, then predict the teacher and the phonemes from that.

        `generator` draws the frames that dead codes are reset to.
        """
        waveform, mask = self.frame(waveform, lengths)
        latents = self.latents(waveform, mask)
        quantized = self.quantizer(latents, mask, generator=generator)
        hidden = self._read(quantized.latents, mask)
        return UnitPrediction(
            features=self.to_teacher(hidden).float(),
            phoneme_logits=self.to_phonemes(hidden).float(),
            units=quantized.codes[:, 0],
            commitment=quantized.loss,
            latents=latents,
            mask=mask,
        )

    @torch.no_grad()
    def phoneme_logits(
        self, units: Int[Tensor, "b t"], mask: Bool[Tensor, "b t"] | None = None
    ) -> Float[Tensor, "b t v"]:
        """Scores of each phoneme symbol at each frame; class 0 is the CTC blank."""
        if mask is None:
            mask = torch.ones_like(units, dtype=torch.bool)
        hidden = self._read(self.quantizer.decode(units[:, None]), mask)
        return cast(Tensor, self.to_phonemes(hidden).float())

    def recognize(self, units: Int[Tensor, " t"]) -> list[int]:
        """The phoneme ids recognised in the units: best class per frame, repeats and blanks
        removed."""
        if not len(units):
            return []
        best = self.phoneme_logits(units[None])[0].argmax(dim=-1)
        return [int(symbol) for symbol in torch.unique_consecutive(best) if symbol != 0]

    def _read(
        self, latents: Float[Tensor, "b e t"], mask: Bool[Tensor, "b t"]
    ) -> Float[Tensor, "b t d"]:
        x = self.from_latents(latents.transpose(1, 2).to(self.from_latents.weight.dtype))
        return cast(Tensor, self.decoder(x, self._positions(x), mask=mask[:, None, None]))

    @staticmethod
    def _positions(x: Float[Tensor, "b t d"]) -> Int[Tensor, "b t"]:
        return torch.arange(x.shape[1], device=x.device).expand(len(x), -1)
