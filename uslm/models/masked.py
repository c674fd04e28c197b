"""Interface of masked models: a code of every frame at once, the masked ones too.

    conditional     condition | prompt   target: known, known, masked, known, masked
    unconditional                        target: known, known, masked, known, masked

Training hides a share of the target and asks for it; generation begins with all of it hidden and
keeps, step by step, what the model is surest of (MaskGIT, Chang et al. 2022).
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor

from uslm_tokenizer.errors import UserError
from uslm_tokenizer.hub import PretrainedModel
from uslm_tokenizer.nn.padding import pad_right


@dataclass(frozen=True, kw_only=True, eq=False)
class MaskedRow:
    """One utterance to be filled in."""

    condition: Int[Tensor, " c"]
    """What is to be said, the prompt's part first: phonemes, or a unit for each frame."""
    prompt: Int[Tensor, "k p"]
    """Codes of the voice that speaks."""
    target: Int[Tensor, "k t"]
    """Frames to fill; of codebooks that are known already their codes, of others anything."""


@dataclass(frozen=True, kw_only=True, eq=False)
class MaskedBatch:
    """Rows of prompt and target frames, padded at the right."""

    condition: Int[Tensor, "b c"]
    condition_mask: Bool[Tensor, "b c"]
    codes: Int[Tensor, "b k t"]
    frame_mask: Bool[Tensor, "b t"]
    is_target: Bool[Tensor, "b t"]

    @property
    def prompt_lengths(self) -> Int[Tensor, " b"]:
        """Frames in front of each row's target."""
        return (self.frame_mask & ~self.is_target).sum(1)

    def duplicated(self) -> "MaskedBatch":
        """The rows, and all of them once more after these."""
        return MaskedBatch(**{name: torch.cat([part, part]) for name, part in vars(self).items()})


class MaskedModel(PretrainedModel, ABC):
    """Condition and prompt -> codes of all frames."""

    condition_per_frame: ClassVar[bool]
    """Whether the condition has an entry for each frame of prompt and target."""
    prompt_limit: ClassVar[float]
    """The longest prompt in training, as a share of the row."""
    min_masked: ClassVar[float]
    """The least share of the target that is masked in training."""

    @property
    @abstractmethod
    def num_codebooks(self) -> int:
        """Codes in one frame."""

    @property
    @abstractmethod
    def codebook_size(self) -> int:
        """Entries of each codebook."""

    @property
    @abstractmethod
    def first_codebook(self) -> int:
        """The lowest codebook that is filled; those below it are given."""

    @abstractmethod
    def forward(
        self,
        batch: MaskedBatch,
        is_masked: Bool[Tensor, "b t"],
        time: Float[Tensor, " b"] | float,
        *,
        codebook: int = 0,
        conditional: Bool[Tensor, " b"] | None = None,
    ) -> Float[Tensor, "b t d"]:
        """Hidden state of each frame while `codebook` is filled.

        Codebooks below are known, those above are not looked at in the target, and of the codebook
        itself only what is not masked. Rows that are not `conditional` do without the prompt.
        `time` goes from 1, all masked, to 0; one for all rows saves the work for padding.
        """

    @abstractmethod
    def logits(self, hidden: Float[Tensor, "*any d"], codebook: int) -> Float[Tensor, "*any v"]:
        """Scores of the codes of one codebook, from hidden states."""

    @classmethod
    @abstractmethod
    def tiny_config(cls) -> Any:
        """A config that builds in milliseconds, for tests and examples."""

    @property
    @abstractmethod
    def drop_rate(self) -> float:
        """Share of training rows that are unconditional, for guidance."""

    @property
    def codebook_weights(self) -> Float[Tensor, " k"]:
        """Weights by which training draws codebooks: less the higher one is, as fewer others depend
        on it."""
        count = self.num_codebooks
        weights = torch.arange(count, 0, -1, dtype=torch.float32)
        weights[: self.first_codebook] = 0
        return weights

    def batch(self, rows: Sequence[MaskedRow]) -> MaskedBatch:
        """Rows padded to one length, on the model's device."""
        for row in rows:
            self._check(row)
        frames = [torch.cat([row.prompt.cpu(), row.target.cpu()], dim=1) for row in rows]
        prompts = torch.tensor([row.prompt.shape[1] for row in rows])
        condition, condition_mask = pad_right([row.condition.cpu() for row in rows])
        codes, frame_mask = pad_right([frame.T for frame in frames])
        places = torch.arange(frame_mask.shape[1])
        return MaskedBatch(
            condition=condition.to(self.device),
            condition_mask=condition_mask.to(self.device),
            codes=codes.transpose(1, 2).to(self.device),
            frame_mask=frame_mask.to(self.device),
            is_target=(frame_mask & (places >= prompts[:, None])).to(self.device),
        )

    def _check(self, row: MaskedRow) -> None:
        """Raise UserError unless the parts of the row fit together and the model."""
        codebooks, num_frames = len(row.prompt), row.prompt.shape[1] + row.target.shape[1]
        if (codebooks, len(row.target)) != (self.num_codebooks, self.num_codebooks):
            raise UserError(
                f"prompt and target must have {self.num_codebooks} codebooks, "
                f"but have {codebooks} and {len(row.target)}"
            )
        if row.target.shape[1] < 1:
            raise UserError("the target must have at least one frame, but has none")
        if self.condition_per_frame and len(row.condition) != num_frames:
            raise UserError(
                f"there must be a unit for each of {num_frames} frames of prompt and target, "
                f"but there are {len(row.condition)}"
            )

    def loss(
        self, batch: MaskedBatch, *, codebook: int | None = None, generator: torch.Generator
    ) -> Float[Tensor, ""]:
        """Mean cross-entropy of masked codes, nats a code.

        `generator` draws the codebook, unless it is given, and of each row how much of it is
        prompt, what is masked, and whether it goes without prompt. Where a row's prompt is said to
        end in `batch` does not matter.
        """
        if codebook is None:
            codebook = int(torch.multinomial(self.codebook_weights, 1, generator=generator))
        b, t = batch.frame_mask.shape
        draws = torch.rand(3, b, generator=generator, device=generator.device).to(self.device)
        lengths = batch.frame_mask.sum(1)
        least = (lengths // 4).clamp(max=5)
        most = torch.maximum((lengths * self.prompt_limit).long(), least + 1)
        conditional = draws[0] >= self.drop_rate
        prompts = ((least + draws[1] * (most - least)).long() * conditional).minimum(lengths - 1)
        places = torch.arange(t, device=self.device)
        batch = replace(batch, is_target=batch.frame_mask & (places >= prompts[:, None]))
        time = draws[2].clamp(min=1e-5)
        share = (time * math.pi / 2).sin().clamp(min=self.min_masked)
        chance = torch.rand(b, t, generator=generator, device=generator.device).to(self.device)
        chance = chance.masked_fill(~batch.is_target, math.inf)
        # The frame with the least chance is masked in any case: there is something to learn.
        is_masked = chance <= torch.maximum(share, chance.amin(dim=1))[:, None]
        is_masked = is_masked & batch.is_target
        hidden = self(batch, is_masked, time, codebook=codebook, conditional=conditional)
        wanted = batch.codes[:, codebook][is_masked]
        return F.cross_entropy(self.logits(hidden[is_masked], codebook), wanted)
