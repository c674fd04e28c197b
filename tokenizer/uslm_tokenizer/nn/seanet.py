"""SEANet: the convolutional encoder and decoder of EnCodec, SpeechTokenizer and their kin.

Tagliasacchi et al. 2020; with the LSTM of EnCodec (Defossez et al. 2022):

    encoder   conv   [residual units, activation, conv of stride s] ...   LSTM   activation   conv
    decoder   conv   LSTM   [activation, transposed conv of stride s, residual units] ...
              activation   conv
"""

from dataclasses import dataclass
from math import prod
from typing import Any, cast

import torch
from jaxtyping import Float
from torch import Tensor, nn

from uslm_tokenizer.errors import ConfigError
from uslm_tokenizer.nn.activations import Activation, activation
from uslm_tokenizer.nn.conv import Conv1d, ConvTranspose1d, Norm, Padding


@dataclass(frozen=True, kw_only=True)
class SEANetConfig:
    audio_channels: int = 1
    """Channels of the waveform."""
    dim: int = 128
    """Width of the latents between encoder and decoder."""
    num_filters: int = 32
    """Channels at the full sample rate; each stride doubles them."""
    strides: tuple[int, ...] = (2, 4, 5, 8)
    """Down-sampling of each stage of the encoder; the decoder goes back in reverse order."""
    kernel_size: int = 7
    """Samples that the first convolution sees."""
    last_kernel_size: int = 7
    """Samples or frames that the last convolution sees."""
    num_residual_units: int = 1
    """Residual units of each stage."""
    residual_kernel_size: int = 3
    """Kernel of a residual unit."""
    dilation_base: int = 2
    """Unit j of a stage is dilated by `dilation_base ** j`."""
    compress: int = 2
    """How many times narrower a residual unit is inside."""
    shortcut_conv: bool = True
    """Residual units add a 1x1 convolution of their input; otherwise the input itself."""
    num_lstm_layers: int = 2
    """Layers of the LSTM at the frame rate, in the encoder and in the decoder; 0: none."""
    bidirectional: bool = False
    """The encoder's LSTM reads both ways, and its output is twice as wide; the decoder's never."""
    activation: Activation = "elu"
    """Between the convolutions."""
    norm: Norm = "weight"
    """Of each convolution."""
    causal: bool = False
    """No output depends on later inputs, so that a stream can be fed chunk by chunk."""
    padding: Padding = "reflect"
    """What stands beyond the ends of each layer's input."""

    def __post_init__(self) -> None:
        if not self.strides or min(self.strides) < 1:
            raise ConfigError(f"strides must be one or more positive, but are {self.strides}")
        if self.causal and (self.bidirectional or self.norm == "group"):
            raise ConfigError(
                "causal must be False with bidirectional or norm 'group', which need the whole "
                f"signal, but bidirectional is {self.bidirectional} and norm is {self.norm!r}"
            )

    @property
    def hop_length(self) -> int:
        """Samples of one frame."""
        return prod(self.strides)


@dataclass
class SEANetState:
    """A stream through an encoder or a decoder: the state of each layer that has one."""

    layers: list[Any]


@dataclass
class ResidualState:
    """A stream through a residual unit."""

    layers: list[Any]
    shortcut: Any
    waiting: Float[Tensor, "b c n"]
    """What the shortcut has ready and the layers, which start later, have not."""


@dataclass
class LSTMState:
    """A stream through an LSTM; None before the first frame."""

    hidden: tuple[Tensor, Tensor] | None = None


class ResidualUnit(nn.Module):
    """Two convolutions through a narrow middle, added to a shortcut."""

    def __init__(self, channels: int, dilation: int, config: SEANetConfig) -> None:
        super().__init__()
        middle, kernel_size = channels // config.compress, config.residual_kernel_size
        self.layers = nn.Sequential(
            activation(config.activation, channels),
            _conv(channels, middle, kernel_size, config, dilation=dilation),
            activation(config.activation, middle),
            _conv(middle, channels, 1, config),
        )
        self.shortcut = (
            _conv(channels, channels, 1, config) if config.shortcut_conv else nn.Identity()
        )

    def forward(
        self, x: Float[Tensor, "b c n"], state: ResidualState | None = None, is_final: bool = False
    ) -> Float[Tensor, "b c m"]:
        if state is None:
            return cast(Tensor, self.shortcut(x) + self.layers(x))
        shortcut = _run([self.shortcut], x, [state.shortcut], is_final)
        y = _run(self.layers, x, state.layers, is_final)
        shortcut = torch.cat([state.waiting, shortcut], dim=-1)
        state.waiting = shortcut[..., y.shape[-1] :]
        return shortcut[..., : y.shape[-1]] + y

    def init_state(self, batch_size: int) -> ResidualState:
        """The beginning of a stream."""
        layers = _init_states(self.layers, batch_size)
        (shortcut,) = _init_states([self.shortcut], batch_size)
        return ResidualState(layers, shortcut, layers[1].memory)


class ResidualLSTM(nn.Module):
    """An LSTM over time whose input is added to its output, to both halves of a wider one."""

    def __init__(self, dim: int, num_layers: int, *, bidirectional: bool = False) -> None:
        super().__init__()
        self.lstm = nn.LSTM(dim, dim, num_layers, bidirectional=bidirectional, batch_first=True)

    def forward(
        self, x: Float[Tensor, "b c t"], state: LSTMState | None = None, is_final: bool = False
    ) -> Float[Tensor, "b e t"]:
        if x.shape[-1] == 0:
            return x
        frames = x.transpose(1, 2)
        y, hidden = self.lstm(frames, None if state is None else state.hidden)
        if state is not None:
            state.hidden = hidden
        skipped = torch.cat([frames, frames], dim=-1) if self.lstm.bidirectional else frames
        return cast(Tensor, (y + skipped).transpose(1, 2))

    def init_state(self, batch_size: int) -> LSTMState:
        """The beginning of a stream."""
        assert not self.lstm.bidirectional, "what sees the future cannot be streamed"
        return LSTMState()


class SEANet(nn.Module):
    """A chain of layers; the encoder and the decoder differ in which."""

    layers: nn.Sequential

    def forward(
        self, x: Float[Tensor, "b c n"], state: SEANetState | None = None, is_final: bool = False
    ) -> Float[Tensor, "b e m"]:
        """The whole signal; or with a `state` the next chunk of a stream, which may give nothing.

        The last chunk of a stream must say `is_final`, and then gives all that was held back.
        """
        if state is None:
            return cast(Tensor, self.layers(x))
        return _run(self.layers, x, state.layers, is_final)

    def init_state(self, batch_size: int) -> SEANetState:
        """The beginning of a stream; only of a causal network."""
        return SEANetState(_init_states(self.layers, batch_size))


class SEANetEncoder(SEANet):
    """Waveform to latents: one frame for each `hop_length` samples begun."""

    def __init__(self, config: SEANetConfig) -> None:
        super().__init__()
        channels = config.num_filters
        layers = [_conv(config.audio_channels, channels, config.kernel_size, config)]
        for stride in config.strides:
            layers += _residual_units(channels, config)
            layers += [
                activation(config.activation, channels),
                _conv(channels, 2 * channels, 2 * stride, config, stride=stride),
            ]
            channels *= 2
        if config.num_lstm_layers:
            both = config.bidirectional
            layers.append(ResidualLSTM(channels, config.num_lstm_layers, bidirectional=both))
            channels *= 2 if both else 1
        layers += [
            activation(config.activation, channels),
            _conv(channels, config.dim, config.last_kernel_size, config),
        ]
        self.layers = nn.Sequential(*layers)


class SEANetDecoder(SEANet):
    """Latents to waveform: `hop_length` samples for each frame."""

    def __init__(self, config: SEANetConfig) -> None:
        super().__init__()
        channels = config.num_filters * 2 ** len(config.strides)
        layers = [_conv(config.dim, channels, config.kernel_size, config)]
        if config.num_lstm_layers:
            layers.append(ResidualLSTM(channels, config.num_lstm_layers))
        for stride in reversed(config.strides):
            layers += [
                activation(config.activation, channels),
                ConvTranspose1d(
                    channels, channels // 2, 2 * stride,
                    stride=stride, causal=config.causal, norm=config.norm,
                ),
            ]  # fmt: skip
            channels //= 2
            layers += _residual_units(channels, config)
        layers += [
            activation(config.activation, channels),
            _conv(channels, config.audio_channels, config.last_kernel_size, config),
        ]
        self.layers = nn.Sequential(*layers)


def _conv(
    in_channels: int,
    out_channels: int,
    kernel_size: int,
    config: SEANetConfig,
    *,
    stride: int = 1,
    dilation: int = 1,
) -> nn.Module:
    return Conv1d(
        in_channels, out_channels, kernel_size,
        stride=stride, dilation=dilation,
        causal=config.causal, norm=config.norm, padding=config.padding,
    )  # fmt: skip


def _residual_units(channels: int, config: SEANetConfig) -> list[nn.Module]:
    dilations = [config.dilation_base**j for j in range(config.num_residual_units)]
    return [ResidualUnit(channels, dilation, config) for dilation in dilations]


def _init_states(layers: Any, batch_size: int) -> list[Any]:
    """The state of each layer; None for those that look at one sample at a time."""
    return [
        layer.init_state(batch_size) if hasattr(layer, "init_state") else None for layer in layers
    ]


def _run(layers: Any, x: Tensor, states: list[Any], is_final: bool) -> Tensor:
    for layer, state in zip(layers, states, strict=True):
        x = layer(x) if state is None else layer(x, state, is_final)
    return x
