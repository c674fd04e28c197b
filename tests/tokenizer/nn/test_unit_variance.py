"""A fresh encoder that is scaled so that what it makes of quiet sound varies by one."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from uslm_tokenizer.codecs.waveform_codec.model import WaveformCodec
from uslm_tokenizer.nn.seanet import SEANetConfig, SEANetEncoder
from uslm_tokenizer.nn.unit_variance import start_with_unit_variance


def quiet() -> torch.Tensor:
    return 0.01 * torch.randn(2, 1, 3200, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("norm", ["weight", "none"])
def test_every_convolution_varies_by_one_afterwards(norm: str) -> None:
    torch.manual_seed(0)
    encoder = SEANetEncoder(
        SEANetConfig(dim=12, num_filters=4, strides=(4, 8, 10), num_lstm_layers=1, norm=norm)  # type: ignore[arg-type]
    )
    assert float(encoder(quiet()).detach().std(-1).mean()) < 0.05  # next to nothing
    found = []
    convs = [each for each in encoder.modules() if isinstance(each, nn.Conv1d)]
    assert start_with_unit_variance(encoder, lambda: encoder(quiet())) == len(convs)
    for conv in convs:
        conv.register_forward_hook(lambda _, __, out: found.append(out.detach()))
    out = encoder(quiet())
    for each in found:
        assert float(each.mean((0, 2)).abs().max()) < 1e-3
        assert float(each.square().mean()) == pytest.approx(1, abs=1e-2)
    torch.testing.assert_close(out, found[-1])
    out.square().sum().backward()
    assert all(p.grad is not None and p.grad.any() for p in encoder.parameters())


def test_what_is_frozen_or_not_run_stays_as_it_is() -> None:
    codec = WaveformCodec(WaveformCodec.tiny_config())
    before = {name: each.clone() for name, each in codec.state_dict().items()}
    start_with_unit_variance(codec, lambda: codec.encode(quiet()))
    changed = {name for name, each in codec.state_dict().items() if not each.equal(before[name])}
    parts = {".".join(name.split(".")[:2]) for name in changed}
    assert parts == {"encoder.layers", "branch.into", "branch.join"}
