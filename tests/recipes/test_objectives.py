"""What recipes learn from: units hear the text; the teacher is the layer that was asked for."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from uslm_recipes.data.corpus import Corpus
from uslm_recipes.loop.reader import TrainBatch
from uslm_recipes.train.teachers.features import teacher_features
from uslm_recipes.train.units import Batch, UnitsRecipe, losses_of
from uslm_tokenizer.codecs.unit_tokenizer.model import UnitPrediction
from uslm_tokenizer.ssl.encoder import SSLEncoder


@pytest.mark.parametrize("weight", [None, 0.7])
def test_units_hear_the_text(weight: float | None) -> None:
    """A hand's count of the loss, and its gradient makes the right phonemes likelier."""
    recipe: Any = SimpleNamespace(ctc_weight=UnitsRecipe.ctc_weight if weight is None else weight)
    assert recipe.ctc_weight > 0
    logits = torch.zeros(1, 2, 3, requires_grad=True)  # two frames; blank, and two phonemes
    features = torch.tensor([[[1.0, 0.0], [0.0, 1.0]]])
    predicted = UnitPrediction(
        features=features, phoneme_logits=logits, units=torch.zeros(1, 2, dtype=torch.long),
        commitment=torch.tensor(0.5), latents=torch.zeros(1, 2, 2),
        mask=torch.ones(1, 2, dtype=torch.bool),
    )  # fmt: skip
    batch = Batch(
        waveforms=torch.zeros(1, 1, 640), lengths=torch.tensor([640]), features=features,
        with_text=torch.tensor([0]), text_ids=torch.tensor([[2]]), text_lengths=torch.tensor([1]),
    )  # fmt: skip
    train_batch: Any = TrainBatch(batch=batch, weights={"frames": 1.0, "texts": 1.0})
    total = losses_of(recipe, predicted, train_batch, batch).total
    # Of 9 equally likely pairs of frames three spell the phoneme 2: "2 2", "2 _" and "_ 2".
    ctc = float(np.log(3.0))  # the mean is by the length of the text, which is 1
    assert float(total.detach()) == pytest.approx(0.5 + recipe.ctc_weight * ctc, rel=1e-4)
    total.backward()
    assert logits.grad is not None and bool((logits.grad[..., 2] < 0).all())
    assert bool((logits.grad[..., 1] > 0).all())


@pytest.mark.parametrize("layer", [1, 2])
def test_the_teacher_is_the_layer_that_was_asked_for(
    trained: Path, tmp_path: Path, layer: int
) -> None:
    """Features of an utterance, beside what the encoder gives there when asked for all layers."""
    corpus, name = Corpus.open([trained / "corpus"]), str(trained / "made_up" / "whisper")
    made = teacher_features(corpus, tmp_path, name, (layer,), device=torch.device("cpu"))
    whole = SSLEncoder.from_pretrained(name, layers=(1, 2)).eval()
    waveform = corpus.waveform(0).reshape(1, 1, -1)
    outputs, _ = whole.layer_outputs(waveform, torch.tensor([waveform.shape[-1]]))
    found = made[0]
    own, other = (
        [_likeness(found, outputs[place, 0, : len(found)]) for place in places]
        for places in ([layer - 1], [2 - layer])
    )
    assert own[0] > 0.95 > other[0]


def _likeness(found: torch.Tensor, wanted: torch.Tensor) -> float:
    """Mean correlation of the dimensions; each was normalised over the corpus, which is a line."""
    pairs = zip(found.T, wanted.detach().T, strict=True)
    return float(torch.stack([torch.corrcoef(torch.stack(pair))[0, 1] for pair in pairs]).mean())
