"""The balancer: weights are shares, whatever the scale of the losses; a resumed one goes on."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from uslm_tokenizer.errors import ConfigError
from uslm_tokenizer.objectives.balancer import Balancer
from uslm_tokenizer.objectives.weighted import WaveformWeights, build_balancer, waveform_losses


def three_steps(balancer: Balancer, steps: range = range(3)) -> Tensor:
    gradients = []
    for step in steps:
        waveform = torch.linspace(-1, 1, 8).view(2, 1, 4).requires_grad_()
        output = waveform * (step + 1.0)
        losses = {
            "near": (output - 0.5).abs().mean(),
            "square": 100 * ((output - 0.2 * step) ** 2).mean(),
        }
        balancer(losses, output).backward()
        assert waveform.grad is not None
        gradients.append(waveform.grad.flatten())
    return torch.stack(gradients)


def test_gradients_equal_those_of_the_authors_balancer() -> None:
    # Made with encodec/balancer.py of facebookresearch/encodec at 0e2d0aed (ema_decay=0.9).
    expected = [
        [-1.395644, -1.068317, -0.740990, -0.413663, -0.086337, 0.240990, 1.068317, 1.395644],
        [-3.796196, -2.940041, -2.083886, -1.227732, -0.371577, 1.484578, 2.340733, 3.196888],
        [-6.374511, -4.956567, -3.538623, -2.120679, -0.702735, 2.215209, 3.633152, 5.051096],
    ]
    got = three_steps(Balancer({"near": 1.0, "square": 3.0}, total_norm=2.0, decay=0.9))
    torch.testing.assert_close(got, torch.tensor(expected), atol=2e-6, rtol=1e-6)


def test_the_scale_of_a_loss_does_not_matter() -> None:
    gradients = []
    for scale in (1.0, 1000.0):
        output = torch.linspace(-1, 1, 6).view(2, 1, 3).requires_grad_()
        losses = {"a": scale * output.square().mean(), "b": (output - 1).abs().mean()}
        Balancer({"a": 1.0, "b": 1.0})(losses, output).backward()
        assert output.grad is not None
        gradients.append(output.grad)
    torch.testing.assert_close(*gradients)


def test_a_resumed_balancer_goes_on_as_if_nothing_happened() -> None:
    whole = three_steps(Balancer({"near": 1.0, "square": 3.0}))
    first = Balancer({"near": 1.0, "square": 3.0})
    three_steps(first, range(2))
    resumed = Balancer({"near": 1.0, "square": 3.0})
    resumed.load_state_dict(first.state_dict())
    assert torch.equal(three_steps(resumed, range(2, 3))[0], whole[2])


def test_a_loss_without_a_weight_is_named() -> None:
    output = torch.zeros(1, 1, 2, requires_grad=True)
    with pytest.raises(ValueError, match=r"no weight for \['gan'\]"):
        Balancer({"mel": 1.0})({"gan": output.sum()}, output)


def test_weights_of_a_waveform_are_shares() -> None:
    """Twice the spectral distance asks for no more; without a balancer it does."""
    weights = WaveformWeights(mel=3.0, samples=1.0, balanced=True)
    gradients = {}
    for size in (1.0, 2.0):
        for balancer in (build_balancer(weights), None):
            made = torch.linspace(-1, 1, 6).view(1, 1, 6).requires_grad_()
            total, parts = waveform_losses(
                made, torch.zeros(1, 1, 6), Square(size), None, weights, balancer
            )
            value = 3 * parts["mel"].item() + parts["samples"].item()
            assert total.item() == pytest.approx(value)
            total.backward()
            gradients[size, balancer is None] = made.grad
    torch.testing.assert_close(gradients[1.0, False], gradients[2.0, False])
    assert not torch.allclose(gradients[1.0, True], gradients[2.0, True])  # type: ignore[arg-type]
    assert build_balancer(WaveformWeights()) is None
    with pytest.raises(ConfigError, match="to be balanced"):
        WaveformWeights(mel=0.0, balanced=True)


class Square(torch.nn.Module):
    """A distance of so large a weight."""

    def __init__(self, size: float) -> None:
        super().__init__()
        self.size = size

    def forward(self, made: Tensor, real: Tensor) -> Tensor:
        return self.size * (made - real).square().mean()
