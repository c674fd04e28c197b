"""Stage 2: a transformer that sees both sides and fills the acoustic codebooks, lowest first.

One row is text (optional), then the prompt's frames with all codebooks, then the frames to fill:

    text | prompt: codebooks 0..7 | context: codebooks 0..7, target: codebooks 0..l-1 known
           <- before zero ->     <- utterance positions from zero ->

With codebooks below l known, every codebook from l up is predicted at once, each by its own head.
Training learns from all of them; generation keeps codebook l (or a group of codebooks) and goes on
with the next pass, so that each codebook sees the ones below (VALL-E's NAR stage, Wang et al.
2023).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, cast

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from uslm.models.base import AcousticBatch, AcousticRow, CodeModel, batch_rows
from uslm_tokenizer.errors import ConfigError
from uslm_tokenizer.nn.transformer import Transformer


@dataclass(frozen=True, kw_only=True)
class AcousticLMConfig:
    """Sizes of an AcousticLM."""

    text_vocab_size: int = 53
    """Text ids run from 0 to this, exclusive."""
    num_codebooks: int = 8
    """Codes in one frame; codebook 0 is the unit."""
    codebook_size: int = 1024
    """Entries of each codebook."""
    dim: int = 320
    """Width of the transformer."""
    num_heads: int = 5
    """Attention heads of each layer."""
    num_layers: int = 8
    """Layers."""
    codebook_dim: int = 64
    """Width of the embedding that tells which codebooks are known."""
    dropout: float = 0.1
    """Share of activations dropped in training."""
    frames_per_symbol: float = 3.4
    """Utterance positions that one text symbol counts for."""
    codebook_groups: tuple[int, ...] = (1, 1, 1, 1, 1, 1, 1)
    """Codebooks that each pass of generation fills; they add up to num_codebooks - 1."""
    condition_on_alignment: bool = False
    """Whether each frame is told which symbol is spoken in it, where that is known (VALL-E R)."""

    def __post_init__(self) -> None:
        groups, filled = list(self.codebook_groups), self.num_codebooks - 1
        if min(groups, default=0) < 1 or sum(groups) != filled:
            raise ConfigError(
                f"codebook_groups must be whole numbers above 0 that add up to {filled}, one less "
                f"than num_codebooks, but are {groups}"
            )


@dataclass
class CodebookLosses:
    """Mean cross-entropy by codebook, nats a code."""

    following: dict[int, Float[Tensor, ""]]
    """Of rows in which the codebook is the next to be filled."""
    ahead: dict[int, Float[Tensor, ""]]
    """Of rows in which codebooks below it are still open."""
    input_error: Float[Tensor, ""] | None = None
    """Squared error of the decoder's expected input, as a share of the input's variance."""


class AcousticLM(CodeModel):
    """Units and a voice -> codes of all codebooks."""

    model_type: ClassVar[str] = "acoustic_lm"
    config_class: ClassVar[type] = AcousticLMConfig
    config: AcousticLMConfig

    def __init__(self, config: AcousticLMConfig) -> None:
        super().__init__(config)
        size, dim = config.codebook_size, config.dim
        self.text_embedding = nn.Embedding(config.text_vocab_size, dim)
        # Of each codebook: its codes, and last a vector for "not known yet".
        self.code_embedding = nn.Embedding(config.num_codebooks * (size + 1), dim)
        self.stream_embedding = nn.Embedding(3, dim)
        self.codebook_embedding = nn.Embedding(config.num_codebooks, config.codebook_dim)
        self.transformer = Transformer(
            dim,
            config.num_heads,
            config.num_layers,
            dropout=config.dropout,
            condition_dim=config.codebook_dim,
        )
        self.to_logits = nn.ModuleList(
            nn.Linear(dim, size, bias=False) for _ in range(config.num_codebooks - 1)
        )
        for table in (self.text_embedding, self.code_embedding, self.stream_embedding):
            nn.init.normal_(table.weight, std=0.02)
        # The first: not known.
        self.spoken_embedding = (
            nn.Embedding(config.text_vocab_size + 1, dim) if config.condition_on_alignment else None
        )
        if self.spoken_embedding is not None:
            nn.init.normal_(self.spoken_embedding.weight, std=0.02)

    @property
    def num_codebooks(self) -> int:
        return self.config.num_codebooks

    @property
    def codebook_groups(self) -> tuple[int, ...]:
        return self.config.codebook_groups

    @classmethod
    def tiny_config(cls) -> AcousticLMConfig:
        return AcousticLMConfig(
            num_codebooks=4,
            codebook_size=32,
            dim=32,
            num_heads=2,
            num_layers=2,
            codebook_dim=8,
            dropout=0.0,
            codebook_groups=(1, 2),
        )

    def batch(self, rows: Sequence[AcousticRow]) -> AcousticBatch:
        return batch_rows(rows, self.device)

    def forward(self, batch: AcousticBatch, num_known: Int[Tensor, " b"]) -> Float[Tensor, "b t d"]:
        """Hidden state of each frame when target frames show their first `num_known` codebooks."""
        assert batch.frame_rows is None, "utterances of a packed row would share their codebooks"
        codebooks = torch.arange(self.num_codebooks, device=batch.codes.device)[:, None]
        size = self.config.codebook_size
        known = (codebooks < num_known[:, None, None]) | ~batch.is_target[:, None]
        shown = torch.where(known, batch.codes, size) + codebooks * (size + 1)
        stream = 1 + batch.is_target.long()
        frames = self.code_embedding(shown).sum(dim=1) + self.stream_embedding(stream)
        if self.spoken_embedding is not None:
            frames = frames + self.spoken_embedding(batch.spoken_ids + 1)
        text = self.text_embedding(batch.text_ids) + self.stream_embedding.weight[0]
        num_text = batch.text_ids.shape[1]
        text_positions = torch.arange(num_text, device=text.device) * self.config.frames_per_symbol
        hidden = self.transformer(
            torch.cat([text, frames], dim=1),
            torch.cat([text_positions.expand(len(text), -1), batch.positions], dim=1),
            mask=torch.cat([batch.text_mask, batch.frame_mask], dim=1)[:, None, None],
            condition=self.codebook_embedding(num_known),
        )
        return cast(Tensor, hidden[:, num_text:])

    def loss(
        self,
        batch: AcousticBatch,
        num_known: Int[Tensor, " b"],
        *,
        smoothing: float = 0.0,
        vectors: Float[Tensor, "codebooks v e"] | None = None,
    ) -> CodebookLosses:
        """Cross-entropy of every codebook that is not known, by codebook.

        With `vectors`, what the codes of codebooks 1 and up add to the decoder's input, also the
        error of the expected input.
        """
        hidden = self(batch, num_known)[batch.is_target]
        known = num_known[:, None].expand_as(batch.is_target)[batch.is_target]
        codes = batch.codes.transpose(1, 2)[batch.is_target]
        losses = CodebookLosses({}, {})
        expected, wanted = None, None
        for codebook in range(1, self.num_codebooks):
            rows = known <= codebook
            if not bool(rows.any()):
                continue
            logits, target = self.logits(hidden[rows], codebook), codes[rows, codebook]
            each = F.cross_entropy(logits, target, reduction="none", label_smoothing=smoothing)
            is_next = known[rows] == codebook
            for where, found in ((is_next, losses.following), (~is_next, losses.ahead)):
                if bool(where.any()):
                    found[codebook] = each[where].mean()
            if vectors is not None:
                table = vectors[codebook - 1]
                if expected is None or wanted is None:
                    expected = wanted = table.new_zeros(len(hidden), table.shape[1])
                place = rows.nonzero()[:, 0]
                spread = logits.softmax(dim=-1) @ table
                expected = expected.index_add(0, place, spread.float())
                wanted = wanted.index_add(0, place, table[target])
        if expected is not None and wanted is not None:
            losses.input_error = F.mse_loss(expected, wanted) / wanted.var(dim=0).mean()
        return losses

    def logits(self, hidden: Float[Tensor, "*any d"], codebook: int) -> Float[Tensor, "*any v"]:
        return cast(Tensor, self.to_logits[codebook - 1](hidden).float())
