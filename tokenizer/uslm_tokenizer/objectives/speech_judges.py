"""Judges of speech: CTC of phonemes, and the cosine to a teacher's features."""

from dataclasses import dataclass
from typing import ClassVar

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from uslm_tokenizer.objectives.codes import ReaderConfig
from uslm_tokenizer.objectives.judged import References, Tokenized, UnitObjective, UnitReader


@dataclass(frozen=True, kw_only=True)
class CTCConfig(ReaderConfig):
    """A phoneme recogniser after the codes."""

    num_symbols: int = 53
    """Phoneme ids; 0 is the blank."""


class PhonemeCTC(UnitObjective):
    """CTC of the phonemes (Graves et al. 2006): the ASR loss of differentiable k-means."""

    is_judge: ClassVar[bool] = True
    counted = "texts"

    def __init__(self, config: CTCConfig, latent_dim: int) -> None:
        super().__init__()
        self.unit_reader = UnitReader(
            latent_dim,
            config.num_symbols,
            dim=config.dim,
            num_heads=config.num_heads,
            num_layers=config.num_layers,
        )

    def logits(self, made: Tokenized) -> Float[Tensor, "b t v"]:
        """Scores of the phonemes in each frame."""
        scores: Tensor = self.unit_reader(made.quantized.latents, made.mask)
        return scores

    def forward(self, made: Tokenized, references: References) -> Float[Tensor, ""]:
        texts, logits = references.phonemes, self.logits(made)
        # The head is in the graph also where no row has a text: other processes wait for it.
        if texts is None or not len(texts.rows):
            return 0.0 * logits.sum()
        return F.ctc_loss(
            logits[texts.rows].log_softmax(-1).transpose(0, 1),
            texts.ids,
            made.mask[texts.rows].sum(1),
            texts.lengths,
            zero_infinity=True,
        )


@dataclass(frozen=True, kw_only=True)
class TeacherConfig(ReaderConfig):
    """A teacher whose features are to be read from the codes."""

    teacher_dim: int = 512
    """Width of its features."""


class TeacherCosine(UnitObjective):
    """One minus the cosine to the teacher's features in each frame, as of SpeechTokenizer's kin."""

    is_judge: ClassVar[bool] = True

    def __init__(self, config: TeacherConfig, latent_dim: int) -> None:
        super().__init__()
        self.unit_reader = UnitReader(
            latent_dim,
            config.teacher_dim,
            dim=config.dim,
            num_heads=config.num_heads,
            num_layers=config.num_layers,
        )

    def forward(self, made: Tokenized, references: References) -> Float[Tensor, ""]:
        assert references.teacher is not None
        found = self.unit_reader(made.quantized.latents, made.mask)[made.mask]
        return 1 - F.cosine_similarity(found, references.teacher[made.mask], dim=-1).mean()
