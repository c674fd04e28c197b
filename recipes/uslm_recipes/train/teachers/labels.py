"""Teachers whose features become labels: the iteration before, another encoder, or none."""

from __future__ import annotations

from abc import ABC, abstractmethod
from pathlib import Path

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from uslm_recipes.data.corpus import Corpus
from uslm_recipes.train.teachers.features import TeacherFeatures, teacher_features
from uslm_tokenizer.codecs.masked_units.model import MaskedUnits
from uslm_tokenizer.errors import ConfigError
from uslm_tokenizer.hub import CONFIG_FILE
from uslm_tokenizer.json_files import read_mapping


class LabelTeacher(ABC):
    """Features of the frames of a batch."""

    dim: int = 0
    """Width of the features; 0: that of the spectra."""

    def stored(self, indices: list[int], num_frames: int) -> Float[Tensor, "b t f"] | None:
        """Features that lie on the disk; None: they are computed from the sound."""
        return None

    @abstractmethod
    def features(
        self,
        frames: Float[Tensor, "b t m"],
        waveforms: Float[Tensor, "b 1 n"],
        lengths: Int[Tensor, " b"],
        stored: Float[Tensor, "b t f"] | None,
    ) -> Float[Tensor, "b t f"]:
        """One vector for each frame."""


class NoTeacher(LabelTeacher):
    """The spectra themselves."""

    def features(
        self, frames: Tensor, waveforms: Tensor, lengths: Tensor, stored: Tensor | None
    ) -> Tensor:
        return frames


class EarlierIteration(LabelTeacher):
    """The encoder of a model of the same recipe."""

    def __init__(self, model: MaskedUnits, device: torch.device) -> None:
        self.encoder = model.encoder.to(device).eval().requires_grad_(False)
        self.dim = self.encoder.dim

    @torch.no_grad()
    def features(
        self, frames: Tensor, waveforms: Tensor, lengths: Tensor, stored: Tensor | None
    ) -> Tensor:
        found: Tensor = self.encoder(waveforms, lengths)[0]
        return found


class StoredTeacher(LabelTeacher):
    """An encoder of transformers, whose features are computed once for the whole corpus."""

    def __init__(self, found: TeacherFeatures) -> None:
        self.found, self.dim = found, found.dim

    def stored(self, indices: list[int], num_frames: int) -> Float[Tensor, "b t f"]:
        padded = pad_sequence([self.found[i] for i in indices], batch_first=True)
        # It counts whole hops only: what is missing of the last frame is repeated.
        for row, index in enumerate(indices):
            count = len(self.found[index])
            padded[row, count:] = padded[row, count - 1] if count else 0.0
        missing = max(0, num_frames - padded.shape[1])
        more = padded[:, -1:].expand(-1, missing, -1)
        return torch.cat([padded, more], dim=1)[:, :num_frames]

    def features(
        self, frames: Tensor, waveforms: Tensor, lengths: Tensor, stored: Tensor | None
    ) -> Tensor:
        assert stored is not None
        return F.layer_norm(stored, stored.shape[-1:])


def open_label_teacher(
    name_or_path: str,
    layers: tuple[int, ...],
    corpus: Corpus,
    folder: Path,
    device: torch.device,
    *,
    untrained_seed: int | None = None,
) -> LabelTeacher:
    """The teacher of this name; with a seed, a model of its shape with random weights.

    ConfigError for a saved model of ours that is of another kind.
    """
    if not name_or_path:
        return NoTeacher()
    config = Path(name_or_path) / CONFIG_FILE
    kind = read_mapping(config).get("model_type") if config.is_file() else None
    if kind == MaskedUnits.model_type:
        model = MaskedUnits.from_pretrained(name_or_path)
        if untrained_seed is not None:
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(untrained_seed)
                model = MaskedUnits(model.config)
        return EarlierIteration(model, device)
    if untrained_seed is not None:
        raise ConfigError(
            'control "untrained teacher" is for a teacher of train_masked_units, '
            f"but {name_or_path} is of kind {kind!r}"
        )
    found = teacher_features(corpus, folder, name_or_path, layers, device=device)
    return StoredTeacher(found)
