"""Stage 2 of VALL-E (Wang et al. 2023, arXiv 2301.02111) and USLM: the other codebooks, one a pass.

    text | prompt frames, frames to fill       each frame is the sum of what is known of it
    0 1 2  0 1 2 ... p p+1 p+2 ...             positions

Adaptive norms tell the transformer which codebook it is to fill.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal, cast

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from uslm.models.base import AcousticBatch, AcousticRow, CodeModel, batch_rows
from uslm.systems.valle.inputs import AudioPrenet, TextInput
from uslm_tokenizer.nn.relu_transformer import ReLUTransformer, SinePositions


@dataclass(frozen=True, kw_only=True)
class ValleNARConfig:
    """Sizes of a ValleNAR; the defaults are those of the published USLM."""

    text_vocab_size: int = 511
    """Text ids run from 0 to this, exclusive; one more is added for a separator."""
    num_codebooks: int = 8
    """Codes in one frame; codebook 0 is the unit."""
    codebook_size: int = 1024
    """Entries of each codebook."""
    dim: int = 1024
    """Width of the transformer."""
    num_heads: int = 16
    """Attention heads of each layer."""
    num_layers: int = 12
    """Layers."""
    dropout: float = 0.1
    """Share of activations dropped in training."""
    norm_first: bool = True
    """Whether layers normalise what goes in, rather than what comes out."""
    prefix_mode: Literal[0, 1, 2, 4] = 0
    """How the model was taught to see a prompt. 0: a prompt frame shows the codebooks that the
    other frames show; 1: it shows all codebooks; 2 and 4: so too, and the prompt's text is not
    read."""
    tied_heads: bool = True
    """Whether the scores of a codebook use the embeddings of the codebook above it."""
    prenet: bool = False
    """Whether small networks stand between the embeddings and the transformer."""
    prenet_sees_padding: bool = False
    """As in `ValleARConfig`."""


class ValleNAR(CodeModel):
    """Units and a voice -> codes of all codebooks."""

    model_type: ClassVar[str] = "valle_nar"
    config_class: ClassVar[type] = ValleNARConfig
    config: ValleNARConfig

    def __init__(self, config: ValleNARConfig) -> None:
        super().__init__(config)
        dim, size, codebooks = config.dim, config.codebook_size, config.num_codebooks
        assert codebooks >= 2
        self.text = TextInput(
            config.text_vocab_size + 1,
            dim,
            prenet=config.prenet,
            sees_padding=config.prenet_sees_padding,
            learnt_positions=False,
        )
        # Of each codebook its codes; codebook 0 has one more, for padding.
        self.code_embedding = nn.Embedding(1 + codebooks * size, dim)
        self.codebook_embedding = nn.Embedding(codebooks - 1, dim)
        self.prenet = AudioPrenet(dim) if config.prenet else nn.Identity()
        self.frame_positions = SinePositions(dim, config.dropout, learnt=False)
        self.transformer = ReLUTransformer(
            dim,
            config.num_heads,
            config.num_layers,
            dropout=config.dropout,
            condition_dim=dim,
            norm_first=config.norm_first,
        )
        self.heads = nn.ModuleList(nn.Linear(dim, size, bias=False) for _ in untied(config))

    @property
    def num_codebooks(self) -> int:
        return self.config.num_codebooks

    @property
    def codebook_groups(self) -> tuple[int, ...]:
        return (1,) * (self.num_codebooks - 1)

    @classmethod
    def tiny_config(cls) -> ValleNARConfig:
        return ValleNARConfig(
            text_vocab_size=53,
            num_codebooks=4,
            codebook_size=32,
            dim=32,
            num_heads=2,
            num_layers=2,
            dropout=0.0,
            prefix_mode=1,
        )

    def batch(self, rows: Sequence[AcousticRow]) -> AcousticBatch:
        """Rows padded to one length; the utterance goes on where the prompt ends."""
        batch = batch_rows(rows, self.device)
        for i, row in enumerate(rows):
            num_prompt = row.prompt.shape[1]
            places = torch.arange(batch.positions.shape[1], dtype=torch.float32)
            places[num_prompt:] += row.start
            batch.positions[i] = places
        return batch

    def forward(self, batch: AcousticBatch, num_known: Int[Tensor, " b"]) -> Float[Tensor, "b t d"]:
        """Hidden state of each frame when target frames show their first `num_known` codebooks."""
        text = self.text(batch.text_ids, batch.text_mask)
        frames = self.frame_positions(self.prenet(self._sum(batch, num_known)), batch.positions)
        x = torch.cat([text, frames], dim=1)
        mask = torch.cat([batch.text_mask, batch.frame_mask], dim=1)[:, None, None]
        positions = torch.arange(x.shape[1], device=x.device).expand(len(x), -1)
        condition = self.codebook_embedding(num_known - 1)
        hidden = self.transformer(x, positions, mask=mask, condition=condition)
        return cast(Tensor, hidden[:, text.shape[1] :])

    def logits(self, hidden: Float[Tensor, "*any d"], codebook: int) -> Float[Tensor, "*any v"]:
        own = untied(self.config)
        if codebook in own:
            return cast(Tensor, self.heads[own.index(codebook)](hidden).float())
        start = 1 + (codebook + 1) * self.config.codebook_size
        weight = self.code_embedding.weight[start : start + self.config.codebook_size]
        return F.linear(hidden, weight).float()

    def pretrained_loss(self, batch: AcousticBatch, codebook: int) -> Float[Tensor, ""]:
        """The sum that the published code makes small for one codebook: in prefix mode 1, where the
        first frames serve as prompt, the others weigh as much as all would."""
        known = torch.full((len(batch.codes),), codebook, device=batch.codes.device)
        logits = self.logits(self(batch, known)[batch.is_target], codebook)
        targets = batch.codes[:, codebook][batch.is_target]
        loss = F.cross_entropy(logits, targets, reduction="sum")
        if self.config.prefix_mode != 1:
            return loss
        return loss * (batch.frame_mask.sum() / batch.is_target.sum())

    def _sum(self, batch: AcousticBatch, num_known: Int[Tensor, " b"]) -> Float[Tensor, "b t d"]:
        """Each frame as the sum of the codebooks that it shows."""
        codebooks = torch.arange(self.num_codebooks, device=batch.codes.device)[:, None]
        known = (codebooks < num_known[:, None, None]).expand_as(batch.codes)
        if self.config.prefix_mode != 0:
            known = known | ~batch.is_target[:, None]
        rows = batch.codes + (1 + codebooks * self.config.codebook_size).masked_fill(
            codebooks == 0, 0
        )
        vectors = self.code_embedding(rows)
        return cast(Tensor, (vectors * known[..., None]).sum(dim=1))


def untied(config: ValleNARConfig) -> list[int]:
    """Codebooks whose scores have weights of their own."""
    last = config.num_codebooks - 1
    return [last] if config.tied_heads else list(range(1, last + 1))
