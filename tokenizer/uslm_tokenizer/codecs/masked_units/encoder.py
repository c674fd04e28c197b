"""A speech encoder that is taught by masked prediction: log-mel frames through a transformer.

Either hidden frames have one learnt vector in the place of what they hold, and all layers see
where they are (HuBERT, SPEAR); or they are left out, and layers of a predictor, which are thrown
away with the heads, fill them in from the visible ones (BEATs, He et al. 2022).

    hidden                      . . x x . .
    embedded   encoder reads    1 2 m m 5 6
    left out   encoder reads    1 2     5 6     predictor reads    1' 2' m m 5' 6'
"""

import torch
from einops import rearrange
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from uslm_tokenizer.nn.padding import frame_waveform
from uslm_tokenizer.nn.spectral import LogMel
from uslm_tokenizer.nn.transformer import Transformer
from uslm_tokenizer.ssl.base import SpeechEncoder

MEL_MEAN, MEL_STD = -5.0, 3.0
"""Of log-mel spectra of speech, roughly."""


class MaskedEncoder(SpeechEncoder):
    """Waveform -> features, 50 per second."""

    sample_rate = 16_000
    hop_length = 320
    window_length = 320

    def __init__(
        self, num_mels: int, dim: int, num_heads: int, num_layers: int, dropout: float
    ) -> None:
        super().__init__()
        self.mel = LogMel(self.sample_rate, 400, self.hop_length // 2, num_mels)
        self.input = nn.Linear(2 * num_mels, dim)
        self.transformer = Transformer(dim, num_heads, num_layers, dropout=dropout)
        self.hidden_frame = nn.Parameter(0.02 * torch.randn(dim))

    @property
    def dim(self) -> int:
        return self.transformer.dim

    @property
    def pads(self) -> bool:
        return True

    def unfreeze(self) -> None:
        self.requires_grad_(True)

    def frames(
        self, waveform: Float[Tensor, "b 1 n"], lengths: Int[Tensor, " b"] | None = None
    ) -> tuple[Float[Tensor, "b t m"], Bool[Tensor, "b t"]]:
        """Log-mel spectra, two of them side by side for each hop, and which frames are real."""
        waveform, real = frame_waveform(waveform, lengths, self.hop_length)
        mel = (self.mel(waveform) - MEL_MEAN) / MEL_STD
        return rearrange(mel, "b (t two) m -> b t (two m)", two=2), real

    def forward(
        self, waveform: Float[Tensor, "b 1 n"], lengths: Int[Tensor, " b"] | None = None
    ) -> tuple[Float[Tensor, "b t d"], Bool[Tensor, "b t"]]:
        frames, real = self.frames(waveform, lengths)
        return self.encode_frames(frames, real), real

    def encode_frames(
        self,
        frames: Float[Tensor, "b t m"],
        real: Bool[Tensor, "b t"],
        hidden: Bool[Tensor, "b t"] | None = None,
        *,
        leave_out: bool = False,
    ) -> Float[Tensor, "b t d"]:
        """Features of the frames; what is hidden is replaced, or left out: then nobody looks at
        it, and the features of the others are as if it were not there."""
        x = self.input(frames.to(self.input.weight.dtype))
        seen = real
        if hidden is not None:
            x = torch.where(hidden[..., None], self.hidden_frame.to(x.dtype), x)
            seen = real & ~hidden if leave_out else real
        return run_on_frames(self.transformer, x * seen[..., None], seen).float()


def run_on_frames(
    transformer: Transformer, x: Float[Tensor, "b t d"], seen: Bool[Tensor, "b t"]
) -> Float[Tensor, "b t d"]:
    """A transformer that looks both ways, at frames that may be seen; a row without one looks at
    all that is there, which nobody reads."""
    keys = seen | ~seen.any(1, keepdim=True)
    positions = torch.arange(x.shape[1], device=x.device).expand(len(x), -1)
    made: Tensor = transformer(x, positions, mask=keys[:, None, None])
    return made
