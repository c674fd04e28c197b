"""The codes of one frame, one after another: each is drawn by the frame's state and those before.

state of the frame ->  +      +      +         (projected anew for each code)
                       text   code 0 code 1    what was drawn last
                       v      v      v
                       code 0 code 1 code 2
"""

from typing import cast

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from uslm_tokenizer.nn.attention import KVCache
from uslm_tokenizer.nn.depth import DepthTransformer, StepLinear
from uslm_tokenizer.nn.llama import EPSILON


class DepthDecoder(nn.Module):
    """Hidden state of a frame, and a first token (its text) -> its codes."""

    def __init__(
        self,
        *,
        num_codebooks: int,
        codebook_size: int,
        first_size: int,
        state_dim: int,
        dim: int,
        num_heads: int,
        num_layers: int,
        hidden_dim: int | None = None,
        epsilon: float = EPSILON,
    ) -> None:
        """`first_size` counts the ids of the first token, `state_dim` is the state's width. Codes
        may also be `codebook_size`: the initial token of a stream that has not begun."""
        super().__init__()
        self.num_codebooks = num_codebooks
        self.first_embedding = nn.Embedding(first_size, dim)
        self.code_embeddings = nn.ModuleList(
            nn.Embedding(codebook_size + 1, dim) for _ in range(num_codebooks - 1)
        )
        self.from_state = StepLinear(num_codebooks, state_dim, dim)
        self.transformer = DepthTransformer(
            num_codebooks, dim, num_heads, num_layers, hidden_dim=hidden_dim, epsilon=epsilon
        )
        self.to_logits = StepLinear(num_codebooks, dim, codebook_size)

    def forward(
        self,
        state: Float[Tensor, "n d"],
        first: Int[Tensor, " n"],
        codes: Int[Tensor, "n k"],
    ) -> Float[Tensor, "n k v"]:
        """Logits of all codes of whole frames; those of code k depend on no code from k on."""
        before = [self.first_embedding(first)]
        before += [table(codes[:, k]) for k, table in enumerate(self.code_embeddings)]
        x = torch.stack(before, dim=1)
        x = x + self.from_state(state[:, None].expand(-1, self.num_codebooks, -1))
        return cast(Tensor, self.to_logits(self.transformer(x)))

    def new_cache(self, batch_size: int) -> KVCache:
        """An empty cache for one frame of each row."""
        return self.transformer.new_cache(batch_size)

    def step(
        self, state: Float[Tensor, "n d"], last: Int[Tensor, " n"], cache: KVCache
    ) -> Float[Tensor, "n v"]:
        """Logits of the next code; `last` is the one before it, or the first token."""
        place = cache.length
        table = self.first_embedding if place == 0 else self.code_embeddings[place - 1]
        x = (table(last) + self.from_state(state[:, None], place)[:, 0])[:, None]
        hidden = self.transformer(x, cache)
        return cast(Tensor, self.to_logits(hidden, place)[:, 0])
