"""MaskGCT's two stages (Wang et al. 2025, section 3.2): phonemes -> units -> codes.

    T2S   phonemes | prompt's units, target's units        one codebook
    S2A   prompt's codes, target's codes                   codebook by codebook
          + units of prompt and target

Both are a LLaMA that sees both sides and knows how much is masked.
"""

from dataclasses import dataclass
from typing import ClassVar, cast

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from uslm.models.masked import MaskedBatch, MaskedModel
from uslm_tokenizer.errors import ConfigError
from uslm_tokenizer.nn.llama import DiffusionLlama


@dataclass(frozen=True, kw_only=True)
class MaskGCTTextToSemanticConfig:
    """Sizes of a MaskGCTTextToSemantic."""

    num_phones: int = 1024
    """Phoneme ids run from 0 to this, exclusive."""
    codebook_size: int = 8192
    """Number of different units."""
    dim: int = 1536
    """Width of the transformer."""
    num_heads: int = 16
    """Attention heads of each layer."""
    num_layers: int = 16
    """Layers."""
    drop_rate: float = 0.15
    """Share of training rows without phonemes and prompt, for guidance."""


class MaskGCTTextToSemantic(MaskedModel):
    """Stage 1: phonemes of prompt and target, units of the prompt -> units of the target."""

    model_type: ClassVar[str] = "maskgct_t2s"
    config_class: ClassVar[type] = MaskGCTTextToSemanticConfig
    config: MaskGCTTextToSemanticConfig
    condition_per_frame: ClassVar[bool] = False
    prompt_limit: ClassVar[float] = 0.4
    min_masked: ClassVar[float] = 0.2

    def __init__(self, config: MaskGCTTextToSemanticConfig) -> None:
        super().__init__(config)
        self.phone_embedding = nn.Embedding(config.num_phones, config.dim)
        self.unit_embedding = nn.Embedding(config.codebook_size, config.dim)
        self.mask_embedding = nn.Embedding(1, config.dim)
        self.estimator = DiffusionLlama(config.dim, config.num_heads, config.num_layers)
        self.to_logits = nn.Linear(config.dim, config.codebook_size)
        _initialize(self)

    @property
    def num_codebooks(self) -> int:
        return 1

    @property
    def codebook_size(self) -> int:
        return self.config.codebook_size

    @property
    def first_codebook(self) -> int:
        return 0

    @property
    def drop_rate(self) -> float:
        return self.config.drop_rate

    @classmethod
    def tiny_config(cls) -> MaskGCTTextToSemanticConfig:
        return MaskGCTTextToSemanticConfig(
            num_phones=32, codebook_size=32, dim=32, num_heads=2, num_layers=2
        )

    def forward(
        self,
        batch: MaskedBatch,
        is_masked: Bool[Tensor, "b t"],
        time: Float[Tensor, " b"] | float,
        *,
        codebook: int = 0,
        conditional: Bool[Tensor, " b"] | None = None,
    ) -> Float[Tensor, "b t d"]:
        """Rows that are not `conditional` do without phonemes, too."""
        if conditional is None:
            conditional = torch.ones_like(is_masked[:, 0])
        units = self.unit_embedding(batch.codes[:, 0])
        frames = torch.where(is_masked[..., None], self.mask_embedding.weight, units)
        # A row's frames follow its own last phoneme; without phonemes the target begins at zero.
        offsets = torch.where(conditional, batch.condition_mask.sum(1), -batch.prompt_lengths)
        return cast(
            Tensor,
            self.estimator(
                frames,
                time,
                prefix=self.phone_embedding(batch.condition),
                prefix_mask=batch.condition_mask & conditional[:, None],
                mask=batch.frame_mask & (batch.is_target | conditional[:, None]),
                offsets=offsets,
            ),
        )

    def logits(self, hidden: Float[Tensor, "*any d"], codebook: int = 0) -> Float[Tensor, "*any v"]:
        return cast(Tensor, self.to_logits(hidden.to(self.dtype)).float())


@dataclass(frozen=True, kw_only=True)
class MaskGCTSemanticToAcousticConfig:
    """Sizes of a MaskGCTSemanticToAcoustic."""

    num_units: int = 8192
    """Number of different units."""
    num_codebooks: int = 12
    """Codes in one frame; the published first model knows only the first of them."""
    first_codebook: int = 1
    """The lowest codebook that is filled."""
    codebook_size: int = 1024
    """Entries of each codebook."""
    dim: int = 1024
    """Width of the transformer."""
    num_heads: int = 16
    """Attention heads of each layer."""
    num_layers: int = 16
    """Layers."""
    drop_rate: float = 0.15
    """Share of training rows without prompt, for guidance."""

    def __post_init__(self) -> None:
        if not 0 <= self.first_codebook < self.num_codebooks:
            raise ConfigError(
                f"first_codebook must be from 0 to {self.num_codebooks - 1}, "
                f"but is {self.first_codebook}"
            )


class MaskGCTSemanticToAcoustic(MaskedModel):
    """Stage 2: units of prompt and target, codes of the prompt -> codes of the target."""

    model_type: ClassVar[str] = "maskgct_s2a"
    config_class: ClassVar[type] = MaskGCTSemanticToAcousticConfig
    config: MaskGCTSemanticToAcousticConfig
    condition_per_frame: ClassVar[bool] = True
    prompt_limit: ClassVar[float] = 0.5
    min_masked: ClassVar[float] = 0.0

    def __init__(self, config: MaskGCTSemanticToAcousticConfig) -> None:
        super().__init__(config)
        dim, size, count = config.dim, config.codebook_size, config.num_codebooks
        self.unit_embedding = nn.Embedding(config.num_units, dim)
        self.codebook_embedding = nn.Embedding(count, dim)
        self.mask_embedding = nn.Embedding(1, dim)
        self.code_embeddings = nn.ModuleList(nn.Embedding(size, dim) for _ in range(count))
        self.estimator = DiffusionLlama(dim, config.num_heads, config.num_layers)
        self.to_logits = nn.ModuleList(nn.Linear(dim, size) for _ in range(count))
        _initialize(self)

    @property
    def num_codebooks(self) -> int:
        return self.config.num_codebooks

    @property
    def codebook_size(self) -> int:
        return self.config.codebook_size

    @property
    def first_codebook(self) -> int:
        return self.config.first_codebook

    @property
    def drop_rate(self) -> float:
        return self.config.drop_rate

    @classmethod
    def tiny_config(cls) -> MaskGCTSemanticToAcousticConfig:
        return MaskGCTSemanticToAcousticConfig(
            num_units=32,
            num_codebooks=3,
            codebook_size=32,
            dim=32,
            num_heads=2,
            num_layers=2,
        )

    def forward(
        self,
        batch: MaskedBatch,
        is_masked: Bool[Tensor, "b t"],
        time: Float[Tensor, " b"] | float,
        *,
        codebook: int = 0,
        conditional: Bool[Tensor, " b"] | None = None,
    ) -> Float[Tensor, "b t d"]:
        if conditional is None:
            conditional = torch.ones_like(is_masked[:, 0])
        return cast(
            Tensor,
            self.estimator(
                self._frames(batch, is_masked, codebook),
                time,
                condition=self.unit_embedding(batch.condition)
                + self.codebook_embedding.weight[codebook],
                mask=batch.frame_mask & (batch.is_target | conditional[:, None]),
                offsets=torch.where(conditional, 0, -batch.prompt_lengths),
            ),
        )

    def logits(self, hidden: Float[Tensor, "*any d"], codebook: int) -> Float[Tensor, "*any v"]:
        return cast(Tensor, self.to_logits[codebook](hidden.to(self.dtype)).float())

    def _frames(
        self, batch: MaskedBatch, is_masked: Bool[Tensor, "b t"], codebook: int
    ) -> Float[Tensor, "b t d"]:
        """The sum of the codebooks; each that is not known counts as the mask once more."""
        total: Tensor | float = 0.0
        for index, table in enumerate(self.code_embeddings):
            unknown = is_masked if index == codebook else batch.is_target & (index > codebook)
            codes = table(batch.codes[:, index])
            total = total + torch.where(unknown[..., None], self.mask_embedding.weight, codes)
        assert isinstance(total, Tensor)
        return total


def _initialize(model: nn.Module) -> None:
    for module in model.modules():
        if isinstance(module, nn.Embedding):
            nn.init.normal_(module.weight, std=0.02)
