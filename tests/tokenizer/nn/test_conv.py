"""Convolutions give whole frames, see no more than they say, and chunks equal the whole."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from uslm_tokenizer.nn.activations import Snake, activation
from uslm_tokenizer.nn.conv import Conv1d, ConvTranspose1d, fold_weight_norm, pad

# kernel size, stride, dilation
SHAPES = [(1, 1, 1), (7, 1, 1), (3, 1, 4), (4, 2, 1), (10, 5, 1), (7, 3, 1)]


def noise(n: int, channels: int = 3, seed: int = 0) -> Tensor:
    return torch.randn(2, channels, n, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize(("kernel_size", "stride", "dilation"), SHAPES)
@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("n", [1, 10, 11])
def test_frames_are_whole(
    kernel_size: int, stride: int, dilation: int, causal: bool, n: int
) -> None:
    conv = Conv1d(3, 4, kernel_size, stride=stride, dilation=dilation, causal=causal)
    assert conv(noise(n)).shape == (2, 4, -(-n // stride))
    if dilation == 1:
        back = ConvTranspose1d(3, 4, kernel_size, stride=stride, causal=causal)
        assert back(noise(n)).shape == (2, 4, n * stride)


def test_padding_reflects_and_a_short_signal_is_continued_with_zeros() -> None:
    x = torch.tensor([[[1.0, 2.0, 3.0, 4.0]]])
    assert pad(x, 2, 1, "reflect").tolist() == [[[3, 2, 1, 2, 3, 4, 3]]]
    assert pad(x, 2, 1, "zeros").tolist() == [[[0, 0, 1, 2, 3, 4, 0]]]
    # 1 2 is taken as 1 2 0 0: reflected 0 0 2 | 1 2 0 0 | 0 2 ..., and cut by the two zeros
    assert pad(x[..., :2], 3, 1, "reflect").tolist() == [[[0, 0, 2, 1, 2, 0]]]


@pytest.mark.parametrize("padding", ["reflect", "zeros", "replicate"])
@pytest.mark.parametrize(("kernel_size", "stride", "dilation"), SHAPES[:5])
def test_a_causal_convolution_does_not_see_the_future(
    kernel_size: int, stride: int, dilation: int, padding: str
) -> None:
    conv = Conv1d(3, 4, kernel_size, stride=stride, dilation=dilation, causal=True, padding=padding)
    x = noise(40)
    later = x.clone()
    later[..., 20:] += 1
    seen = 20 // stride
    assert torch.equal(conv(x)[..., :seen], conv(later)[..., :seen])
    assert not torch.equal(conv(x)[..., seen:], conv(later)[..., seen:])
    back = ConvTranspose1d(3, 4, max(kernel_size, stride), stride=stride, causal=True)
    assert torch.equal(back(x)[..., : 20 * stride], back(later)[..., : 20 * stride])


def in_chunks(layer: nn.Module, x: Tensor, size: int) -> Tensor:
    state = layer.init_state(len(x))
    segments = x.split(size, dim=-1)
    return torch.cat(
        [layer(segment, state, is_final=segment is segments[-1]) for segment in segments], dim=-1
    )


@pytest.mark.parametrize("chunk", [1, 3, 50])
@pytest.mark.parametrize("n", [1, 5, 23])
@pytest.mark.parametrize("padding", ["reflect", "zeros", "replicate"])
@pytest.mark.parametrize(("kernel_size", "stride", "dilation"), SHAPES[:5])
def test_chunks_equal_the_whole(
    kernel_size: int, stride: int, dilation: int, padding: str, n: int, chunk: int
) -> None:
    conv = Conv1d(3, 4, kernel_size, stride=stride, dilation=dilation, causal=True, padding=padding)
    torch.testing.assert_close(in_chunks(conv, noise(n), chunk), conv(noise(n)))
    back = ConvTranspose1d(3, 4, max(kernel_size, stride), stride=stride, causal=True)
    torch.testing.assert_close(in_chunks(back, noise(n), chunk), back(noise(n)))


def test_a_stream_may_end_with_an_empty_chunk() -> None:
    conv, x = Conv1d(3, 4, 4, stride=2, causal=True), noise(7)
    state = conv.init_state(2)
    segments = [conv(x, state), conv(x[..., :0], state, is_final=True)]
    torch.testing.assert_close(torch.cat(segments, dim=-1), conv(x))


def test_what_needs_the_future_cannot_be_streamed() -> None:
    with pytest.raises(AssertionError, match="future"):
        Conv1d(3, 4, 3).init_state(1)
    with pytest.raises(AssertionError, match="future"):
        ConvTranspose1d(3, 4, 4, stride=2).init_state(1)


@pytest.mark.parametrize("norm", ["group", "none"])
def test_other_norms(norm: str) -> None:
    conv = Conv1d(3, 4, 3, norm=norm)
    assert not any("parametrizations" in name for name in conv.state_dict())
    if norm == "group":
        assert bool(conv(noise(30))[0].mean().abs() < 1e-6)


def test_folding_changes_no_output() -> None:
    model = nn.Sequential(Conv1d(3, 4, 7), ConvTranspose1d(4, 2, 4, stride=2))
    before = model(noise(20))
    folded = fold_weight_norm(model)
    assert torch.equal(folded(noise(20)), before)
    assert sorted(folded.state_dict()) == [
        "0.conv.bias", "0.conv.weight", "1.conv.bias", "1.conv.weight"
    ]  # fmt: skip
    folded(noise(20)).sum().backward()
    assert all(parameter.grad is not None for parameter in folded.parameters())


def test_snake_is_its_formula() -> None:
    snake, x = Snake(3), noise(5)
    snake.alpha.data = torch.tensor([0.5, 1.0, 3.0])[None, :, None]
    torch.testing.assert_close(snake(x), x + torch.sin(snake.alpha * x) ** 2 / snake.alpha)
    assert isinstance(activation("snake", 3), Snake)
    assert isinstance(activation("elu", 3), nn.ELU)
