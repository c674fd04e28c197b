"""Flow matching: rows, training, saving."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from uslm.systems.vevo.flow_matching import FlowMatching, FlowMatchingConfig
from uslm_tokenizer.errors import ConfigError

CLOSE = {"atol": 1e-5, "rtol": 1e-5}


def build(**changes: object) -> FlowMatching:
    torch.manual_seed(0)
    model = FlowMatching(replace(FlowMatching.tiny_config(), **changes))
    # Fresh norms do not see the time; any others do.
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.1)
    return model.eval()


def noise(*shape: int, seed: int = 1) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def units(*shape: int, seed: int = 2) -> torch.Tensor:
    return torch.randint(32, shape, generator=torch.Generator().manual_seed(seed))


@torch.no_grad()
def test_a_row_of_a_padded_batch_equals_the_row_alone() -> None:
    model, frames, time = build(), noise(2, 12, 8), torch.tensor([0.3, 0.8])
    condition = model.condition(units(2, 12))
    mask = torch.arange(12) < torch.tensor([[12], [7]])
    together = model(frames, time, condition, mask)
    torch.testing.assert_close(together[:1], model(frames[:1], time[:1], condition[:1]), **CLOSE)
    alone = model(frames[1:, :7], time[1:], condition[1:, :7])
    torch.testing.assert_close(together[1:, :7], alone, **CLOSE)


@torch.no_grad()
def test_time_and_condition_are_heard() -> None:
    model, frames, time = build(), noise(1, 9, 8), torch.tensor([0.5])
    condition = model.condition(units(1, 9))
    plain = model(frames, time, condition)
    assert not torch.allclose(plain, model(frames, time + 0.2, condition), **CLOSE)
    assert not torch.allclose(plain, model(frames, time, None), **CLOSE)


@torch.no_grad()
def test_features_can_take_the_place_of_units() -> None:
    model = build(feature_dim=6)
    made = model(noise(1, 9, 8), torch.zeros(1), model.condition(noise(1, 9, 6)))
    assert made.shape == (1, 9, 8)


def test_how_units_sound_is_learnt() -> None:
    model = FlowMatching(FlowMatching.tiny_config()).train()
    content, lengths = units(4, 16), torch.tensor([16, 12, 9, 16])
    frames = noise(32, 8)[content]  # each unit sounds its own way
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)

    def loss(seed: int) -> torch.Tensor:
        draw = torch.Generator().manual_seed(seed)
        return model.loss(frames, content, lengths, generator=draw)

    @torch.no_grad()
    def measure() -> float:
        return sum(float(loss(seed)) for seed in range(1000, 1010))

    first = measure()
    for seed in range(100):
        optimizer.zero_grad()
        loss(seed).backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    assert measure() < 0.7 * first


def test_the_loss_is_what_the_generator_draws() -> None:
    model, frames, content = build(), noise(2, 16, 8), units(2, 16)

    def loss(seed: int) -> float:
        draw = torch.Generator().manual_seed(seed)
        return float(model.loss(frames, content, generator=draw).detach())

    assert loss(1) == loss(1) != loss(2)


def test_who_knows_the_direction_has_no_loss(monkeypatch: pytest.MonkeyPatch) -> None:
    """From noise to speech along a line that begins at the noise: anything else has a loss."""
    model, frames = build(cosine_time=False), noise(4, 16, 8)

    def oracle(sign: float) -> torch.Tensor:
        def direction(
            shown: torch.Tensor, time: torch.Tensor, condition: object, mask: object
        ) -> torch.Tensor:
            rest, t = 1 - model.config.sigma, time[:, None, None]
            start = (shown - t * frames) / (1 - rest * t)
            return sign * (frames - rest * start)

        monkeypatch.setattr(model, "forward", direction)
        draw = torch.Generator().manual_seed(1)
        return model.loss(frames, units(4, 16), generator=draw).detach()

    assert float(oracle(1.0)) < 1e-4
    assert float(oracle(-1.0)) > 1.0


def test_padding_does_not_count_in_the_loss() -> None:
    model, frames, content = build(), noise(2, 16, 8), units(2, 16)
    other = frames.clone()
    other[1, 10:] = 100.0

    def loss(x: torch.Tensor) -> torch.Tensor:
        draw = torch.Generator().manual_seed(3)
        return model.loss(x, content, torch.tensor([16, 10]), generator=draw).detach()

    torch.testing.assert_close(loss(frames), loss(other), **CLOSE)


@pytest.mark.parametrize("length", [1, 2, 3, 20])
def test_short_rows_train_too(length: int) -> None:
    draw = torch.Generator().manual_seed(0)
    loss = build(drop_rate=0.0).loss(noise(3, length, 8), units(3, length), generator=draw)
    assert bool(loss.isfinite())


def test_a_loaded_model_equals_the_saved_one(tmp_path: Path) -> None:
    model = build()
    loaded = FlowMatching.from_pretrained(model.save_pretrained(tmp_path))
    assert loaded.config == model.config
    frames, time = noise(1, 5, 8), torch.zeros(1)
    with torch.no_grad():
        assert torch.equal(loaded(frames, time, None), model(frames, time, None))


def test_an_impossible_share_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"drop_rate must be in \[0, 1\), but is 1"):
        FlowMatchingConfig(drop_rate=1.0)
