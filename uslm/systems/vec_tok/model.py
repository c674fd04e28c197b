"""Inverse k-means: units and some vectors of a voice -> the vectors of the units in that voice.

Vec-Tok (Zhu et al. 2023, arXiv 2310.07246). Units of features less their mean say little of who
speaks; a transformer that also sees vectors of the voice gives them back what they lost:

    prompt vectors    p1 p2 p3 |
    units                      | u1 u2 u3 u4     as the centroids that they stand for
    out                        | v1 v2 v3 v4
"""

from dataclasses import dataclass
from typing import ClassVar, cast

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from uslm_tokenizer.errors import ConfigError, UserError
from uslm_tokenizer.hub import PretrainedModel
from uslm_tokenizer.nn.transformer import Transformer
from uslm_tokenizer.weight_hash import check_made_for


@dataclass(frozen=True, kw_only=True)
class InverseKMeansConfig:
    """Sizes of an InverseKMeans."""

    codebook_size: int = 300
    """Number of different units."""
    feature_dim: int = 512
    """Width of the vectors, and of the centroids."""
    dim: int = 256
    """Width of the transformer."""
    num_heads: int = 4
    """Its attention heads."""
    num_layers: int = 4
    """Its layers."""
    dropped_units: float = 0.1
    """Share of units in training that are hidden or replaced by others: a language model's will
    not always be right."""
    dropout: float = 0.0
    """Share of activations dropped in training."""
    tokenizer_hash: str = ""
    """Hash of the tokenizer whose vectors it learnt; empty where nobody knows."""

    def __post_init__(self) -> None:
        for name in ("codebook_size", "feature_dim", "num_layers"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} must be at least 1, but is {getattr(self, name)}")
        if not 0 <= self.dropped_units < 1:
            raise ConfigError(f"dropped_units must be in [0, 1), but is {self.dropped_units}")


class InverseKMeans(PretrainedModel):
    """Units [b, t] and a prompt [b, p, f] -> vectors [b, t, f]."""

    model_type: ClassVar[str] = "inverse_kmeans"
    config_class: ClassVar[type] = InverseKMeansConfig
    config: InverseKMeansConfig
    centroids: Tensor

    def __init__(self, config: InverseKMeansConfig) -> None:
        super().__init__(config)
        self.register_buffer("centroids", torch.zeros(config.codebook_size, config.feature_dim))
        self.from_units = nn.Linear(config.feature_dim, config.dim)
        self.from_prompt = nn.Linear(config.feature_dim, config.dim)
        self.hidden_unit = nn.Parameter(0.02 * torch.randn(config.dim))
        self.transformer = Transformer(
            config.dim, config.num_heads, config.num_layers, dropout=config.dropout
        )
        self.output = nn.Linear(config.dim, config.feature_dim)

    def check_tokenizer(self, found: str) -> None:
        """UserError unless this is the hash of the tokenizer whose vectors it learnt."""
        check_made_for("inverse k-means", self.config.tokenizer_hash, found)

    @classmethod
    def tiny_config(cls) -> InverseKMeansConfig:
        return InverseKMeansConfig(
            codebook_size=16, feature_dim=16, dim=16, num_heads=2, num_layers=2
        )

    def forward(
        self,
        units: Int[Tensor, "b t"],
        mask: Bool[Tensor, "b t"],
        prompt: Float[Tensor, "b p f"],
        prompt_mask: Bool[Tensor, "b p"],
        generator: torch.Generator | None = None,
    ) -> Float[Tensor, "b t f"]:
        """The vectors; with a generator, as in training, some units are dropped. UserError for
        units and vectors of another tokenizer."""
        config = self.config
        if units.numel() and not 0 <= int(units.min()) <= int(units.max()) < config.codebook_size:
            raise UserError(
                f"units must lie in [0, {config.codebook_size}), but reach from "
                f"{int(units.min())} to {int(units.max())}"
            )
        if prompt.shape[2] != config.feature_dim:
            raise UserError(
                f"vectors of a prompt must be {config.feature_dim} wide, as the centroids, but "
                f"are {prompt.shape[2]}"
            )
        hidden = torch.zeros_like(mask)
        if generator is not None:
            units, hidden = self._dropped(units, generator)
        dtype = self.output.weight.dtype
        x = self.from_units(self.centroids[units].to(dtype))
        x = torch.where(hidden[..., None], self.hidden_unit, x)
        both = torch.cat([self.from_prompt(prompt.to(dtype)), x], dim=1)
        real = torch.cat([prompt_mask, mask], dim=1)
        # The units begin at 0 whatever the length of the prompt, whose end is at -1.
        places = torch.arange(both.shape[1], device=x.device) - prompt.shape[1]
        positions = places.expand(len(x), -1)
        seen = self.transformer(both * real[..., None], positions, mask=real[:, None, None])
        vectors = cast(Tensor, self.output(seen[:, prompt.shape[1] :])).float()
        return vectors + self.centroids[units]

    def loss(
        self,
        vectors: Float[Tensor, "b t f"],
        target: Float[Tensor, "b t f"],
        mask: Bool[Tensor, "b t"],
    ) -> Float[Tensor, ""]:
        """Mean squared distance of the real frames, and one minus their cosine."""
        found, wanted = vectors[mask], target[mask]
        far: Tensor = 1 - F.cosine_similarity(found, wanted, dim=-1).mean()
        return F.mse_loss(found, wanted) + far

    def _dropped(
        self, units: Int[Tensor, "b t"], generator: torch.Generator
    ) -> tuple[Int[Tensor, "b t"], Bool[Tensor, "b t"]]:
        """Units of which some are others, and which of them are hidden."""
        device = generator.device
        draw = torch.rand(units.shape, generator=generator, device=device).to(units.device)
        others = torch.randint(
            self.config.codebook_size, units.shape, generator=generator, device=device
        ).to(units.device)
        share = self.config.dropped_units
        return torch.where(draw < share / 2, others, units), draw > 1 - share / 2
