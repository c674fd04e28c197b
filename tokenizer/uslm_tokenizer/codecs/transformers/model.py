"""EnCodec, DAC, Mimi and X-Codec, from the package transformers, behind our interface.

codec = Mimi.from_pretrained("kyutai/mimi")
codec.use_codebooks(8)
codes = codec.encode(waveform)
"""

from collections.abc import Callable
from dataclasses import dataclass
from math import ceil
from typing import Any, ClassVar

import torch
from jaxtyping import Float, Int
from torch import Tensor

from uslm_tokenizer.codecs.transformers.base import TransformersCodec, TransformersCodecConfig
from uslm_tokenizer.errors import UserError
from uslm_tokenizer.ssl.tiny_backbones import TINY_HUBERT


@dataclass
class EncodecSegments:
    """Codes of a recording in segments that overlap a little, each with a loudness of its own."""

    codes: Int[Tensor, "s b k t"]
    scales: list[Float[Tensor, "b 1"] | None]
    """Loudness (RMS) of each segment; None where the network does not take it out."""
    missing_frames: int
    """Frames at the end of the last segment that hold nothing."""


class Encodec(TransformersCodec):
    """EnCodec (Defossez et al. 2022): 24 kHz, causal, 75 frames per second.

    The 48 kHz network cuts stereo sound into seconds and takes their loudness out, so its codes
    alone are not the sound: it has `encode_segments` and `decode_segments` only.
    """

    model_type: ClassVar[str] = "encodec"
    backbone_class: ClassVar[str] = "EncodecModel"

    @property
    def max_codebooks(self) -> int:
        return len(self.backbone.quantizer.layers)

    @property
    def causal(self) -> bool:
        return bool(self.backbone.config.use_causal_conv) and not self.needs_segments

    @property
    def needs_segments(self) -> bool:
        """Whether codes alone, without the loudness of each segment, say too little."""
        config = self.backbone.config
        return bool(config.normalize) or config.chunk_length is not None

    @torch.no_grad()
    def encode_segments(self, waveform: Float[Tensor, "b c n"]) -> EncodecSegments:
        """Codes of a waveform with as many channels as the network has."""
        channels = self.backbone.config.audio_channels
        if waveform.shape[1] != channels:
            raise UserError(f"waveform must have {channels} channels, but has {waveform.shape[1]}")
        most = max(self.backbone.config.target_bandwidths)
        coded = self.backbone.encode(waveform.to(self.dtype), bandwidth=most)
        codes = coded.audio_codes[:, :, : self.num_codebooks]
        return EncodecSegments(codes, list(coded.audio_scales), coded.last_frame_pad_length or 0)

    @torch.no_grad()
    def decode_segments(self, segments: EncodecSegments) -> Float[Tensor, "b c n"]:
        """The waveform, up to a frame longer than the one encoded."""
        for codes in segments.codes:
            self.check_codes(codes)
        decoded = self.backbone.decode(
            segments.codes, segments.scales, last_frame_pad_length=segments.missing_frames
        )
        waveform: Tensor = decoded.audio_values
        return waveform

    def _encode(self, waveform: Float[Tensor, "b 1 n"]) -> Int[Tensor, "b k t"]:
        self._check_plain()
        return self.encode_segments(waveform).codes[0]

    def _decode(self, codes: Int[Tensor, "b k t"]) -> Float[Tensor, "b 1 n"]:
        self._check_plain()
        return self.decode_segments(EncodecSegments(codes[None], [None], 0))

    def _check_plain(self) -> None:
        if self.needs_segments:
            raise UserError(
                f"this EnCodec of {self.sample_rate} Hz must be used by encode_segments and "
                "decode_segments: its codes alone do not hold the loudness of each second"
            )

    @classmethod
    def tiny_config(cls) -> TransformersCodecConfig:
        return TransformersCodecConfig(
            backbone={
                "model_type": "encodec",
                "hidden_size": 8,
                "num_filters": 4,
                "num_lstm_layers": 1,
                "codebook_size": 16,
                "target_bandwidths": [0.3, 0.9],
            }
        )


class Dac(TransformersCodec):
    """The Descript Audio Codec (Kumar et al. 2023): 16, 24 or 44.1 kHz."""

    model_type: ClassVar[str] = "dac"
    backbone_class: ClassVar[str] = "DacModel"

    @property
    def max_codebooks(self) -> int:
        return int(self.backbone.config.n_codebooks)

    @property
    def decoder_context_frames(self) -> int:
        """Frames to each side that a decoded frame depends on."""
        return _dac_reach(self.backbone.config.upsampling_ratios)

    def _encode(self, waveform: Float[Tensor, "b 1 n"]) -> Int[Tensor, "b k t"]:
        whole = self._whole_frames(waveform)
        codes: Tensor = self.backbone.encode(whole, n_quantizers=self.num_codebooks).audio_codes
        return codes

    def _decode(self, codes: Int[Tensor, "b k t"]) -> Float[Tensor, "b 1 n"]:
        waveform: Tensor = self.backbone.decode(audio_codes=codes).audio_values[:, None]
        return waveform

    @classmethod
    def tiny_config(cls) -> TransformersCodecConfig:
        return TransformersCodecConfig(
            backbone={
                "model_type": "dac",
                "encoder_hidden_size": 4,
                "decoder_hidden_size": 32,
                "downsampling_ratios": [2, 4, 5, 8],
                "n_codebooks": 4,
                "codebook_size": 16,
                "codebook_dim": 4,
            }
        )


class Mimi(TransformersCodec):
    """Mimi (Defossez et al. 2024): 24 kHz, causal, 12.5 frames per second.

    Its first codebook was trained to hold the content of WavLM features, the others are a residual
    stack.
    """

    model_type: ClassVar[str] = "mimi"
    backbone_class: ClassVar[str] = "MimiModel"

    @property
    def hop_length(self) -> int:
        return int(self.backbone.config.frame_size)

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> "Mimi":
        # transformers keeps the codebooks, once computed, where no move to a device finds them.
        for module in self.backbone.quantizer.modules():
            if hasattr(module, "embed_sum"):
                module._embed = None
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        return self

    @property
    def causal(self) -> bool:
        return bool(self.backbone.config.use_causal_conv)

    def _encode(self, waveform: Float[Tensor, "b 1 n"]) -> Int[Tensor, "b k t"]:
        codes: Tensor = self.backbone.encode(
            waveform, num_quantizers=self.num_codebooks
        ).audio_codes
        return codes

    @classmethod
    def tiny_config(cls) -> TransformersCodecConfig:
        return TransformersCodecConfig(
            backbone={
                "model_type": "mimi",
                "hidden_size": 16,
                "num_filters": 4,
                "upsampling_ratios": [8, 5, 4],
                "codebook_size": 16,
                "codebook_dim": 8,
                "vector_quantization_hidden_dimension": 8,
                "num_quantizers": 4,
                "upsample_groups": 16,
                "num_hidden_layers": 1,
                "intermediate_size": 16,
                "num_attention_heads": 2,
                "num_key_value_heads": 2,
            }
        )


class XCodec(TransformersCodec):
    """X-Codec (Ye et al. 2024): 16 kHz; all codebooks see HuBERT or WavLM features beside the
    waveform."""

    model_type: ClassVar[str] = "xcodec"
    backbone_class: ClassVar[str] = "XcodecModel"

    @property
    def sample_rate(self) -> int:
        return int(self.backbone.config.sample_rate)

    @property
    def decoder_context_frames(self) -> int:
        """Frames to each side that a decoded frame depends on."""
        return _dac_reach(self.backbone.config.acoustic_model_config.upsampling_ratios)

    def _encode(self, waveform: Float[Tensor, "b 1 n"]) -> Int[Tensor, "b k t"]:
        codes: Tensor = self.backbone.encode(self._whole_frames(waveform)).audio_codes
        return codes[:, : self.num_codebooks]

    @classmethod
    def tiny_config(cls) -> TransformersCodecConfig:
        acoustic: dict[str, Any] = {
            "model_type": "dac",
            "encoder_hidden_size": 4,
            "decoder_hidden_size": 32,
            "hidden_size": 8,
        }
        return TransformersCodecConfig(
            backbone={
                "model_type": "xcodec",
                "target_bandwidths": [0.2, 0.8],
                "codebook_size": 16,
                "acoustic_model_config": acoustic,
                "semantic_model_config": TINY_HUBERT,
            }
        )


def _dac_reach(strides: list[int]) -> int:
    """Frames to each side that a frame of DAC's decoder depends on.

    Each block sees one step of its input and, in three residual units of 7 steps dilated by 1, 3
    and 9, 39 steps of its output; the convolutions at both ends see 3.
    """
    reach, steps = 3.0, 1
    for stride in strides:
        reach += 1 / steps
        steps *= stride
        reach += 39 / steps
    return ceil(reach + 3 / steps)
