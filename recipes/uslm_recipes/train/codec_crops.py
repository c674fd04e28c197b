"""Crops that a codec of waveforms learns from, with what teachers say of them."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from uslm_recipes.data.batches import CropSampler
from uslm_recipes.data.corpus import Corpus
from uslm_recipes.loop import TrainBatch
from uslm_recipes.loop.training_data import BatchLabel
from uslm_recipes.train.teachers.features import TeacherFeatures


@dataclass
class Batch:
    """Crops, and what the teachers say of them."""

    waveforms: Float[Tensor, "b 1 n"]
    teacher: Float[Tensor, "b t e"] | None
    language: Float[Tensor, "b t l"] | None = None

    def to(self, device: torch.device) -> Batch:
        """The same on another device."""
        teacher, language = (
            None if each is None else each.to(device) for each in (self.teacher, self.language)
        )
        return Batch(self.waveforms.to(device), teacher, language)


@dataclass(frozen=True)
class Teachers:
    """Features of every utterance of the corpus, from those teachers that are needed."""

    speech: TeacherFeatures | None = None
    language: TeacherFeatures | None = None


def draw_batch(
    length: int,
    hop: int,
    corpus: Corpus,
    teachers: Teachers,
    crops: CropSampler,
) -> TrainBatch[Batch]:
    """The next crops, of so many frames of `hop` samples; they begin at whole ones."""
    train_batch = next(crops)
    places = list(zip(train_batch.indices.tolist(), train_batch.starts.tolist(), strict=True))

    def cut(features: TeacherFeatures | None) -> Float[Tensor, "b t e"] | None:
        if features is None:
            return None
        segments = [features[i][start // hop : start // hop + length] for i, start in places]
        short = min(len(segment) for segment in segments)  # the teacher's last frame may be missing
        return torch.stack([segment[:short] for segment in segments])

    waveforms = corpus.crops(train_batch.indices, train_batch.starts, length * hop)
    return TrainBatch(
        batch=Batch(waveforms, cut(teachers.speech), cut(teachers.language)),
        name=BatchLabel(corpus, train_batch.indices.tolist()),
        audio_seconds=len(places) * length * hop / corpus.sample_rate,
        tokens=len(places) * length,
        padded_frames=len(places) * length,
    )
