"""Masked prediction: the loss by hand, and every source of labels behind one interface."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from uslm_tokenizer.errors import ConfigError
from uslm_tokenizer.objectives.label_sources import (
    Described,
    LabelsConfig,
    LabelSource,
    build_labels,
)
from uslm_tokenizer.objectives.masked_prediction import (
    PredictionConfig,
    accuracy,
    prediction_loss,
)

KINDS: dict[str, dict[str, Any]] = {
    "k-means": {},
    "random projection": {"code_dim": 4},
    "multi-codebook": {"num_codebooks": 3},
    "residual": {"num_codebooks": 3},
    "distilled": {"code_dim": 4, "dim": 16, "num_heads": 2, "num_layers": 1},
}
every_kind = pytest.mark.parametrize("kind", KINDS)


def given(seed: int = 0) -> Described:
    draw = torch.Generator().manual_seed(seed)
    frames = torch.randn(3, 40, 6, generator=draw)
    real = torch.ones(3, 40, dtype=torch.bool)
    real[2, 25:] = False
    mixing = torch.randn(6, 5, generator=torch.Generator().manual_seed(7))
    return Described(frames, torch.tanh(frames @ mixing), real)


def build(kind: str) -> LabelSource:
    torch.manual_seed(0)
    config = LabelsConfig(kind=kind, codebook_size=16, **KINDS[kind])  # type: ignore[arg-type]
    source = build_labels(config, num_mels=6, feature_dim=5)
    source.place(given(), torch.Generator().manual_seed(0))
    return source.eval()


# ---- the loss


def scores_and_labels() -> tuple[Tensor, Tensor, Tensor, Tensor]:
    draw = torch.Generator().manual_seed(0)
    scores = torch.randn(2, 2, 5, 7, generator=draw)
    labels = torch.randint(7, (2, 2, 5), generator=draw)
    real = torch.ones(2, 5, dtype=torch.bool)
    real[1, 3:] = False
    hidden = torch.tensor([[1, 0, 0, 1, 0], [0, 1, 0, 1, 1]]).bool()
    return scores, labels, hidden, real


def test_the_loss_by_hand() -> None:
    scores, labels, hidden, real = scores_and_labels()
    logs = scores.log_softmax(-1)

    def cost(row: int, frame: int) -> Tensor:
        return -torch.stack([logs[row, k, frame, labels[row, k, frame]] for k in (0, 1)]).mean()

    masked = torch.stack([cost(0, 0), cost(0, 3), cost(1, 1)]).mean()
    visible = torch.stack([cost(0, 1), cost(0, 2), cost(0, 4), cost(1, 0), cost(1, 2)]).mean()
    alone = prediction_loss(scores, labels, hidden, real, PredictionConfig())
    torch.testing.assert_close(alone, masked)
    both = prediction_loss(scores, labels, hidden, real, PredictionConfig(visible_weight=0.25))
    torch.testing.assert_close(both, 0.75 * masked + 0.25 * visible)
    nothing = torch.zeros_like(hidden)
    assert float(prediction_loss(scores, labels, nothing, real, PredictionConfig())) == 0


def test_the_accuracy_by_hand() -> None:
    scores, labels, hidden, _ = scores_and_labels()
    perfect = F.one_hot(labels, 7).float()
    assert accuracy(perfect, labels, hidden) == (10, 10)
    perfect[0, 1, 0] = perfect[0, 1, 0].roll(1)
    assert accuracy(perfect, labels, hidden) == (9, 10)
    assert accuracy(scores, labels, hidden)[1] == 10


# ---- the sources


@every_kind
def test_labels_have_the_promised_shape_and_are_deterministic(kind: str) -> None:
    one, two = build(kind), build(kind)
    labels = one.labels(given(1))
    assert labels.shape == (3, KINDS[kind].get("num_codebooks", 1), 40)
    assert int(labels.min()) >= 0 and int(labels.max()) < 16 and labels.unique().numel() > 4
    assert torch.equal(labels, two.labels(given(1)))


@every_kind
def test_padding_changes_no_label_and_no_loss(kind: str) -> None:
    source, batch = build(kind), given(1)
    noisy = given(1)
    noisy.frames[2, 25:], noisy.features[2, 25:] = 9.0, -9.0
    one, two = (source.labels(each).transpose(1, 2)[batch.real] for each in (batch, noisy))
    assert torch.equal(one, two)
    padded = Described(batch.frames[2:], batch.features[2:], batch.real[2:])
    alone = Described(padded.frames[:, :25], padded.features[:, :25], padded.real[:, :25])
    assert torch.equal(source.labels(padded)[..., :25], source.labels(alone))
    if source.trains:
        torch.testing.assert_close(source.loss(batch), source.loss(noisy))
        torch.testing.assert_close(source.loss(padded), source.loss(alone))


@every_kind
def test_what_is_placed_stays_while_others_train(kind: str) -> None:
    source = build(kind)
    trained = [name for name, p in source.named_parameters() if p.requires_grad]
    assert bool(trained) == source.trains == (kind == "distilled")
    if not source.trains:
        source.train()
        before = source.labels(given(1))
        source.labels(given(2))
        assert torch.equal(source.labels(given(1)), before)
        with pytest.raises(AssertionError, match="is not trained"):
            source.loss(given())


def test_distilled_labels_learn_to_tell_the_features() -> None:
    source = build("distilled").train()
    optimizer = torch.optim.AdamW(source.parameters(), lr=1e-2)
    draw, losses = torch.Generator().manual_seed(0), []
    for step in range(40):
        optimizer.zero_grad()
        loss = source.loss(given(step % 4), draw)
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    assert sum(losses[-4:]) < 0.75 * sum(losses[:4])
    silent = [n for n, p in source.named_parameters() if p.grad is None or not p.grad.any()]
    assert not silent


def test_bad_configs_are_refused() -> None:
    with pytest.raises(ConfigError, match="must be 1 of kind 'k-means', but is 2"):
        LabelsConfig(kind="k-means", num_codebooks=2)
    with pytest.raises(ConfigError, match=r"labels\.codebook_size must be at least 1, but is 0"):
        LabelsConfig(codebook_size=0)
    with pytest.raises(ConfigError, match=r"prediction\.visible_weight must be in \[0, 1\]"):
        PredictionConfig(visible_weight=2.0)
