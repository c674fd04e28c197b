"""Attention of one sequence to another, as units look at patches."""

from einops import rearrange
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention

from uslm_tokenizer.nn.transformer import SwiGLU


class CrossAttention(nn.Module):
    """Attention to another sequence, then a feed-forward layer, each added back."""

    def __init__(self, dim: int, memory_dim: int, num_heads: int) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.norm = nn.LayerNorm(dim, bias=False)
        self.memory_norm = nn.LayerNorm(memory_dim, bias=False)
        self.query = nn.Linear(dim, dim, bias=False)
        self.key_value = nn.Linear(memory_dim, 2 * dim, bias=False)
        self.out = nn.Linear(dim, dim, bias=False)
        self.feed_forward_norm = nn.LayerNorm(dim, bias=False)
        self.feed_forward = SwiGLU(dim)

    def forward(
        self,
        x: Float[Tensor, "b q d"],
        memory: Float[Tensor, "b m e"],
        mask: Bool[Tensor, "b q m"],
    ) -> Float[Tensor, "b q d"]:
        """`mask` is True where a query may look; each must see something."""
        heads = {"h": self.num_heads}
        q = rearrange(self.query(self.norm(x)), "b q (h d) -> b h q d", **heads)
        k, v = rearrange(
            self.key_value(self.memory_norm(memory)), "b m (s h d) -> s b h m d", s=2, **heads
        )
        seen = scaled_dot_product_attention(q, k, v, mask[:, None])
        x = x + self.out(rearrange(seen, "b h q d -> b q (h d)"))
        mixed: Tensor = x + self.feed_forward(self.feed_forward_norm(x))
        return mixed
