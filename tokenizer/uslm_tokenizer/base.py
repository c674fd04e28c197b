"""Interface of tokenizers: all that a language model or a pipeline may ask of one."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from jaxtyping import Float, Int
from torch import Tensor

from uslm_tokenizer.errors import AudioError, UserError
from uslm_tokenizer.hub import PretrainedModel
from uslm_tokenizer.quantize.base import Quantized
from uslm_tokenizer.windows import windows


class AudioTokenizer(PretrainedModel, ABC):
    """Turns a waveform into discrete codes, and, where `can_decode`, codes into a waveform."""

    can_decode: ClassVar[bool] = True
    pitch_codebook: ClassVar[int | None] = None
    """Codebook of the codes that is pitch, 0 where a frame has none; None: none is."""
    decodes_from_start: ClassVar[bool] = False
    """Whether a decoded frame depends on all codes before it, as a phase that runs on does."""

    @property
    @abstractmethod
    def sample_rate(self) -> int:
        """Samples per second of the waveform, Hz."""

    @property
    @abstractmethod
    def hop_length(self) -> int:
        """Samples that one frame of codes stands for."""

    @property
    def frame_rate(self) -> float:
        """Frames per second, Hz."""
        return self.sample_rate / self.hop_length

    @property
    @abstractmethod
    def num_codebooks(self) -> int:
        """Codes in one frame."""

    @property
    @abstractmethod
    def codebook_size(self) -> int:
        """Entries of each codebook; codes lie in [0, codebook_size)."""

    @property
    def causal(self) -> bool:
        """Whether the codes of a frame depend on no sample after it, so that they can stream.

        At the very start EnCodec and its kin still do: they mirror the first frames.
        """
        return False

    @property
    def num_pitches(self) -> int:
        """Different values of the pitch codebook, where there is one."""
        return 0

    @abstractmethod
    def encode(
        self, waveform: Float[Tensor, "b 1 n"], lengths: Int[Tensor, " b"] | None = None
    ) -> Int[Tensor, "b k t"]:
        """Codes of each row; t = ceil(n / hop_length).

        `lengths` are the true samples of each row; padding after them does not change a row's
        codes, and the codes of padding mean nothing.
        """

    @abstractmethod
    def decode(self, codes: Int[Tensor, "b k t"]) -> Float[Tensor, "b 1 n"]:
        """The waveform of the codes; n = t * hop_length. Raises UserError unless `can_decode`."""

    @property
    def decoder_context_frames(self) -> int | None:
        """Frames to each side that a decoded frame depends on, so that a stream can be decoded as
        it comes; None if that is not known, or all of them are."""
        return None

    def decode_window(
        self, codes: Int[Tensor, "b k t"], start: int, stop: int
    ) -> Float[Tensor, "b 1 n"]:
        """The samples of frames `start` to `stop`, up to rounding as `decode` makes them.

        Needs `decoder_context_frames` more frames of codes on each side, or the end of the speech
        there; where that is None, all codes.
        """
        context = self.decoder_context_frames
        first = 0 if context is None else max(0, start - context)
        last = codes.shape[-1] if context is None else stop + context
        hop = self.hop_length
        waveform = self.decode(codes[..., first:last])
        return waveform[..., (start - first) * hop : (stop - first) * hop]

    @classmethod
    @abstractmethod
    def tiny_config(cls) -> Any:
        """A config that builds in milliseconds, for tests and examples."""

    def use_codebooks(self, count: int) -> None:
        """Encode into, and decode from, the first `count` codebooks only; UserError if it cannot.

        Residual codecs can: fewer codebooks are a lower bit rate.
        """
        if count != self.num_codebooks:
            raise UserError(
                f"the number of codebooks of {self.model_type} must be {self.num_codebooks}, "
                f"but is {count}"
            )

    def encode_by_length(
        self,
        waveform: Float[Tensor, "b 1 n"],
        lengths: Int[Tensor, " b"] | None,
        encode: Callable[[Tensor], Tensor],
    ) -> Int[Tensor, "b k t"]:
        """Codes by `encode`, from waveforms [b 1 m] to codes [b k m / hop], of each row alone.

        For networks that would see the padding: only rows of one length go through together.
        """
        if lengths is None:
            return encode(waveform)
        n = waveform.shape[-1]
        if int(lengths.min()) < 0 or int(lengths.max()) > n:
            raise AudioError(f"lengths must be from 0 to {n}, but are {lengths.tolist()}")
        shape = (len(waveform), self.num_codebooks, -(-n // self.hop_length))
        codes = torch.zeros(shape, dtype=torch.long, device=waveform.device)
        for length in sorted({*lengths.tolist()} - {0}):
            rows = (lengths == length).to(waveform.device)
            alone = encode(waveform[rows, :, :length])
            codes[rows, :, : alone.shape[-1]] = alone
        return codes

    @torch.no_grad()
    def encode_long(
        self, waveform: Float[Tensor, "1 n"], *, seconds: float = 30.0, margin: float = 2.0
    ) -> Int[Tensor, "k t"]:
        """Codes of a recording of any length, on the CPU; a short one is encoded at once.

        A longer one goes through in windows of so many `seconds`, each with a `margin` of its
        neighbours.
        """
        hop, num_samples = self.hop_length, waveform.shape[-1]
        step, beside = (int(each * self.frame_rate) * hop for each in (seconds, margin))
        segments = [
            self.encode(waveform[None, :, read].to(self.device))[
                0, :, keep.start // hop : -(-keep.stop // hop)
            ].cpu()
            for read, keep in windows(num_samples, step, beside)
        ]
        return torch.cat(segments, dim=1)

    def check_waveform(self, waveform: Tensor) -> None:
        """Raise AudioError unless this is a non-empty, finite batch of mono waveforms."""
        if waveform.ndim != 3 or waveform.shape[1] != 1:
            raise AudioError(f"waveform must be [b, 1, n], but is {list(waveform.shape)}")
        if waveform.shape[-1] == 0:
            raise AudioError("waveform must not be empty")
        if not bool(waveform.isfinite().all()):
            raise AudioError("waveform must be finite, but holds NaN or infinite samples")

    def check_codes(self, codes: Tensor, num_codebooks: int | None = None) -> None:
        """Raise UserError unless these are codes of this tokenizer, of all codebooks or so many."""
        wanted = self.num_codebooks if num_codebooks is None else num_codebooks
        if codes.ndim != 3 or codes.shape[1] != wanted:
            raise UserError(f"codes must be [b, {wanted}, t], but are {list(codes.shape)}")
        if codes.numel() and (int(codes.min()) < 0 or int(codes.max()) >= self.codebook_size):
            raise UserError(
                f"codes must lie in [0, {self.codebook_size}), "
                f"but reach from {int(codes.min())} to {int(codes.max())}"
            )


@dataclass
class CodecPass:
    """A training pass of a codec."""

    waveform: Float[Tensor, "b 1 n"]
    """The reconstruction, in whole frames."""
    quantized: Quantized
    """With the quantizer's loss, and of a residual one in `levels` what each level adds."""


class TrainableCodec(AudioTokenizer):
    """A codec of waveforms that learns from its own reconstruction: all that training asks of it.

    Those that wrap a network of another library, or stand on units of their own, are none.
    """

    @property
    @abstractmethod
    def latent_dim(self) -> int:
        """Width of the latents that are quantised, and of each level."""

    @abstractmethod
    def forward(
        self, waveform: Float[Tensor, "b 1 n"], generator: torch.Generator | None = None
    ) -> CodecPass:
        """Encode, quantise and decode; n must be t * hop_length.

        `generator` draws for the quantizer: which levels a row drops, what dead codes start from.
        """

    @abstractmethod
    def initialize(
        self, waveform: Float[Tensor, "b 1 n"], generator: torch.Generator | None = None
    ) -> None:
        """Start the codebooks from k-means of this sound, where they can."""


class LatentCodec(TrainableCodec):
    """A codec with a continuous side: latents without codes, for models that predict them."""

    @abstractmethod
    def encode_latents(
        self, waveform: Float[Tensor, "b 1 n"], generator: torch.Generator | None = None
    ) -> Float[Tensor, "b d t"]:
        """Latents, t = ceil(n / hop_length): the likeliest ones, or a draw by `generator`."""

    @abstractmethod
    def decode_latents(self, latents: Float[Tensor, "b d t"]) -> Float[Tensor, "b 1 n"]:
        """The waveform of latents; n = t * hop_length. A gradient passes."""
