"""Stage 2 that makes latents: units -> latents of a codec, by a diffusion over all frames at once.

It stands beside the two that make codes: a `CodeModel` scores them, a `VectorModel` predicts what
they add up to, and a `LatentModel` needs none, as its codec decodes latents. How it is sampled is
`uslm.generate.latents`: any path and schedule of `uslm.generate.flow`, known frames kept.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from uslm.models.flow_paths import Path
from uslm_tokenizer.errors import UserError
from uslm_tokenizer.hub import PretrainedModel
from uslm_tokenizer.nn.padding import pad_right


@dataclass(kw_only=True, eq=False)
class LatentRow:
    """One utterance: its units, and its latents as far as they are known."""

    units: Int[Tensor, " u"]
    """Of the whole utterance, a prompt's among them."""
    latents: Float[Tensor, "t c"]
    """In training all of them; in use those of the prompt, from the first frame on."""


@dataclass
class LatentBatch:
    """Rows padded at the right."""

    units: Int[Tensor, "b u"]
    unit_mask: Bool[Tensor, "b u"]
    latents: Float[Tensor, "b t c"]
    mask: Bool[Tensor, "b t"]
    """False in padding."""

    def to(self, device: torch.device) -> "LatentBatch":
        """The same on another device."""
        return LatentBatch(**{name: part.to(device) for name, part in vars(self).items()})


class LatentModel(PretrainedModel, ABC):
    """Units and latents on their way -> where each frame moves."""

    @property
    @abstractmethod
    def latent_dim(self) -> int:
        """Values of one frame."""

    @property
    @abstractmethod
    def num_units(self) -> int:
        """Different units."""

    @property
    @abstractmethod
    def frames_per_unit(self) -> float:
        """Frames of latents for each unit."""

    @property
    @abstractmethod
    def path(self) -> Path:
        """Path from noise to data on which it learns."""

    @property
    @abstractmethod
    def can_be_guided(self) -> bool:
        """Whether it was also trained without units."""

    @abstractmethod
    def fit(self, latents: Float[Tensor, "n c"]) -> None:
        """Measure the scale of latents, before training."""

    @abstractmethod
    def standardised(self, latents: Float[Tensor, "*b c"]) -> Float[Tensor, "*b c"]:
        """Latents at the scale that it works in."""

    @abstractmethod
    def restored(self, latents: Float[Tensor, "*b c"]) -> Float[Tensor, "*b c"]:
        """The way back."""

    @abstractmethod
    def forward(
        self,
        latents: Float[Tensor, "b t c"],
        places: Float[Tensor, "b t"],
        batch: LatentBatch,
        *,
        conditional: Bool[Tensor, " b"] | None = None,
    ) -> Float[Tensor, "b t c"]:
        """Direction of each frame, `latents` being standardised and on their way at `places`;
        of `batch` only units and masks are looked at. Rows that are not `conditional` see no
        units."""

    @abstractmethod
    def loss(
        self, batch: LatentBatch, generator: torch.Generator | None = None
    ) -> Float[Tensor, ""]:
        """The loss that training minimises; `generator` draws all that is drawn."""

    @classmethod
    @abstractmethod
    def tiny_config(cls) -> Any:
        """A config that builds in milliseconds, for tests and examples."""

    def num_frames(self, num_units: int) -> int:
        """Frames of so many units."""
        return round(num_units * self.frames_per_unit)

    def batch(self, rows: Sequence[LatentRow]) -> LatentBatch:
        """Rows of whole utterances; UserError for latents of another codec, or other units."""
        for row in rows:
            self.check(row)
        units, unit_mask = pad_right([row.units.cpu().long() for row in rows])
        latents, mask = pad_right([row.latents for row in rows])
        return LatentBatch(units, unit_mask, latents, mask)

    def check(self, row: LatentRow) -> None:
        """Raise UserError unless units and latents are those that the model was made for."""
        if row.latents.ndim != 2 or row.latents.shape[1] != self.latent_dim:
            raise UserError(
                f"latents must be [t, {self.latent_dim}], those of the codec that the model was "
                f"made for, but are {list(row.latents.shape)}"
            )
        if not len(row.units):
            raise UserError("a row must have a unit at least, but has none")
        if int(row.units.max()) >= self.num_units or int(row.units.min()) < 0:
            raise UserError(
                f"units must lie in [0, {self.num_units}), but reach from {int(row.units.min())} "
                f"to {int(row.units.max())}"
            )
