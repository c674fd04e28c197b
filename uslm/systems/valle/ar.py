"""Stage 1 of VALL-E (Wang et al. 2023, arXiv 2301.02111) and USLM: a decoder over text and units.

    prompt text, text | (BOS) prompt units, units END
    <- sees itself  -> <- sees the text and its past ->

Text sees both sides of itself; text and audio each count their positions from zero.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, cast

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from uslm.models.base import SemanticModel
from uslm.models.teacher_forcing import NOT_PREDICTED, TeacherForced
from uslm.systems.valle.inputs import AudioPrenet, TextInput
from uslm_tokenizer.nn.attention import KVCache
from uslm_tokenizer.nn.padding import pad_right
from uslm_tokenizer.nn.relu_transformer import ReLUTransformer, SinePositions


@dataclass(frozen=True, kw_only=True)
class ValleARConfig:
    """Sizes of a ValleAR; the defaults are those of the published USLM."""

    text_vocab_size: int = 511
    """Text ids run from 0 to this, exclusive; one more is added for a separator."""
    codebook_size: int = 1024
    """Number of different units."""
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
    prepend_bos: bool = False
    """Whether a BOS token stands before the first unit; without it there must be a prompt."""
    prenet: bool = False
    """Whether small networks stand between the embeddings and the transformer."""
    prenet_sees_padding: bool = False
    """Whether the text's prenet takes padding for symbols, as the published code does. A row then
    depends on the rows beside it; for comparing with the original only."""


@dataclass
class ValleBatch(TeacherForced):
    """Text, and apart from it units."""

    text_ids: Int[Tensor, "b s"]
    text_mask: Bool[Tensor, "b s"]
    units: Int[Tensor, "b t"]
    """What is read, the BOS token among it."""
    unit_mask: Bool[Tensor, "b t"]
    targets: Int[Tensor, "b t"]
    """The unit that follows, or NOT_PREDICTED."""


class ValleAR(SemanticModel):
    """Phonemes (and a prompt) -> units."""

    model_type: ClassVar[str] = "valle_ar"
    config_class: ClassVar[type] = ValleARConfig
    config: ValleARConfig

    def __init__(self, config: ValleARConfig) -> None:
        super().__init__(config)
        dim, size = config.dim, config.codebook_size
        self.text = TextInput(
            config.text_vocab_size + 1,
            dim,
            prenet=config.prenet,
            sees_padding=config.prenet_sees_padding,
            dropout=config.dropout,
        )
        self.unit_embedding = nn.Embedding(size + 1 + config.prepend_bos, dim)
        self.prenet = AudioPrenet(dim) if config.prenet else nn.Identity()
        self.unit_positions = SinePositions(dim, config.dropout)
        self.transformer = ReLUTransformer(
            dim,
            config.num_heads,
            config.num_layers,
            dropout=config.dropout,
            norm_first=config.norm_first,
        )
        self.to_logits = nn.Linear(dim, size + 1, bias=False)

    @property
    def codebook_size(self) -> int:
        return self.config.codebook_size

    @property
    def separator_id(self) -> int:
        """The pretrained models read prompt and text as one, and do without."""
        return self.config.text_vocab_size

    @property
    def end_id(self) -> int:
        """Unit id of padding; as a prediction, the same index ends the speech."""
        return self.config.codebook_size

    @classmethod
    def tiny_config(cls) -> ValleARConfig:
        return ValleARConfig(
            text_vocab_size=53,
            codebook_size=32,
            dim=32,
            num_heads=2,
            num_layers=2,
            dropout=0.0,
            prepend_bos=True,
        )

    def batch(
        self,
        text_ids: Sequence[Int[Tensor, " _"]],
        units: Sequence[Int[Tensor, " _"]],
        *,
        starts: Sequence[Int[Tensor, " _"]] | None = None,
        predict_from: Sequence[int] | None = None,
    ) -> ValleBatch:
        bos = self.config.prepend_bos
        inputs = [self._with_start(row) for row in units]
        targets = [F.pad(row.cpu()[not bos :], (0, 1), value=self.end_id) for row in units]
        for target, first in zip(targets, predict_from or (), strict=False):
            target[: max(0, first - (not bos))] = NOT_PREDICTED
        text, text_mask = pad_right([ids.cpu() for ids in text_ids])
        read, unit_mask = pad_right(inputs, self.end_id)
        wanted, _ = pad_right(targets, NOT_PREDICTED)
        return ValleBatch(text, text_mask, read, unit_mask, wanted)

    def forward(self, batch: ValleBatch) -> Float[Tensor, "b t v"]:
        """Logits after every unit that is read."""
        places = torch.arange(batch.units.shape[1], device=batch.units.device)[None]
        x = torch.cat(
            [self.text(batch.text_ids, batch.text_mask), self._audio(batch.units, places)], dim=1
        )
        num_text, length = batch.text_ids.shape[1], x.shape[1]
        order = torch.ones(length, length, dtype=torch.bool, device=x.device).tril()
        order[:, :num_text] = True
        valid = torch.cat([batch.text_mask, batch.unit_mask], dim=1)[:, None, None]
        positions = torch.arange(length, device=x.device).expand(len(x), -1)
        hidden = self.transformer(x, positions, mask=order & valid)
        return cast(Tensor, self.to_logits(hidden[:, num_text:]).float())

    def loss(self, batch: ValleBatch) -> Float[Tensor, ""]:
        """Mean cross-entropy, nats a unit."""
        logits = self(batch)
        return F.cross_entropy(logits.transpose(1, 2), batch.targets, ignore_index=NOT_PREDICTED)

    def pretrained_loss(self, batch: ValleBatch) -> Float[Tensor, ""]:
        """The sum that the published code makes small; it takes padding for EOS tokens to predict,
        so that a row weighs more the shorter it is."""
        targets = batch.targets.masked_fill(~batch.unit_mask, self.end_id)
        return F.cross_entropy(self(batch).transpose(1, 2), targets, reduction="sum")

    def new_cache(self, batch_size: int, capacity: int) -> KVCache:
        return self.transformer.new_cache(batch_size, capacity)

    @torch.no_grad()
    def prefill(
        self,
        text_ids: Sequence[Int[Tensor, " _"]],
        prompt_units: Sequence[Int[Tensor, " _"]],
        cache: KVCache,
    ) -> Float[Tensor, "b v"]:
        assert cache.length == 0
        texts = [ids.cpu() for ids in text_ids]
        text, text_mask = (part.to(self.device) for part in pad_right(texts))
        rows = [self._with_start(units) for units in prompt_units]
        units, unit_mask = (part.to(self.device) for part in pad_right(rows, self.end_id))
        places = torch.arange(units.shape[1], device=self.device)[None]
        x = torch.cat([self.text(text, text_mask), self._audio(units, places)], dim=1)
        valid = torch.cat([text_mask, unit_mask], dim=1)
        is_text = torch.arange(x.shape[1], device=self.device) < text.shape[1]
        # All rows must end at one place: what is padding goes to the left, the rest stays in order.
        order = valid.long().argsort(dim=1, stable=True)[:, -int(valid.sum(dim=1).max()) :]
        x = x.gather(1, order[..., None].expand(-1, -1, x.shape[2]))
        valid = valid.gather(1, order)
        positions = torch.arange(x.shape[1], device=self.device).expand(len(x), -1)
        hidden = self.transformer.extend(x, positions, cache, valid, is_text[order] & valid)
        cache.positions = unit_mask.sum(dim=1).float()
        return cast(Tensor, self.to_logits(hidden[:, -1]).float())

    @torch.no_grad()
    def step(self, units: Int[Tensor, " b"], cache: KVCache) -> Float[Tensor, "b v"]:
        assert cache.positions is not None, "prefill comes before step"
        places = cache.positions[:, None]
        hidden = self.transformer.extend(self._audio(units[:, None], places), places, cache)
        cache.positions = cache.positions + 1
        return cast(Tensor, self.to_logits(hidden[:, 0]).float())

    def _with_start(self, units: Int[Tensor, " t"]) -> Int[Tensor, " _"]:
        if not self.config.prepend_bos:
            return units.cpu()
        return F.pad(units.cpu(), (1, 0), value=self.config.codebook_size + 1)

    def _audio(
        self, units: Int[Tensor, "b t"], places: Float[Tensor, "#b t"] | Int[Tensor, "#b t"]
    ) -> Float[Tensor, "b t d"]:
        return cast(Tensor, self.unit_positions(self.prenet(self.unit_embedding(units)), places))
