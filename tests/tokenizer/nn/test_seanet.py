"""SEANet gives a frame a hop and a hop a frame, in one go or as a stream."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from uslm_tokenizer.config import from_dict, to_dict
from uslm_tokenizer.errors import ConfigError
from uslm_tokenizer.nn.seanet import SEANet, SEANetConfig, SEANetDecoder, SEANetEncoder

TINY = {"dim": 6, "num_filters": 2, "strides": (2, 3)}
VARIANTS: list[dict[str, object]] = [
    {},
    {"bidirectional": True, "activation": "snake"},
    {"num_lstm_layers": 0, "num_residual_units": 2, "shortcut_conv": False},
    {"norm": "group", "audio_channels": 2},
    {"norm": "none", "padding": "zeros", "compress": 1},
    {"causal": True},
]


def noise(b: int, c: int, n: int) -> Tensor:
    return torch.randn(b, c, n, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("options", VARIANTS, ids=str)
def test_a_frame_for_each_hop_and_back(options: dict[str, object]) -> None:
    config = SEANetConfig(**TINY | options)
    encoder, decoder = SEANetEncoder(config), SEANetDecoder(config)
    for n in (1, 6, 7):
        latents = encoder(noise(2, config.audio_channels, n))
        assert latents.shape == (2, 6, -(-n // 6))
        assert decoder(latents).shape == (2, config.audio_channels, latents.shape[-1] * 6)
    assert from_dict(SEANetConfig, to_dict(config)) == config


@pytest.mark.parametrize("options", VARIANTS, ids=str)
def test_every_weight_learns_and_a_row_is_the_row_alone(options: dict[str, object]) -> None:
    config = SEANetConfig(**TINY | options)
    encoder, decoder = SEANetEncoder(config), SEANetDecoder(config)
    x = noise(3, config.audio_channels, 30)
    y = decoder(encoder(x))
    torch.testing.assert_close(decoder(encoder(x[1:2]))[0], y[1])
    y.square().sum().backward()
    for network in (encoder, decoder):
        for name, parameter in network.named_parameters():
            assert parameter.grad is not None and bool(parameter.grad.abs().sum() > 0), name


def in_chunks(network: SEANet, x: Tensor, size: int) -> Tensor:
    state = network.init_state(len(x))
    segments = x.split(size, dim=-1)
    return torch.cat(
        [network(segment, state, is_final=segment is segments[-1]) for segment in segments], dim=-1
    )


@pytest.mark.parametrize("chunk", [1, 4, 100])
@pytest.mark.parametrize(
    "options",
    [{}, {"padding": "zeros", "shortcut_conv": False}, {"num_residual_units": 3}],
    ids=str,
)
def test_chunks_equal_the_whole(options: dict[str, object], chunk: int) -> None:
    config = SEANetConfig(**TINY | {"causal": True} | options)
    encoder, decoder = SEANetEncoder(config), SEANetDecoder(config)
    with torch.no_grad():
        for n in (1, 23):
            x = noise(2, 1, n)
            latents = encoder(x)
            torch.testing.assert_close(in_chunks(encoder, x, chunk), latents)
            torch.testing.assert_close(in_chunks(decoder, latents, chunk), decoder(latents))


def test_what_cannot_be_streamed_is_refused() -> None:
    for wrong in ({"bidirectional": True}, {"norm": "group"}):
        with pytest.raises(ConfigError, match="causal must be False"):
            SEANetConfig(causal=True, **wrong)
    with pytest.raises(ConfigError, match="strides must"):
        SEANetConfig(strides=())
    with pytest.raises(AssertionError, match="future"):
        SEANetEncoder(SEANetConfig(**TINY)).init_state(1)
