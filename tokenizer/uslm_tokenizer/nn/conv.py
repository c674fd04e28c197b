"""Convolutions over time that come out in whole frames, at once or chunk by chunk.

The padding is SEANet's (Tagliasacchi et al. 2020, as in EnCodec): a convolution of stride s makes
ceil(n / s) frames of n samples, a transposed one t * s samples of t frames. A causal one pads and
trims so that no output depends on later inputs, and can be fed a stream: begin with `init_state`,
pass the state with every chunk and `is_final` with the last. The chunks joined equal the whole.
"""

from dataclasses import dataclass
from typing import Literal, cast

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.utils import parametrize
from torch.nn.utils.parametrizations import weight_norm

Norm = Literal["weight", "group", "none"]
"""Weight normalisation, normalisation of each row's output over channels and time, or neither."""

Padding = Literal["reflect", "zeros", "replicate"]
"""What stands beyond both ends of the signal."""


@dataclass
class ConvState:
    """State of a causal convolution between two chunks of a stream."""

    memory: Float[Tensor, "b c n"]
    """Inputs that later outputs need; of a transposed convolution, outputs not yet complete."""
    started: bool = False
    """Whether the padding in front is in place; a reflection needs a few samples before."""


class Conv1d(nn.Module):
    """A convolution with SEANet's padding. `kernel_size` must be at least `stride`."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int,
        *,
        stride: int = 1,
        dilation: int = 1,
        causal: bool = False,
        norm: Norm = "weight",
        padding: Padding = "reflect",
        groups: int = 1,
        bias: bool = True,
    ) -> None:
        super().__init__()
        assert kernel_size >= stride and (stride == 1 or dilation == 1)
        assert not (causal and norm == "group"), "its statistics are those of the whole signal"
        self.causal, self.padding = causal, padding
        self.overlap = (kernel_size - 1) * dilation + 1 - stride
        self.right = 0 if causal else self.overlap // 2
        conv = nn.Conv1d(
            in_channels, out_channels, kernel_size, stride,
            dilation=dilation, groups=groups, bias=bias,
        )  # fmt: skip
        self.conv = weight_norm(conv) if norm == "weight" else conv
        self.norm = nn.GroupNorm(1, out_channels) if norm == "group" else nn.Identity()

    def forward(
        self, x: Float[Tensor, "b c n"], state: ConvState | None = None, is_final: bool = False
    ) -> Float[Tensor, "b e t"]:
        if state is not None:
            return self._next(x, state, is_final)
        missing = -x.shape[-1] % self._stride  # the last frame is filled up, on the right
        padded = pad(x, self.overlap - self.right, self.right + missing, self.padding)
        return cast(Tensor, self.norm(self.conv(padded)))

    def init_state(self, batch_size: int) -> ConvState:
        """The beginning of a stream."""
        assert self.causal, "a convolution that sees the future cannot be streamed"
        shape = (batch_size, self.conv.in_channels, 0)
        return ConvState(self.conv.weight.new_zeros(shape))

    @property
    def _stride(self) -> int:
        return int(self.conv.stride[0])

    def _next(
        self, x: Float[Tensor, "b c n"], state: ConvState, is_final: bool
    ) -> Float[Tensor, "b e t"]:
        x = torch.cat([state.memory, x], dim=-1)
        if not state.started:
            if is_final and x.shape[-1]:
                return cast(Tensor, self(x))
            state.started = x.shape[-1] > (self.overlap if self.padding == "reflect" else 0)
            x = pad(x, self.overlap, 0, self.padding) if state.started else x
        elif is_final:
            x = pad(x, 0, (self.overlap - x.shape[-1]) % self._stride, self.padding)
        num_frames = (x.shape[-1] - self.overlap) // self._stride if state.started else 0
        state.memory = x[..., num_frames * self._stride :]
        if num_frames == 0:
            return x.new_zeros(len(x), self.conv.out_channels, 0)
        return cast(Tensor, self.conv(x))


class ConvTranspose1d(nn.Module):
    """A transposed convolution, trimmed to `stride` samples for each frame."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int,
        *,
        stride: int,
        causal: bool = False,
        norm: Norm = "weight",
        groups: int = 1,
        bias: bool = True,
    ) -> None:
        super().__init__()
        assert kernel_size >= stride
        assert not (causal and norm == "group"), "its statistics are those of the whole signal"
        self.causal = causal
        self.overlap = kernel_size - stride
        self.right = self.overlap if causal else self.overlap // 2
        conv = nn.ConvTranspose1d(
            in_channels, out_channels, kernel_size, stride, groups=groups, bias=bias
        )
        self.conv = weight_norm(conv) if norm == "weight" else conv
        self.norm = nn.GroupNorm(1, out_channels) if norm == "group" else nn.Identity()

    def forward(
        self, x: Float[Tensor, "b c t"], state: ConvState | None = None, is_final: bool = False
    ) -> Float[Tensor, "b e n"]:
        if state is not None:
            return self._next(x, state)
        y = self.norm(self.conv(x))
        return cast(Tensor, y[..., self.overlap - self.right : y.shape[-1] - self.right])

    def init_state(self, batch_size: int) -> ConvState:
        """The beginning of a stream."""
        assert self.causal, "a convolution that sees the future cannot be streamed"
        shape = (batch_size, self.conv.out_channels, self.overlap)
        return ConvState(self.conv.weight.new_zeros(shape), started=True)

    def _next(self, x: Float[Tensor, "b c t"], state: ConvState) -> Float[Tensor, "b e n"]:
        num_samples = x.shape[-1] * int(self.conv.stride[0])
        if num_samples == 0:
            return x.new_zeros(len(x), self.conv.out_channels, 0)
        y = self.conv(x)
        y = torch.cat([y[..., : self.overlap] + state.memory, y[..., self.overlap :]], dim=-1)
        state.memory = y[..., num_samples:]
        if self.conv.bias is not None:  # what later frames add to comes with its bias once more
            state.memory = state.memory - self.conv.bias[:, None]
        return y[..., :num_samples]


def pad(
    x: Float[Tensor, "b c n"], left: int, right: int, padding: Padding
) -> Float[Tensor, "b c m"]:
    """`left` and `right` more samples.

    A reflection needs a signal longer than itself: a shorter one is first continued with zeros,
    which are cut off again.
    """
    if padding == "zeros":
        return F.pad(x, (left, right))
    if padding == "replicate":
        return F.pad(x, (left, right), mode="replicate")
    missing = max(0, max(left, right) + 1 - x.shape[-1])
    padded = F.pad(F.pad(x, (0, missing)), (left, right), mode="reflect")
    return padded[..., : padded.shape[-1] - missing]


def fold_weight_norm(model: nn.Module) -> nn.Module:
    """Turn weight-normalised weights into plain ones, in place, for faster inference.

    The outputs stay bit-equal, but the state dict's keys do not: save the model before.
    """
    for module in model.modules():
        if parametrize.is_parametrized(module, "weight"):
            parametrize.remove_parametrizations(module, "weight")
    return model
