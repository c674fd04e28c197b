"""The memory of a prompt: made once by stage 2, and attended to while it fills frames."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor


@dataclass
class VoiceMemory:
    """Voices, padded at the right."""

    pooled: Float[Tensor, "b d"]
    """The voice as a whole."""
    keys_values: list[Float[Tensor, "b 2 h p dh"]]
    """What each attention layer looks for, and finds."""
    encoded: Float[Tensor, "b p d"]
    """The prompt's frames as the model sees them; zeros at padding."""
    latents: Float[Tensor, "b p e"]
    """Their latents, to copy from; zeros at padding."""
    mask: Bool[Tensor, "b p"]

    @staticmethod
    def together(memories: Sequence["VoiceMemory"]) -> "VoiceMemory":
        """Several of one voice each, as rows of one."""
        first = memories[0]
        if len(memories) == 1:
            return first
        longest = max(each.mask.shape[1] for each in memories)
        missing = [longest - each.mask.shape[1] for each in memories]

        def rows(tensors: Sequence[Tensor], trailing: int) -> Tensor:
            padding = [(0, 0) * trailing + (0, count) for count in missing]
            return torch.cat([F.pad(t, p) for t, p in zip(tensors, padding, strict=True)])

        return VoiceMemory(
            pooled=torch.cat([each.pooled for each in memories]),
            keys_values=[
                rows([each.keys_values[layer] for each in memories], 1)
                for layer in range(len(first.keys_values))
            ],
            encoded=rows([each.encoded for each in memories], 1),
            latents=rows([each.latents for each in memories], 1),
            mask=rows([each.mask for each in memories], 0),
        )
