"""The GPU that is not there computes as the CPU does, and fails where a real one would."""

from __future__ import annotations

import pytest
import torch
from torch import nn


def test_it_computes_as_the_cpu_does(fake_device: torch.device) -> None:
    torch.manual_seed(0)
    model, x = nn.Linear(3, 4), torch.randn(2, 3)
    here = model(x).square().sum()
    model.to(fake_device)
    there = model(x.to(fake_device)).square().sum()
    there.backward()
    assert there.device == model.weight.device == fake_device
    assert there.cpu() == here == there.item()
    assert model.weight.grad.device == fake_device and bool(model.weight.grad.any())


def test_tensors_of_two_devices_do_not_mix(fake_device: torch.device) -> None:
    here, there = torch.ones(3), torch.ones(3, device=fake_device)
    with pytest.raises(RuntimeError, match="lie on the GPU"):
        here + there
    with pytest.raises(RuntimeError, match="lie on the GPU"):
        here[there.long()]
    assert (there + torch.tensor(1.0)).tolist() == [2.0] * 3  # a single number may


def test_numpy_and_generators_of_the_cpu_are_refused(fake_device: torch.device) -> None:
    there = torch.ones(3, device=fake_device)
    with pytest.raises(TypeError, match="numpy"):
        there.numpy()
    with pytest.raises(RuntimeError, match="generator"):
        torch.rand(3, generator=torch.Generator(), device=fake_device)
