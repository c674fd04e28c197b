"""Interface of a language model of speech and text: to score a sequence, and to go on."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from uslm.models.spans import Span
from uslm.models.teacher_forcing import TeacherForced
from uslm_tokenizer.hub import PretrainedModel
from uslm_tokenizer.weight_hash import check_made_for


@dataclass
class SpeechTextBatch(TeacherForced):
    """Sequences of tokens of all kinds in one table of ids, padded at the right."""

    tokens: Int[Tensor, "b l"]
    patches: Int[Tensor, "b l"]
    """The patch of each token in its row; -1 is padding."""
    targets: Int[Tensor, "b l"]
    """The token that follows, or NOT_PREDICTED."""
    is_speech: Bool[Tensor, "b l"]
    """Whether that is a token of speech."""


class SpeechLM(PretrainedModel, ABC):
    """Speech and text in one sequence, each kind after a mark of its own."""

    @property
    @abstractmethod
    def codebook_size(self) -> int:
        """Number of different units, of which speech is given and received."""

    @property
    def num_speech_tokens(self) -> int:
        """Number of different tokens of speech, the first ids: the units, and what is merged."""
        return self.codebook_size

    @property
    def tokenizer_hash(self) -> str:
        """Hash of the tokenizer whose units it was trained on; empty where nobody knows."""
        return ""

    def spell(self, tokens: Int[Tensor, " t"]) -> Int[Tensor, " n"]:
        """Units that tokens of speech stand for."""
        return tokens

    def check_tokenizer(self, *found: str) -> None:
        """UserError unless one of these is the hash of the tokenizer whose units it was trained
        on: a codec has one, and the units inside it another."""
        check_made_for("the language model", self.tokenizer_hash, *found)

    @property
    @abstractmethod
    def text_vocab_size(self) -> int:
        """Number of different text ids."""

    @property
    @abstractmethod
    def end_id(self) -> int:
        """The token that ends a sequence."""

    @abstractmethod
    def batch(
        self, rows: Sequence[Sequence[Span]], predict_from: Sequence[int] | None = None
    ) -> SpeechTextBatch:
        """Teacher-forced rows; the first `predict_from` spans of a row are read only.

        UserError for ids that the model has not, and for patches that do not cover their span.
        """

    @abstractmethod
    def token_losses(self, batch: SpeechTextBatch) -> Float[Tensor, "b l"]:
        """Negative log-likelihood of each target, nats; 0 where nothing is predicted."""

    def loss(self, batch: SpeechTextBatch) -> Float[Tensor, ""]:
        """Mean over the predicted tokens, nats a token."""
        count = (batch.targets >= 0).sum().clamp(min=1)
        return self.token_losses(batch).sum() / count

    @abstractmethod
    def begin(self, row: Sequence[Span], kind: Literal["speech", "text"]) -> tuple[Any, Tensor]:
        """Read a prompt, at whose end tokens of a kind are to come; a state for `step`, and the
        logits [v] of the first of them."""

    @abstractmethod
    def step(self, token: int, state: Any) -> Float[Tensor, " v"]:
        """Read one token more; logits of the next. The state goes on in place."""

    @abstractmethod
    def forward_flops(self, num_tokens: int, num_patches: int) -> float:
        """Multiply-adds times two of one row read once."""

    @classmethod
    @abstractmethod
    def tiny_config(cls) -> Any:
        """A config that builds in milliseconds, for tests and examples."""


@torch.no_grad()
def sequence_nll(model: SpeechLM, rows: Sequence[Sequence[Span]]) -> Float[Tensor, " b"]:
    """Of each row, what its last span costs after those before it, nats in all."""
    before = [len(row) - 1 for row in rows]
    return model.token_losses(model.batch(rows, before)).sum(1)
