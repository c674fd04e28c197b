"""The one list of objectives that unit tokenizers are trained on: which, and how much each."""

from dataclasses import dataclass
from typing import Literal, cast

import torch
from jaxtyping import Float
from torch import Tensor, nn

from uslm_tokenizer.errors import ConfigError
from uslm_tokenizer.objectives.codes import (
    Commitment,
    Diversity,
    ReaderConfig,
    Reconstruction,
)
from uslm_tokenizer.objectives.frozen_lm import FrozenLM
from uslm_tokenizer.objectives.judged import References, Tokenized, UnitObjective
from uslm_tokenizer.objectives.lm_judges import (
    Answer,
    AnswerConfig,
    LikelihoodConfig,
    UnitLikelihood,
)
from uslm_tokenizer.objectives.speech_judges import (
    CTCConfig,
    PhonemeCTC,
    TeacherConfig,
    TeacherCosine,
)


@dataclass(frozen=True, kw_only=True)
class ObjectivesConfig:
    """Objectives by their configs; one that is null is not there."""

    reconstruction: ReaderConfig | None = None
    """Of the encoder's features, from the codes."""
    ctc: CTCConfig | None = None
    """Of the phonemes, from the codes: differentiable k-means."""
    teacher: TeacherConfig | None = None
    """Another encoder's features, from the codes."""
    likelihood: LikelihoodConfig | None = None
    """Of the units, by a frozen language model: LAST."""
    answer: AnswerConfig | None = None
    """Of the text, by a frozen language model that reads the units: USTokenizer."""
    commitment: float = 0.0
    """Weight of the quantizer's own loss."""
    diversity: float = 0.0
    """Weight of what the use of the codes lacks of the most even one."""
    diversity_temperature: float = 1.0
    """Of the soft assignment whose evenness counts."""

    def __post_init__(self) -> None:
        parts = (self.reconstruction, self.ctc, self.teacher, self.likelihood, self.answer)
        weights = [self.commitment, self.diversity, *(p.weight for p in parts if p is not None)]
        if min(weights) < 0:
            raise ConfigError(f"weights of objectives must not be negative, but are {weights}")
        if all(part is None for part in parts):
            raise ConfigError(
                "objectives must hold one of reconstruction, ctc, teacher, likelihood, answer"
            )

    @property
    def needs_judge(self) -> bool:
        """Whether a language model is among them."""
        return self.likelihood is not None or self.answer is not None

    @property
    def needs_judge_texts(self) -> bool:
        """Whether texts in the tokens of the language model are."""
        after_text = self.likelihood is not None and self.likelihood.after_text
        return after_text or self.answer is not None


@dataclass
class Found:
    """The losses of a batch."""

    losses: dict[str, Float[Tensor, ""]]
    """By name, without their weights."""
    weights: dict[str, float]
    counted: dict[str, Literal["frames", "texts"]]

    def total(self, **scales: float) -> Float[Tensor, ""]:
        """The weighted sum; `scales` by what the losses are means over."""
        parts = [
            scales.get(self.counted[name], 1.0) * self.weights[name] * loss
            for name, loss in self.losses.items()
        ]
        return torch.stack(parts).sum()


class ObjectiveList(nn.Module):
    """The objectives of a config around one quantizer."""

    def __init__(
        self,
        config: ObjectivesConfig,
        *,
        latent_dim: int,
        feature_dim: int,
        codebook_size: int,
        judge: FrozenLM | None = None,
        cut: bool = False,
    ) -> None:
        """`cut` keeps the gradient of judges from the tokenizer: a control."""
        super().__init__()
        if config.needs_judge and judge is None:
            raise ConfigError("likelihood and answer need a language model, but there is none")
        self.config, self.cut = config, cut
        found: dict[str, tuple[float, UnitObjective]] = {}
        if config.reconstruction is not None:
            made = Reconstruction(config.reconstruction, latent_dim, feature_dim)
            found["reconstruction"] = (config.reconstruction.weight, made)
        if config.ctc is not None:
            found["ctc"] = (config.ctc.weight, PhonemeCTC(config.ctc, latent_dim))
        if config.teacher is not None:
            found["teacher"] = (config.teacher.weight, TeacherCosine(config.teacher, latent_dim))
        if config.likelihood is not None and judge is not None:
            likelihood = UnitLikelihood(config.likelihood, latent_dim, codebook_size, judge)
            found["likelihood"] = (config.likelihood.weight, likelihood)
        if config.answer is not None and judge is not None:
            found["answer"] = (config.answer.weight, Answer(config.answer, latent_dim, judge))
        if config.commitment:
            found["commitment"] = (config.commitment, Commitment())
        if config.diversity:
            found["diversity"] = (config.diversity, Diversity(config.diversity_temperature))
        self.weights = {name: weight for name, (weight, _) in found.items()}
        self.parts = nn.ModuleDict({name: part for name, (_, part) in found.items()})

    def __getitem__(self, name: str) -> UnitObjective:
        return cast(UnitObjective, self.parts[name])

    def forward(self, made: Tokenized, references: References, *, judges: bool = True) -> Found:
        """Every loss of a batch; or, while there is no codebook to be judged, the others'."""
        judged = made.cut() if self.cut else made
        losses = {
            name: self[name](judged if self[name].is_judge else made, references)
            for name in self.weights
            if judges or not self[name].is_judge
        }
        return Found(losses, self.weights, {name: self[name].counted for name in losses})
