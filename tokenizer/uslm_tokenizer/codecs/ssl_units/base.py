"""Units of the features of a frozen speech encoder: what k-means and codecs of features share."""

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor

from uslm_tokenizer.codecs.unit_only import UnitOnlyTokenizer
from uslm_tokenizer.nn.padding import length_mask
from uslm_tokenizer.ssl.encoder import WINDOW, SSLEncoder
from uslm_tokenizer.ssl.front_ends import HOP_LENGTH, SAMPLE_RATE


class SSLUnitTokenizer(UnitOnlyTokenizer):
    """Units of the features of a frozen speech encoder."""

    encoder: SSLEncoder

    @property
    def sample_rate(self) -> int:
        return SAMPLE_RATE

    @property
    def hop_length(self) -> int:
        return HOP_LENGTH

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
        if self.encoder.config.padding == "none":
            waveform = F.pad(waveform, (0, max(0, WINDOW - size)))
        else:  # the encoder counts whole frames only: the last, broken one is filled with silence
            waveform = F.pad(waveform, (0, -size % HOP_LENGTH))
            lengths = -(-lengths // HOP_LENGTH) * HOP_LENGTH
        features, mask = self.encoder(waveform, lengths)
        return features, mask
