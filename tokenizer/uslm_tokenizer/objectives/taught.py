"""Lessons of a codec beside its own reconstruction: a list of objectives, each with a weight.

    teacher_cosine  a level runs like the teacher's features, over time in each of their dimensions
                    (SpeechTokenizer, Zhang et al. 2023), or frame by frame (Mimi)
    language_cosine the same with the states of a language model that read what is said (DM-Codec,
                    Ahasan et al. 2024)
    pseudo_label    a level tells which of a teacher's k-means clusters a frame is in (HuBERT's
                    labels; the second kind of teacher in SpeechTokenizer)
    restoration     the features of the codec's own semantic branch come out of the codes again
                    (X-Codec, Ye et al. 2024)

The heads between a level and its teacher are trained along and not kept.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from uslm_tokenizer.base import CodecPass, TrainableCodec
from uslm_tokenizer.errors import ConfigError
from uslm_tokenizer.objectives.distillation import distillation_loss, frame_distillation_loss
from uslm_tokenizer.quantize import kmeans

MAX_FRAMES = 50_000
"""Frames that a teacher's clusters are fitted to."""


@dataclass(frozen=True, kw_only=True)
class TeacherCosine:
    """A level follows the teacher's features."""

    kind: Literal["teacher_cosine"]
    weight: float = 120.0
    """Beside the other losses; SpeechTokenizer's own."""
    level: int = 0
    """Which level of the quantizer, from 0."""
    axis: Literal["dimension", "frame"] = "dimension"
    """Along which the cosine is taken: over time, or over the dimensions of a frame."""
    similarity_weight: float = 1.0
    """axis "frame": weight of the direction beside the value."""


@dataclass(frozen=True, kw_only=True)
class LanguageCosine:
    """A level follows a language model's states of the words, over time in each dimension."""

    kind: Literal["language_cosine"]
    weight: float = 120.0
    """Beside the other losses; DM-Codec's own."""
    level: int = 0
    """Which level of the quantizer, from 0."""


@dataclass(frozen=True, kw_only=True)
class PseudoLabel:
    """A level tells the teacher's cluster of each frame."""

    kind: Literal["pseudo_label"]
    weight: float = 1.0
    """Beside the other losses."""
    level: int = 0
    """Which level of the quantizer, from 0."""
    num_labels: int = 500
    """Clusters of the teacher's features."""


@dataclass(frozen=True, kw_only=True)
class Restoration:
    """Mean squared error of the semantic branch's features, told from the codes."""

    kind: Literal["restoration"]
    weight: float = 1.0
    """Beside the other losses."""


Objective = TeacherCosine | LanguageCosine | PseudoLabel | Restoration


class TaughtCodec(nn.Module):
    """A codec with the heads of its objectives."""

    def __init__(
        self,
        codec: TrainableCodec,
        objectives: Sequence[Objective],
        teacher: Float[Tensor, "n e"] | None = None,
        *,
        language_dim: int | None = None,
        generator: torch.Generator | None = None,
    ) -> None:
        """`teacher`: some of its features, whose clusters become pseudo-labels. `language_dim`:
        width of the language model's states, where there is one.

        Raises ConfigError where an objective asks for what codec or teacher cannot give.
        """
        super().__init__()
        self.codec, self.objectives = codec, tuple(objectives)
        self.heads = nn.ModuleDict()
        width = codec.latent_dim
        for number, objective in enumerate(self.objectives):
            if isinstance(objective, Restoration):
                if getattr(codec, "branch", None) is None:
                    raise ConfigError("restoration needs a codec with a semantic branch")
                continue
            if isinstance(objective, LanguageCosine):
                if language_dim is None:
                    raise ConfigError("language_cosine needs a language model")
                self.heads[str(number)] = nn.Linear(width, language_dim)
                continue
            if teacher is None:
                raise ConfigError(f"{objective.kind} needs a teacher")
            if isinstance(objective, PseudoLabel):
                some = torch.randperm(len(teacher), generator=generator)[:MAX_FRAMES]
                centroids = kmeans.fit(
                    teacher[some], objective.num_labels, iterations=20, generator=generator
                )
                self.register_buffer(f"centroids{number}", centroids)
                self.heads[str(number)] = nn.Linear(width, objective.num_labels)
            elif not (objective.level == 0 and hasattr(codec, "project")):
                self.heads[str(number)] = nn.Linear(width, teacher.shape[1])
            elif (own := getattr(codec.config, "semantic_dim", None)) != teacher.shape[1]:
                raise ConfigError(
                    f"model.semantic_dim must be the teacher's width, {teacher.shape[1]}, but is "
                    f"{own}"
                )

    def forward(
        self,
        waveform: Float[Tensor, "b 1 n"],
        teacher: Float[Tensor, "b t e"] | None,
        generator: torch.Generator | None = None,
        *,
        language: Float[Tensor, "b t l"] | None = None,
    ) -> tuple[CodecPass, Mapping[str, Float[Tensor, ""]], Float[Tensor, ""]]:
        """The codec's pass, each objective's loss, and their weighted sum."""
        made: CodecPass = self.codec(waveform, generator)
        parts: dict[str, Tensor] = {}
        total = waveform.new_zeros((), dtype=torch.float32)
        for number, objective in enumerate(self.objectives):
            features = language if isinstance(objective, LanguageCosine) else teacher
            loss = self._loss(number, objective, made, features)
            name = objective.kind if objective.kind not in parts else f"{objective.kind}{number}"
            parts[name] = loss
            total = total + objective.weight * loss
        return made, parts, total

    def labels(self, number: int, teacher: Float[Tensor, "b t e"]) -> Int[Tensor, "b t"]:
        """The cluster of each of the teacher's frames, for objective `number`."""
        centroids: Any = getattr(self, f"centroids{number}")
        nearest = kmeans.nearest(teacher.flatten(0, 1).float(), centroids)[0]
        return nearest.view(teacher.shape[:2])

    def _loss(
        self,
        number: int,
        objective: Objective,
        made: CodecPass,
        teacher: Float[Tensor, "b t e"] | None,
    ) -> Float[Tensor, ""]:
        if isinstance(objective, Restoration):
            found: Any = made
            return F.mse_loss(found.restored.float(), found.features.float())
        assert teacher is not None
        level = level_of(made, objective.level)
        if isinstance(objective, PseudoLabel):
            scores = self.heads[str(number)](level.transpose(1, 2)).float()
            labels = self.labels(number, teacher)
            t = min(scores.shape[1], labels.shape[1])
            return F.cross_entropy(scores[:, :t].flatten(0, 1), labels[:, :t].flatten())
        own: Any = self.codec
        if str(number) in self.heads:
            features = self.heads[str(number)](level.transpose(1, 2))
        else:
            features = own.project(level)
        if isinstance(objective, LanguageCosine):
            return distillation_loss(features.float(), teacher)
        if objective.axis == "dimension":
            return distillation_loss(features.float(), teacher)
        return frame_distillation_loss(features.float(), teacher, objective.similarity_weight)


def level_of(made: CodecPass, level: int) -> Float[Tensor, "b d t"]:
    """Vectors that a level adds; of a quantizer without levels, all that it gives."""
    levels = made.quantized.levels or (made.quantized.latents,)
    if level >= len(levels):
        raise ConfigError(f"level must be below {len(levels)}, but is {level}")
    return levels[level]
