"""What masked models learn from: which frames are masked, and the loss of just those."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch

from uslm.models.masked import MaskedModel, MaskedRow
from uslm.systems.registry import MODELS, model_class

MASKED = [name for name in MODELS if issubclass(model_class(name), MaskedModel)]
NUM_FRAMES = 1200


class Watched:
    """A model that scores the first code by the frame's place, and what it was asked."""

    def __init__(self, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
        kind: Any = model_class(name)
        self.model = kind(kind.tiny_config()).eval()
        monkeypatch.setattr(self.model, "forward", self._forward)
        monkeypatch.setattr(self.model, "logits", self._logits)
        monkeypatch.setattr(kind, "drop_rate", 0.0)

    def _forward(self, batch: Any, is_masked: torch.Tensor, time: Any, **options: Any) -> Any:
        self.is_masked, self.is_target, self.time = is_masked, batch.is_target, time
        places = torch.arange(is_masked.shape[1], dtype=torch.float32)
        return (places / NUM_FRAMES).expand(len(is_masked), -1)[..., None]

    def _logits(self, hidden: torch.Tensor, codebook: int) -> torch.Tensor:
        others = hidden.new_zeros(*hidden.shape[:-1], self.model.codebook_size - 1)
        return torch.cat([hidden, others], dim=-1)

    def loss(self, seed: int, num_rows: int = 4) -> float:
        """Of rows of code 0 alone."""
        model = self.model
        codes = torch.zeros(model.num_codebooks, NUM_FRAMES, dtype=torch.long)
        length = NUM_FRAMES if model.condition_per_frame else 3
        condition = torch.zeros(length, dtype=torch.long)
        row = MaskedRow(condition=condition, prompt=codes[:, :0], target=codes)
        batch, draw = model.batch([row] * num_rows), torch.Generator().manual_seed(seed)
        return float(model.loss(batch, codebook=model.first_codebook, generator=draw))


@pytest.mark.parametrize("name", MASKED)
def test_the_loss_is_that_of_the_masked_frames(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Counted anew: -log of e^x / (e^x + v - 1), where x is what the first code was scored."""
    watched = Watched(name, monkeypatch)
    for seed in range(3):
        found = watched.loss(seed)
        scores = (watched.is_masked.nonzero()[:, 1] / NUM_FRAMES).tolist()
        others = watched.model.codebook_size - 1
        wanted = [math.log(math.exp(score) + others) - score for score in scores]
        assert found == pytest.approx(sum(wanted) / len(wanted), rel=1e-4)


@pytest.mark.parametrize("name", MASKED)
def test_a_prompt_is_never_masked(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each row that is told of the prompt has one, of five frames at least."""
    watched = Watched(name, monkeypatch)
    for seed in range(3):
        watched.loss(seed)
        assert not bool(watched.is_masked[:, :5].any())
        assert not bool(watched.is_target[:, :5].any())
        assert not bool((watched.is_masked & ~watched.is_target).any())


@pytest.mark.parametrize("name", MASKED)
def test_as_much_is_masked_as_the_time_says(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """sin(pi t / 2) of the target: all of it at t = 1, none at t = 0 (Chang et al. 2022)."""
    watched = Watched(name, monkeypatch)
    watched.loss(0, num_rows=16)
    masked = watched.is_masked.sum(dim=1) / watched.is_target.sum(dim=1)
    wanted = (watched.time * math.pi / 2).sin().clamp(min=watched.model.min_masked)
    assert float((masked - wanted).abs().max()) < 0.12
    assert float((masked - wanted).abs().mean()) < 0.04
