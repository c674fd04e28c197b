"""State of a patch model between two tokens: three caches, the open patch, the whole ones."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from uslm.systems.lst.layers import run_in_window
from uslm_tokenizer.nn.attention import KVCache

if TYPE_CHECKING:
    from uslm.systems.lst.model import PatchLM

ROOM = 256
"""Tokens that caches grow by."""


@dataclass
class PatchState:
    """One row; it grows as it goes on."""

    encoder: KVCache
    decoder: KVCache
    transformer: KVCache
    memory: Float[Tensor, "1 m e"]
    """The global transformer's output for each whole patch, after a vector that means none."""
    open_patch: list[Float[Tensor, "1 1 d"]] = field(default_factory=list)
    """Encoded units of the patch that is not whole."""

    @staticmethod
    def empty(model: PatchLM) -> PatchState:
        """Before the first token."""
        return PatchState(
            encoder=model.encoder.new_cache(1, ROOM),
            decoder=model.decoder.new_cache(1, ROOM),
            transformer=model.transformer.new_cache(1, ROOM),
            memory=model.null_patch.detach()[None, None],
        )

    def read(
        self, model: PatchLM, token: int, *, begins: bool | None = None, goes_on: bool = False
    ) -> Tensor:
        """Take one token in; logits [v] of the next.

        `begins` says whether a patch begins here, `goes_on` that it is known not to end here; as a
        prompt is cut. Without them, by the model's patch size, as what it says itself.
        """
        size, is_unit = model.config.patch_size, token < model.codebook_size
        if begins is None:
            begins = not is_unit or len(self.open_patch) >= size
        if begins and self.open_patch:
            self._close(model)
        for cache in (self.encoder, self.decoder, self.transformer):
            _make_room(cache)
        window = model.config.window
        x = model.embedding(torch.tensor([[token]], device=model.device))
        position = torch.tensor([[self.decoder.length]], device=model.device)
        self.open_patch.append(run_in_window(model.encoder, x, position, window, self.encoder))
        if not goes_on and (not is_unit or len(self.open_patch) == size):
            self._close(model)
        memory = self.memory if model.config.use_global else self.memory[:, :1]
        seen = torch.ones(1, 1, memory.shape[1], dtype=torch.bool, device=model.device)
        hidden = run_in_window(
            model.decoder,
            x,
            position,
            window,
            self.decoder,
            between=model.look,
            memory=memory,
            memory_mask=seen,
        )
        logits: Tensor = model.to_logits(hidden)[0, 0].float()
        return logits

    def _close(self, model: PatchLM) -> None:
        """The open patch is whole: the global transformer reads it."""
        units = torch.cat(self.open_patch, dim=1)
        self.open_patch.clear()
        members = torch.ones(1, 1, units.shape[1], dtype=torch.bool, device=units.device)
        pooled = model.to_global(model._pooled(units, members))
        position = torch.tensor([[self.transformer.length]], device=units.device)
        made = model.transformer.extend(pooled, position, self.transformer)
        self.memory = torch.cat([self.memory, made], dim=1)


def _make_room(cache: KVCache) -> None:
    if cache.length == cache.capacity:
        cache.stored = F.pad(cache.stored, (0, 0, 0, ROOM))
        cache.valid = F.pad(cache.valid, (0, ROOM), value=True)
