"""Units of the features of a speech encoder: what k-means and codecs of features share."""

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor

from uslm_tokenizer.codecs.unit_only import UnitOnlyTokenizer
from uslm_tokenizer.nn.padding import length_mask
from uslm_tokenizer.ssl.base import SpeechEncoder


class SSLUnitTokenizer(UnitOnlyTokenizer):
    """Units of the features of a speech encoder."""

    encoder: SpeechEncoder

    @property
    def sample_rate(self) -> int:
        return self.encoder.sample_rate

    @property
    def hop_length(self) -> int:
        return self.encoder.hop_length

    def _features(
        self, waveform: Float[Tensor, "b 1 n"], lengths: Int[Tensor, " b"] | None
    ) -> tuple[Float[Tensor, "b t d"], Bool[Tensor, "b t"]]:
        """The encoder's features, a frame for each hop that is begun, and which of them count.

        Of an encoder without padding there are as many as it makes of n samples.
        """
        self.check_waveform(waveform)
        size = waveform.shape[-1]
        if lengths is None:
            lengths = torch.full((len(waveform),), size, device=waveform.device)
        waveform = waveform.masked_fill(~length_mask(lengths, size)[:, None], 0.0)
        if not self.encoder.pads:
            waveform = F.pad(waveform, (0, max(0, self.encoder.window_length - size)))
        else:  # the encoder counts whole frames only: the last, broken one is filled with silence
            hop = self.encoder.hop_length
            waveform = F.pad(waveform, (0, -size % hop))
            lengths = -(-lengths // hop) * hop
        features, mask = self.encoder(waveform, lengths)
        return features, mask
