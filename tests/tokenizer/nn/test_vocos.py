"""Vocos gives a hop of samples for each frame, and what conditions and position net change."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from uslm_tokenizer.errors import ConfigError
from uslm_tokenizer.nn.vocos import Vocos, VocosConfig

PLAIN = VocosConfig(in_dim=5, dim=64, hidden_dim=48, num_layers=2, n_fft=64, hop_length=16)


@pytest.mark.parametrize("frames", [1, 2, 30])
@pytest.mark.parametrize("position_net", [False, True])
def test_each_frame_gives_a_hop_and_a_row_is_alone(frames: int, position_net: bool) -> None:
    vocos = Vocos(dataclasses.replace(PLAIN, position_net=position_net)).eval()
    features = torch.randn(2, 5, frames)
    waveform = vocos(features)
    assert waveform.shape == (2, 1, frames * 16)
    torch.testing.assert_close(vocos(features[1:]), waveform[1:], atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("position_net", [False, True])
def test_it_sees_as_far_as_it_says(position_net: bool) -> None:
    vocos = Vocos(dataclasses.replace(PLAIN, position_net=position_net)).eval()
    features = torch.randn(1, 5, 60)
    changed = features.clone()
    changed[..., 30] += 1
    frames = (vocos(features) - vocos(changed)).abs().view(60, 16).amax(1)
    reach = vocos.context_frames
    if reach is None:
        assert position_net and bool((frames > 0).all())
    else:
        assert bool((frames[: 30 - reach] == 0).all() and (frames[31 + reach :] == 0).all())
        assert frames[30 - reach + 1] > 0


def test_conditions_begin_alike_and_then_differ() -> None:
    vocos = Vocos(dataclasses.replace(PLAIN, num_conditions=3)).eval()
    features = torch.randn(1, 5, 4).expand(2, -1, -1)
    one, two = vocos(features, torch.tensor([0, 2]))
    torch.testing.assert_close(one, two)
    torch.testing.assert_close(one, _plain_copy(vocos)(features[:1])[0])
    torch.nn.init.normal_(vocos.backbone.blocks[1].norm.shift.weight)  # type: ignore[union-attr, arg-type]
    one, two = vocos(features, torch.tensor([0, 2]))
    assert not torch.allclose(one, two)
    torch.testing.assert_close(vocos(features[:1], torch.tensor([2]))[0], two)


def _plain_copy(vocos: Vocos) -> Vocos:
    """The same weights without conditions."""
    plain = Vocos(dataclasses.replace(vocos.config, num_conditions=0))
    wanted = plain.state_dict()
    state = {name: tensor for name, tensor in vocos.state_dict().items() if name in wanted}
    plain.load_state_dict(wanted | state)
    return plain.eval()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"dim": 40, "position_net": True}, "dim must be a multiple of 32 above 32, but is 40"),
        ({"dim": 32, "position_net": True}, "but is 32"),
        ({"n_fft": 8}, "at least the hop of 16, but is 8"),
        ({"n_fft": 65}, "must be even"),
    ],
)
def test_sizes_that_do_not_fit_are_refused(changes: dict[str, int], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        dataclasses.replace(PLAIN, **changes)  # type: ignore[arg-type]
