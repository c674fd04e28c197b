"""The codec as two graphs without state, of one row, to be exported to other runtimes."""

import copy

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from uslm_tokenizer.codecs.source_filter.decoder import NOISE_PERIOD, UNKNOWN_F0
from uslm_tokenizer.codecs.source_filter.model import FIRST_MEL_ROW, SourceFilterCodec
from uslm_tokenizer.nn.real_spectral import RealInverseSTFT, RealLogMel, RealSTFT


class DecoderGraph(nn.Module):
    """Codes of some frames -> their samples; the same as `decode_window`, but for rounding."""

    f0: Tensor
    vectors: Tensor

    def __init__(self, codec: SourceFilterCodec) -> None:
        super().__init__()
        self.decoder = codec.decoder
        self.stft = RealSTFT(self.decoder.window, self.decoder.fine_hop)
        self.inverse_stft = RealInverseSTFT(self.decoder.inverse_stft)
        n_fft, hop = self.decoder.config.n_fft, self.decoder.fine_hop
        before = (n_fft - hop) // 2
        self.sides = (before, n_fft - hop - before)
        # Tables in place of arithmetic: not every runtime has powers of two.
        self.register_buffer("f0", codec.config.pitch.decode(torch.arange(codec.num_pitches)))
        self.register_buffer("vectors", codec.codebook_vectors())

    def forward(
        self, codes: Int[Tensor, "k t"], pitches: Int[Tensor, " p"], first: Int[Tensor, "1"]
    ) -> Float[Tensor, " n"]:
        """`codes` are of the frames from `first` on; `pitches` of all up to the last of them, as
        the source's phase runs on from the beginning."""
        hop = self.decoder.hop_length
        f0 = self.f0[pitches]
        latents = F.embedding(codes[FIRST_MEL_ROW], self.vectors[0])
        for level, table in enumerate(self.vectors[1:], start=FIRST_MEL_ROW + 1):
            latents = latents + F.embedding(codes[level], table)
        start = first[0] * hop
        source = self.decoder.pulses(f0[None], _held(f0)[None])[:, start:]
        places = torch.arange(source.shape[1]) + start
        noise = self.decoder.noise[places.remainder(NOISE_PERIOD)][None]
        gain, phase, noise_gain = self.decoder.filters(latents[None], f0[None, first[0] :])
        real, imaginary = self.stft(F.pad(source, self.sides))
        noise_real, noise_imaginary = self.stft(F.pad(noise, self.sides))
        cos, sin = gain * phase.cos(), gain * phase.sin()
        waveform: Tensor = self.inverse_stft(
            real * cos - imaginary * sin + noise_real * noise_gain,
            real * sin + imaginary * cos + noise_imaginary * noise_gain,
        )
        return waveform[0, 0]


class EncoderGraph(nn.Module):
    """A waveform of an even number of frames, of which the first `num_frames` count -> their units,
    codes of its mel frames, and its phonemes' scores.

    The pitch row of the codes is not in it: F0 is found by dynamic programming.
    """

    vectors: Tensor

    def __init__(self, codec: SourceFilterCodec) -> None:
        super().__init__()
        self.codec = copy.deepcopy(codec)
        self.codec.mel = RealLogMel(codec.mel)  # type: ignore[assignment]
        self.codec.units.mel = RealLogMel(codec.units.mel)  # type: ignore[assignment]
        self.codec.units.quantizer.code_points()  # a UserError now, where there are none
        self.register_buffer("vectors", codec.codebook_vectors())

    def forward(
        self, waveform: Float[Tensor, " n"], num_frames: Int[Tensor, "1"]
    ) -> tuple[Int[Tensor, " t"], Int[Tensor, "k t"], Float[Tensor, "t v"]]:
        """The third are log-probabilities of the recogniser's symbols, 0 the blank of CTC."""
        framed = waveform[None, None]
        mel = self.codec.mel_frames(framed)
        mask = (torch.arange(mel.shape[1]) < num_frames)[None]
        unit_latents = self.codec.units.latents(framed, mask)[0].T
        units = _nearest(unit_latents, self.codec.units.quantizer.code_points())
        remainder, levels = ((mel - self.codec.mean) / self.codec.scale)[0], []
        for table in self.vectors:
            levels.append(_nearest(remainder, table))
            remainder = remainder - F.embedding(levels[-1], table)
        logits = self.codec.units.phoneme_logits(units[None], mask)[0]
        return units, torch.stack(levels), logits.log_softmax(dim=-1)


def _nearest(frames: Float[Tensor, "t d"], table: Float[Tensor, "v d"]) -> Int[Tensor, " t"]:
    """The entry of a codebook that is nearest to each frame."""
    return (frames @ table.T - 0.5 * table.square().sum(dim=1)).argmax(dim=-1)


def _held(f0: Float[Tensor, " t"]) -> Float[Tensor, " t"]:
    """As the decoder's: F0 without gaps. Here by counting voiced frames, for want of a running
    maximum."""
    voiced = f0 > 0
    heights = torch.cat([f0.new_full((1,), UNKNOWN_F0), f0[voiced]])
    count = voiced.long().cumsum(dim=0)
    coming = F.pad(f0[1:], (0, 1))
    early = torch.where(coming > 0, coming, UNKNOWN_F0)
    return torch.where(count > 0, heights[count], early)
