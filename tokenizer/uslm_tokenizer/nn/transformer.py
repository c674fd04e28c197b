"""A stack of pre-norm transformer blocks: causal with a cache, or seeing both sides."""

from collections.abc import Callable, Iterable
from typing import cast

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Num
from torch import Tensor, nn

from uslm_tokenizer.nn.attention import Attention, KVCache, LayerCache, Rotary

AfterLayer = Callable[[int, Tensor], Tensor]
"""Number of a layer and what it made -> what the next one reads."""


class SwiGLU(nn.Module):
    """Gated feed-forward layer (Shazeer 2020); as many weights as a plain one of width 4 d."""

    def __init__(self, dim: int, hidden_dim: int | None = None) -> None:
        super().__init__()
        hidden = hidden_dim or max(64, int(dim * 8 / 3) // 64 * 64)
        self.up = nn.Linear(dim, 2 * hidden, bias=False)
        self.down = nn.Linear(hidden, dim, bias=False)

    def forward(self, x: Float[Tensor, "b t d"]) -> Float[Tensor, "b t d"]:
        gate, value = self.up(x).chunk(2, dim=-1)
        mixed: Tensor = self.down(F.silu(gate) * value)
        return mixed


class Block(nn.Module):
    """Attention, then feed-forward, each normalised before and added back."""

    def __init__(
        self, dim: int, num_heads: int, dropout: float = 0.0, condition_dim: int = 0
    ) -> None:
        super().__init__()
        self.attention = Attention(dim, num_heads)
        self.feed_forward = SwiGLU(dim)
        self.attention_norm = nn.LayerNorm(dim, bias=False)
        self.feed_forward_norm = nn.LayerNorm(dim, bias=False)
        self.dropout = nn.Dropout(dropout)
        # Adaptive norm (Peebles & Xie 2023): the condition scales what each layer reads. It
        # starts at zero, so that every condition begins as the same network.
        self.scales = nn.Linear(condition_dim, 2 * dim) if condition_dim else None
        if self.scales is not None:
            nn.init.zeros_(self.scales.weight)
            nn.init.zeros_(self.scales.bias)

    def forward(
        self,
        x: Float[Tensor, "b t d"],
        rotary: Rotary,
        *,
        mask: Bool[Tensor, "b 1 #t all"] | None = None,
        causal: bool = False,
        condition: Float[Tensor, "b c"] | None = None,
        cache: LayerCache | None = None,
        layer: int = 0,
    ) -> Float[Tensor, "b t d"]:
        scales: tuple[Tensor | None, Tensor | None] = (None, None)
        if self.scales is not None:
            assert condition is not None
            first, second = self.scales(condition)[:, None].chunk(2, dim=-1)
            scales = (1 + first, 1 + second)
        y = _scaled(self.attention_norm(x), scales[0])
        y = self.attention(y, rotary, mask=mask, causal=causal, cache=cache, layer=layer)
        x = x + self.dropout(y)
        y = _scaled(self.feed_forward_norm(x), scales[1])
        return cast(Tensor, x + self.dropout(self.feed_forward(y)))


def _scaled(x: Tensor, scale: Tensor | None) -> Tensor:
    return x if scale is None else x * scale


class Stack(nn.Module):
    """Blocks in a row and a final norm; a subclass says what they are made of."""

    def __init__(
        self, dim: int, num_heads: int, blocks: Iterable[nn.Module], norm: nn.Module
    ) -> None:
        super().__init__()
        self.dim, self.num_heads = dim, num_heads
        self.blocks = nn.ModuleList(blocks)
        self.norm = norm

    @property
    def num_layers(self) -> int:
        """Number of blocks."""
        return len(self.blocks)

    @property
    def head_dim(self) -> int:
        """Width of one attention head."""
        return self.dim // self.num_heads

    def new_cache(self, batch_size: int, capacity: int, window: int | None = None) -> KVCache:
        """An empty cache for `batch_size` rows of up to `capacity` tokens; with a `window`, of as
        many as come, each of which sees so many: see `KVCache.window`."""
        assert window is None or window <= capacity
        weight = next(self.parameters())
        shape = (self.num_layers, 2, batch_size, self.num_heads, capacity, self.head_dim)
        return KVCache(
            stored=weight.new_zeros(shape),
            valid=torch.ones(batch_size, capacity, dtype=torch.bool, device=weight.device),
            window=window,
        )

    def forward(
        self,
        x: Float[Tensor, "b t d"],
        positions: Num[Tensor, "b t"],
        *,
        mask: Bool[Tensor, "b 1 #t all"] | None = None,
        causal: bool = False,
        condition: Float[Tensor, "b c"] | None = None,
        after_layer: AfterLayer | None = None,
    ) -> Float[Tensor, "b t d"]:
        """All positions at once. `mask` is True where a query may look."""
        rotary = self._rotary(positions)
        for layer, block in enumerate(self.blocks):
            x = block(x, rotary, mask=mask, causal=causal, condition=condition)
            if after_layer is not None:
                x = after_layer(layer, x)
        return self._finish(x, condition)

    def extend(
        self,
        x: Float[Tensor, "b t d"],
        positions: Num[Tensor, "b t"],
        cache: KVCache,
        valid: Bool[Tensor, "b t"] | None = None,
        prefix: Bool[Tensor, "b t"] | None = None,
        after_layer: AfterLayer | None = None,
    ) -> Float[Tensor, "b t d"]:
        """Causal attention over the cache and the new tokens, which are added to the cache.

        `valid` is False where a new token is padding (left of a shorter row); `prefix` is True for
        new tokens that see each other both ways, as a text may.
        """
        mask = cache.begin(x.shape[1], valid, prefix)
        causal = mask is None and x.shape[1] > 1
        rotary = self._rotary(positions)
        for layer, block in enumerate(self.blocks):
            x = block(x, rotary, mask=mask, causal=causal, cache=cache, layer=layer)
            if after_layer is not None:
                x = after_layer(layer, x)
        cache.end(x.shape[1])
        return self._finish(x, None)

    def _rotary(self, positions: Num[Tensor, "b t"]) -> Rotary | None:
        """Rotary table of some positions."""
        return Rotary.at(positions, self.head_dim)

    def _finish(
        self, x: Float[Tensor, "b t d"], condition: Float[Tensor, "b c"] | None
    ) -> Float[Tensor, "b t d"]:
        """The final norm."""
        return cast(Tensor, self.norm(x))


def window_mask(length: int, window: int, device: torch.device) -> Bool[Tensor, "1 1 t t"]:
    """Mask of a whole row whose tokens see themselves and the `window` - 1 before them."""
    ones = torch.ones(length, length, dtype=torch.bool, device=device)
    return ones.tril().triu(diagonal=1 - window)[None, None]


class Transformer(Stack):
    """Our own: layer norms without bias, and scales that follow a condition."""

    def __init__(
        self,
        dim: int,
        num_heads: int,
        num_layers: int,
        *,
        dropout: float = 0.0,
        condition_dim: int = 0,
    ) -> None:
        blocks = [Block(dim, num_heads, dropout, condition_dim) for _ in range(num_layers)]
        super().__init__(dim, num_heads, blocks, nn.LayerNorm(dim, bias=False))

    def step(self, x: Float[Tensor, "b d"], cache: KVCache) -> Float[Tensor, "b d"]:
        """`extend` for one token more of plain rows, whose positions count from zero; without
        gradients and dropout."""
        if not isinstance(cache.stepper, Stepper):
            cache.stepper = Stepper(self, len(x), cache.capacity)
        return cache.stepper.step(x, cache)


class Stepper:
    """One decoding step of all rows: the sums of `Block`, and next to nothing around them.

    A step should take as long as reading the weights once, about half a millisecond. Around such
    small products, modules, views and new tensors would take twice as long again. So weights and
    the rotary table are looked up once for all steps, what is between the products has its place
    in memory, and what is left for each layer is bare kernels.

    In the shapes below: b rows, h heads of width dh = d / h, half = dh / 2, p positions, n = b h.
    Buffers are written in place, and most names are views of three of them:

        qkv      [b, 3 d]               outcome of the product with the block's qkv weights
        pairs    [3, b, h, 2, half]     the same memory: q, k, v by heads and halves
        rotated  [3, b, h, 2, half]     after rotation; q [n, 1, dh] and kv [2, b, h, dh] view it
        seen     [n, 1, dh]             what attention returns; mixed [b, d] views it
        up       [b, 2 f]               feed-forward; gate and value [b, f] view it
    """

    def __init__(self, transformer: Transformer, num_rows: int, capacity: int) -> None:
        dim, heads, half = transformer.dim, transformer.num_heads, transformer.head_dim // 2
        blocks = [cast(Block, block) for block in transformer.blocks]
        with torch.inference_mode(False):  # so that they may be written to in and out of it
            self.width = (dim,)
            self.norm = cast(Tensor, transformer.norm.weight).detach()
            self.layers = [_weights(block) for block in blocks]
            self.rotary_table = _rotary_table(capacity, 2 * half, self.norm)
            self.qkv = self.norm.new_zeros(num_rows, 3 * dim)
            self.pairs = self.qkv.view(num_rows, 3, heads, 2, half).transpose(0, 1)
            self.rotated = torch.zeros_like(self.pairs, memory_format=torch.contiguous_format)
            self.q, self.kv = self.rotated[0].view(-1, 1, 2 * half), self.rotated[1:].flatten(3)
            self.seen = torch.zeros_like(self.q)
            self.mixed = self.seen.view(num_rows, dim)
            self.first, self.second = self.pairs.chunk(2, dim=3)
            self.rotated_first, self.rotated_second = self.rotated.chunk(2, dim=3)
            self.up = self.norm.new_zeros(num_rows, blocks[0].feed_forward.up.out_features)
            self.gate, self.value = self.up.chunk(2, dim=1)

    def step(self, x: Float[Tensor, "b d"], cache: KVCache) -> Float[Tensor, "b d"]:
        """Hidden states of one token more of each row."""
        opened = cache.open_token()
        # Each [3, 1, 1, 1, half]: one factor for q, k and v of all rows and heads.
        cos, sin, minus_sin = self.rotary_table.select(0, cache.length).unbind()
        for weights, (new, keys, values) in zip(self.layers, opened, strict=True):
            norm, qkv, out, feed_forward_norm, up, down = weights
            torch.mm(torch.layer_norm(x, self.width, norm), qkv, out=self.qkv)
            # (first, second) -> (first cos - second sin, second cos + first sin), in three kernels
            # over q, k and v at once; the table scales q by dh ** -0.5 and leaves v as it is.
            torch.mul(self.pairs, cos, out=self.rotated)
            self.rotated_first.addcmul_(self.second, minus_sin)
            self.rotated_second.addcmul_(self.first, sin)
            new.copy_(self.kv)  # keys and values of this token, into the cache
            self._attend(keys, values)
            x = torch.addmm(x, self.mixed, out)
            torch.mm(torch.layer_norm(x, self.width, feed_forward_norm), up, out=self.up)
            x = torch.addmm(x, F.silu(self.gate).mul_(self.value), down)
        cache.end(1)
        return torch.layer_norm(x, self.width, self.norm)

    def _attend(self, keys: Float[Tensor, "n dh all"], values: Float[Tensor, "n all dh"]) -> None:
        if self.q.dtype == torch.float32:
            # For a single query, two products take half as long as the fused kernel.
            torch.bmm(torch.bmm(self.q, keys).softmax(dim=-1), values, out=self.seen)
        else:  # the fused kernel adds up in float32
            q, k, v = self.q[None], keys.mT[None], values[None]
            self.seen.copy_(F.scaled_dot_product_attention(q, k, v, scale=1.0)[0])


def _weights(block: Block) -> tuple[Tensor, ...]:
    """Of a block, in the order of their use; matrices as a product from the left wants them."""
    assert block.scales is None
    attention, feed_forward = block.attention, block.feed_forward
    weights = (
        block.attention_norm.weight,
        attention.qkv.weight.t(),
        attention.out.weight.t(),
        block.feed_forward_norm.weight,
        feed_forward.up.weight.t(),
        feed_forward.down.weight.t(),
    )
    return tuple(weight.detach() for weight in weights)


def _rotary_table(capacity: int, head_dim: int, like: Tensor) -> Float[Tensor, "p 3 3 1 1 1 half"]:
    """Cosine, sine and minus sine of each position's angles, for queries, keys and values.

    [position, which of the three, q k or v, then 1s for rows, heads and halves, angle]
    """
    rates = Rotary.rates(head_dim, like.device)[head_dim // 2 :]
    angles = torch.arange(capacity, device=like.device)[:, None] * rates
    table = torch.stack([angles.cos(), angles.sin(), -angles.sin()], dim=1)
    # Queries are scaled on the way. Values are not rotated: so one product does for all three.
    still = table.new_tensor([1.0, 0.0, 0.0])[:, None].expand_as(table)
    parts = torch.stack([table * head_dim**-0.5, table, still], dim=2)
    return parts[:, :, :, None, None, None].to(like.dtype)
