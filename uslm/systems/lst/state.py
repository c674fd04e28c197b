"""State of a patch model between two tokens: three caches, the open patch, the whole ones.

The local caches keep a window; that of the global model grows, as the patches it has made do.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from uslm_tokenizer.nn.attention import KVCache

if TYPE_CHECKING:
    from uslm.systems.lst.model import PatchLM

ROOM = 256
"""Patches that the global cache grows by; tokens that local ones hold beyond their window."""


@dataclass
class PatchState:
    """One row; it grows as it goes on."""

    encoder: KVCache
    decoder: KVCache
    transformer: KVCache
    num_tokens: int
    """Tokens that were read."""
    memory: Float[Tensor, "1 m e"]
    """The global transformer's output for each whole patch, after a vector that means none."""
    open_patch: list[Float[Tensor, "1 1 d"]] = field(default_factory=list)
    """Encoded units of the patch that is not whole."""

    @staticmethod
    def empty(model: PatchLM) -> PatchState:
        """Before the first token."""
        window = model.config.window
        return PatchState(
            encoder=model.encoder.new_cache(1, window + ROOM, window),
            decoder=model.decoder.new_cache(1, window + ROOM, window),
            transformer=model.transformer.new_cache(1, ROOM),
            num_tokens=0,
            memory=model.null_patch.detach()[None, None],
        )

    def read(
        self, model: PatchLM, token: int, *, begins: bool | None = None, goes_on: bool = False
    ) -> Tensor:
        """Take one token in; logits [v] of the next.

        `begins` says whether a patch begins here, `goes_on` that it is known not to end here; as a
        prompt is cut. Without them, by the model's patch size, as what it says itself.
        """
        size, is_unit = model.config.patch_size, token < model.num_speech_tokens
        if begins is None:
            begins = not is_unit or len(self.open_patch) >= size
        if begins and self.open_patch:
            self._close(model)
        x = model.embedding(torch.tensor([[token]], device=model.device))
        position = torch.tensor([[self.num_tokens]], device=model.device)
        self.num_tokens += 1
        self.open_patch.append(model.encoder.extend(x, position, self.encoder))
        if not goes_on and (not is_unit or len(self.open_patch) == size):
            self._close(model)
        memory = self.memory if model.config.use_global else self.memory[:, :1]
        seen = torch.ones(1, 1, memory.shape[1], dtype=torch.bool, device=model.device)
        after = model.looking(memory, seen)
        hidden = model.decoder.extend(x, position, self.decoder, after_layer=after)
        logits: Tensor = model.to_logits(hidden)[0, 0].float()
        return logits

    def _close(self, model: PatchLM) -> None:
        """The open patch is whole: the global transformer reads it."""
        units = torch.cat(self.open_patch, dim=1)
        self.open_patch.clear()
        members = torch.ones(1, 1, units.shape[1], dtype=torch.bool, device=units.device)
        pooled = model.to_global(model._pooled(units, members))
        position = torch.tensor([[self.transformer.length]], device=units.device)
        _make_room(self.transformer)
        made = model.transformer.extend(pooled, position, self.transformer)
        self.memory = torch.cat([self.memory, made], dim=1)


def _make_room(cache: KVCache) -> None:
    if cache.length == cache.capacity:
        cache.stored = F.pad(cache.stored, (0, 0, 0, ROOM))
        cache.valid = F.pad(cache.valid, (0, ROOM), value=True)
