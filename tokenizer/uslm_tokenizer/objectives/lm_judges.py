"""Judges that are a frozen language model: how likely the units are, and what can be answered.

LAST (Turetzky & Adi 2024, arXiv 2409.03701): the next-token loss of the units, through a frozen
text LM. USTokenizer (DualSpeechLM, arXiv 2508.08961): the loss of a text that answers a question
about the speech. Speech has embeddings and a head of its own beside those of the text, which stay
as they are: what the LM knew of text it still knows.
"""

from dataclasses import dataclass
from typing import ClassVar

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from uslm_tokenizer.errors import ConfigError
from uslm_tokenizer.nn.padding import length_mask
from uslm_tokenizer.objectives.frozen_lm import FrozenLM
from uslm_tokenizer.objectives.judged import References, Tokenized, UnitObjective


@dataclass(frozen=True, kw_only=True)
class LikelihoodConfig:
    """A language model that predicts the units."""

    weight: float = 1.0
    """Of the loss in the sum."""
    after_text: bool = False
    """Whether a row that has a text is predicted after it: speech and text in one sequence."""


@dataclass(frozen=True, kw_only=True)
class AnswerConfig:
    """A language model that answers a question about the speech by its text."""

    weight: float = 1.0
    """Of the loss in the sum."""
    question: str = "What was said?"
    """Stands between the speech and the answer."""


class SpeechInput(nn.Module):
    """Quantized latents as embeddings of the language model, of the size of those of text."""

    def __init__(self, latent_dim: int, judge: FrozenLM) -> None:
        super().__init__()
        self.project = nn.Linear(latent_dim, judge.dim)
        self.scale = judge.scale
        self.start = nn.Parameter(judge.scale * torch.randn(judge.dim))

    def forward(self, latents: Float[Tensor, "b d t"]) -> Float[Tensor, "b t+1 e"]:
        """A mark of the beginning, then a vector for each frame."""
        frames = self.project(latents.transpose(1, 2).to(self.project.weight.dtype)).float()
        frames = self.scale * F.layer_norm(frames, frames.shape[-1:])
        start = self.start.expand(len(frames), 1, -1)
        return torch.cat([start, frames], dim=1)


class UnitLikelihood(UnitObjective):
    """Cross-entropy of the next unit through the frozen LM, nats a unit; of one codebook."""

    is_judge: ClassVar[bool] = True

    def __init__(
        self, config: LikelihoodConfig, latent_dim: int, codebook_size: int, judge: FrozenLM
    ) -> None:
        super().__init__()
        self.config, self.judge = config, judge
        self.speech = SpeechInput(latent_dim, judge)
        self.head = nn.Linear(judge.dim, codebook_size)

    def scores(self, made: Tokenized, references: References) -> Float[Tensor, "b t v"]:
        """Logits of each unit from the units before it (and the text before them)."""
        inputs = self.speech(made.quantized.latents)[:, :-1]
        mask = made.mask
        prefix = 0
        if self.config.after_text and references.judge_texts is not None:
            texts = references.judge_texts
            prefix = texts.ids.shape[1]
            embedded = inputs.new_zeros(len(inputs), prefix, inputs.shape[-1])
            seen = torch.zeros(len(inputs), prefix, dtype=torch.bool, device=inputs.device)
            embedded[texts.rows] = self.judge.embed(texts.ids)
            seen[texts.rows] = length_mask(texts.lengths, prefix)
            inputs = torch.cat([embedded, inputs], dim=1)
            mask = torch.cat([seen, mask], dim=1)
        hidden = self.judge.hidden(inputs, mask)[:, prefix:]
        logits: Tensor = self.head(hidden)
        return logits

    def forward(self, made: Tokenized, references: References) -> Float[Tensor, ""]:
        logits = self.scores(made, references)[made.mask]
        return F.cross_entropy(logits, made.quantized.codes[:, 0][made.mask])


class Answer(UnitObjective):
    """Cross-entropy of the text after the speech and a question, nats a text token.

    START speech ... question | answer
    """

    is_judge: ClassVar[bool] = True
    counted = "texts"
    question: Tensor

    def __init__(self, config: AnswerConfig, latent_dim: int, judge: FrozenLM) -> None:
        super().__init__()
        self.judge = judge
        self.speech = SpeechInput(latent_dim, judge)
        question = judge.text_ids(config.question)
        if not len(question):
            raise ConfigError("question must not be empty: the answer begins after its last token")
        self.register_buffer("question", question, persistent=False)

    def forward(self, made: Tokenized, references: References) -> Float[Tensor, ""]:
        texts = references.judge_texts
        speech: Tensor = self.speech(made.quantized.latents)
        if texts is None or not len(texts.rows):
            return 0.0 * speech.sum()
        losses = [
            self._of_row(speech[row, : int(made.mask[row].sum()) + 1], ids[:length])
            for row, ids, length in zip(
                texts.rows.tolist(), texts.ids, texts.lengths.tolist(), strict=True
            )
        ]
        return torch.cat(losses).mean()

    def _of_row(
        self, speech: Float[Tensor, "t e"], answer: Int[Tensor, " s"]
    ) -> Float[Tensor, " s"]:
        question: Tensor = self.question
        text = torch.cat([question, answer])[None]
        inputs = torch.cat([speech[None], self.judge.embed(text)], dim=1)[:, :-1]
        mask = torch.ones(inputs.shape[:2], dtype=torch.bool, device=inputs.device)
        hidden = self.judge.hidden(inputs, mask)[0, -len(answer) :]
        return F.cross_entropy(self.judge.text_logits(hidden), answer, reduction="none")
