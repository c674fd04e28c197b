"""Latents of utterances, encoded as they are drawn, for models that predict latents."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

from uslm_recipes.data.corpus import Corpus
from uslm_tokenizer.audio.read import resample
from uslm_tokenizer.base import LatentCodec
from uslm_tokenizer.errors import ConfigError
from uslm_tokenizer.registry import load_tokenizer


def load_latent_codec(name_or_path: str) -> LatentCodec:
    """A codec with latents; ConfigError for one without."""
    codec = load_tokenizer(name_or_path)
    if not isinstance(codec, LatentCodec):
        raise ConfigError(
            f"codec must have latents, as vae_codec and audio_vae do, but {name_or_path!r} holds "
            f"{codec.model_type}"
        )
    return codec.eval().requires_grad_(False)


@dataclass(frozen=True)
class LatentRows:
    """Texts of utterances, and the latents that say them."""

    corpus: Corpus
    codec: LatentCodec
    patch_size: int = 1
    """A row is a multiple of so many frames; what is missing is silence before it."""

    @torch.no_grad()
    def latents(self, index: int) -> Float[Tensor, "t c"]:
        """The likeliest latents of an utterance."""
        waveform = self.corpus.waveform(index)[None]
        waveform = resample(waveform, self.corpus.sample_rate, self.codec.sample_rate)
        hop = self.codec.hop_length * self.patch_size
        whole = F.pad(waveform, (-waveform.shape[1] % hop, 0))
        return self.codec.encode_latents(whole[None].to(self.codec.device))[0].T.float().cpu()

    def patches(self, index: int) -> Float[Tensor, "n p c"]:
        """The same in patches."""
        latents = self.latents(index)
        return latents.reshape(-1, self.patch_size, latents.shape[1])

    def text(self, index: int) -> Int[Tensor, " s"]:
        """Ids of the symbols that are said."""
        return torch.from_numpy(self.corpus.text_ids[index]).long()

    def rows(self, indices: Sequence[int]) -> tuple[list[Tensor], list[Tensor]]:
        """Texts and patches of utterances."""
        return [self.text(i) for i in indices], [self.patches(i) for i in indices]
