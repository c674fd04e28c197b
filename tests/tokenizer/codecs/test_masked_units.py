"""Masked units: hidden frames are hidden, in both ways, and visible ones are not."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from uslm_tokenizer.codecs.masked_units.model import MaskedUnits, MaskedUnitsConfig
from uslm_tokenizer.errors import ConfigError

WAYS = ("embedded", "left out")
every_way = pytest.mark.parametrize("way", WAYS)


def build(way: str) -> MaskedUnits:
    torch.manual_seed(0)
    model = MaskedUnits(replace(MaskedUnits.tiny_config(), hidden_frames=way)).eval()  # type: ignore[arg-type]
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(2.0)
    return model


def batch() -> tuple[Tensor, Tensor, Tensor]:
    frames = torch.randn(2, 12, 16, generator=torch.Generator().manual_seed(1))
    real = torch.ones(2, 12, dtype=torch.bool)
    real[1, 8:] = False
    hidden = torch.zeros_like(real)
    hidden[0, 3:6] = hidden[1, 1:3] = True
    return frames, real, hidden


@every_way
def test_what_is_hidden_changes_no_score(way: str) -> None:
    model, (frames, real, hidden) = build(way), batch()
    scores = model(frames, real, hidden)
    other = torch.where(hidden[..., None], torch.randn_like(frames), frames)
    moved = (model(other, real, hidden) - scores).abs().amax((1, 3))
    assert bool((moved[real] < 1e-5).all())
    shown = (model(other, real) - model(frames, real)).abs().amax((1, 3))
    assert bool((shown[real] > 1e-4).all())


@every_way
def test_hidden_frames_are_told_from_the_visible_ones(way: str) -> None:
    model, (frames, real, hidden) = build(way), batch()
    scores = model(frames, real, hidden)
    other = frames.clone()
    other[:, 7] += 1.0
    moved = (model(other, real, hidden) - scores).abs().amax((1, 3))
    assert bool((moved[hidden] > 1e-4).all())
    places = scores[0, :, 3:6]
    assert not torch.allclose(places[:, 0], places[:, 1], atol=1e-3)  # which of them it is counts


def test_frames_that_are_left_out_are_seen_by_no_layer_of_the_encoder() -> None:
    model, (frames, real, hidden) = build("left out"), batch()
    encoder = model.encoder
    together = encoder.encode_frames(frames, real, hidden, leave_out=True)
    alone = encoder.encode_frames(frames, real & ~hidden)
    torch.testing.assert_close(together[real & ~hidden], alone[real & ~hidden])


@every_way
def test_padding_changes_nothing(way: str) -> None:
    model, (frames, real, hidden) = build(way), batch()
    other = torch.where(real[..., None], frames, torch.full_like(frames, 9.0))
    one, two = (model(x, real, hidden).transpose(1, 2)[real] for x in (frames, other))
    torch.testing.assert_close(one, two)


def test_its_features_are_of_the_encoder_alone() -> None:
    model = build("left out")
    waveform = 0.1 * torch.randn(2, 1, 3200, generator=torch.Generator().manual_seed(0))
    features, real = model.encoder(waveform, torch.tensor([3200, 1601]))
    assert features.shape == (2, 10, 16) and real.sum(1).tolist() == [10, 6]
    with torch.no_grad():
        for parameter in (*model.predictor.parameters(), *model.heads.parameters()):
            parameter.zero_()
    torch.testing.assert_close(model.encoder(waveform)[0][0], features[0])


def test_bad_configs_are_refused() -> None:
    with pytest.raises(ConfigError, match='at least 1 where hidden_frames is "left out"'):
        MaskedUnitsConfig(hidden_frames="left out")
    with pytest.raises(ConfigError, match="num_codebooks must be at least 1, but is 0"):
        MaskedUnitsConfig(num_codebooks=0)
