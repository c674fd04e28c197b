"""MeLoDy's networks: the language model of semantic units, and the diffusion of latents.

    units, latents on their way, an angle for each frame -> velocity

Angle and velocity are Salimans and Ho's (2022). In training a row is cut into chunks, each at an
angle of its own, so that the network can go on from chunks that are kept: their angle is 0.
"""

import math
from dataclasses import dataclass
from typing import ClassVar, cast

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from uslm.models.flow_paths import AnglePath
from uslm.models.latent import LatentBatch, LatentModel
from uslm.models.unit_llama import UnitLlama, UnitLlamaConfig
from uslm.systems.melody.dual_path import DualPathBlock, from_segments, to_segments
from uslm_tokenizer.errors import ConfigError
from uslm_tokenizer.nn.attention import Rotary


@dataclass(frozen=True, kw_only=True)
class MelodyLMConfig(UnitLlamaConfig):
    """Sizes of a MelodyLM."""

    text_vocab_size: int = 64
    """Symbols that are read: phonemes; for music, codes of what describes it."""
    codebook_size: int = 1024
    """Units that are spoken."""
    dim: int = 1024
    """Width of the transformer."""
    hidden_dim: int = 4096
    """Width inside the feed-forward layers."""
    num_layers: int = 24
    """Layers."""


class MelodyLM(UnitLlama):
    """Symbols (and a prompt) -> semantic units."""

    model_type: ClassVar[str] = "melody_lm"
    config_class: ClassVar[type] = MelodyLMConfig
    config: MelodyLMConfig


@dataclass(frozen=True, kw_only=True)
class DualPathConfig:
    """Sizes of a DualPath, and how it is trained; the defaults are MeLoDy's."""

    latent_dim: int = 16
    """Values of one frame of the codec."""
    num_units: int = 1024
    """Different units."""
    frames_per_unit: float = 10.0
    """Frames of latents for each unit: 250 per second to 25."""
    dim: int = 768
    """Width."""
    num_heads: int = 12
    """Heads of the attention across segments, and to the units."""
    num_layers: int = 8
    """Dual-path blocks."""
    segment_size: int = 64
    """Frames of a segment; even."""
    num_chunks: int = 4
    """Chunks of a training row, each at an angle of its own."""
    prefix_rate: float = 0.25
    """Share of training rows whose first chunk is data: what it goes on from."""
    drop_rate: float = 0.1
    """Share of training rows without units, for guidance; 0: it cannot be guided."""

    def __post_init__(self) -> None:
        for name in ("prefix_rate", "drop_rate"):
            if not 0 <= getattr(self, name) < 1:
                raise ConfigError(f"{name} must be in [0, 1), but is {getattr(self, name)}")
        if self.segment_size < 2 or self.segment_size % 2:
            raise ConfigError(
                f"segment_size must be an even number of frames, but is {self.segment_size}"
            )
        if self.num_chunks < 2:
            raise ConfigError(f"num_chunks must be 2 or more, but is {self.num_chunks}")
        if self.frames_per_unit <= 0:
            raise ConfigError(f"frames_per_unit must be above 0, but is {self.frames_per_unit}")


class DualPath(LatentModel):
    """Units and latents at an angle each -> velocity of each."""

    model_type: ClassVar[str] = "melody_diffusion"
    config_class: ClassVar[type] = DualPathConfig
    config: DualPathConfig
    path = AnglePath()
    mean: Tensor
    deviation: Tensor

    def __init__(self, config: DualPathConfig) -> None:
        super().__init__(config)
        dim = config.dim
        self.input, self.output = (
            nn.Linear(config.latent_dim, dim),
            nn.Linear(dim, config.latent_dim),
        )
        self.unit_embedding = nn.Embedding(config.num_units, dim)
        self.no_unit = nn.Parameter(0.02 * torch.randn(dim))
        # An angle is a point between two learnt vectors on a circle: data and noise.
        self.angles = nn.Parameter(torch.randn(2, dim) / math.sqrt(dim))
        self.angle_mlp = nn.Sequential(nn.Linear(dim, dim), nn.SiLU(), nn.Linear(dim, dim))
        self.blocks = nn.ModuleList(
            DualPathBlock(dim, config.num_heads) for _ in range(config.num_layers)
        )
        self.norm = nn.LayerNorm(dim)
        self.register_buffer("mean", torch.zeros(config.latent_dim))
        self.register_buffer("deviation", torch.ones(config.latent_dim))

    @property
    def latent_dim(self) -> int:
        return self.config.latent_dim

    @property
    def num_units(self) -> int:
        return self.config.num_units

    @property
    def frames_per_unit(self) -> float:
        return self.config.frames_per_unit

    @property
    def can_be_guided(self) -> bool:
        return self.config.drop_rate > 0

    @classmethod
    def tiny_config(cls) -> DualPathConfig:
        return DualPathConfig(
            latent_dim=6, num_units=32, frames_per_unit=2.0, dim=32, num_heads=2, num_layers=2,
            segment_size=8,
        )  # fmt: skip

    @torch.no_grad()
    def fit(self, latents: Float[Tensor, "n c"]) -> None:
        """Measure mean and deviation of latents: the scale in which noise is added."""
        self.mean.copy_(latents.mean(0))
        self.deviation.copy_(latents.std(0).clamp(min=1e-3))

    def standardised(self, latents: Float[Tensor, "*b c"]) -> Float[Tensor, "*b c"]:
        return (latents - self.mean) / self.deviation

    def restored(self, latents: Float[Tensor, "*b c"]) -> Float[Tensor, "*b c"]:
        return latents * self.deviation + self.mean

    def forward(
        self,
        latents: Float[Tensor, "b t c"],
        places: Float[Tensor, "b t"],
        batch: LatentBatch,
        *,
        conditional: Bool[Tensor, " b"] | None = None,
    ) -> Float[Tensor, "b t c"]:
        size, length = self.config.segment_size, latents.shape[1]
        valid = to_segments(batch.mask, size)
        angle = to_segments(self._angle(places) * batch.mask[..., None], size)
        x = self.input(latents.to(self.input.weight.dtype))
        x = to_segments(x * batch.mask[..., None], size)
        x = (x + angle) * valid[..., None]
        b, s, k, _ = x.shape
        frames = torch.arange(s, device=x.device)[:, None] * (size // 2) - size // 2
        at = (frames + torch.arange(k, device=x.device)).T  # k s
        rotary = Rotary.at(at.repeat(b, 1), self._head_dim)
        units, unit_rotary = self._units(batch.units, conditional)
        for block in self.blocks:
            x = block(x, valid, angle, rotary, units, unit_rotary, batch.unit_mask)
        found = self.output(self.norm(from_segments(x, length)))
        # Latents stay in the precision that they came in: the sampler adds small steps to them.
        return cast(Tensor, found).to(latents.dtype)

    def loss(
        self, batch: LatentBatch, generator: torch.Generator | None = None
    ) -> Float[Tensor, ""]:
        """Mean squared error of the velocity, over frames that are not kept."""
        device = batch.latents.device if generator is None else generator.device

        def uniform(*shape: int) -> Tensor:
            made = torch.rand(shape, generator=generator, device=device)
            return made.to(batch.latents.device)

        data = self.standardised(batch.latents)
        noise = torch.randn(data.shape, generator=generator, device=device).to(data)
        b, chunks = len(data), self.config.num_chunks
        angles = uniform(b, chunks) * math.pi / 2
        has_prefix = uniform(b) < self.config.prefix_rate
        angles[:, 0] = angles[:, 0].masked_fill(has_prefix, 0.0)
        places = angles.gather(1, self._chunk_of_frame(batch.mask))
        shown = self.path.mix(data, noise, places)
        kept = uniform(b) >= self.config.drop_rate
        found = self(shown, places, batch, conditional=kept)
        error = (found.float() - self.path.direction(data, noise, places).float()).square()
        looked_at: Tensor = error[batch.mask & (places > 0)]
        return looked_at.mean()

    def _chunk_of_frame(self, mask: Bool[Tensor, "b t"]) -> Int[Tensor, "b t"]:
        """Chunk of each frame: equal parts of its own row."""
        lengths = mask.sum(1, keepdim=True).clamp(min=1)
        places = torch.arange(mask.shape[1], device=mask.device)
        chunks = self.config.num_chunks
        return (places * chunks // lengths).clamp(max=chunks - 1)

    @property
    def _head_dim(self) -> int:
        return self.config.dim // self.config.num_heads

    def _angle(self, places: Float[Tensor, "b t"]) -> Float[Tensor, "b t d"]:
        at_data, at_noise = F.normalize(self.angles, dim=-1) * math.sqrt(self.config.dim)
        turn = places[..., None].to(at_data.dtype)
        return cast(Tensor, self.angle_mlp(turn.cos() * at_data + turn.sin() * at_noise))

    def _units(
        self, units: Int[Tensor, "b u"], conditional: Bool[Tensor, " b"] | None
    ) -> tuple[Float[Tensor, "b u d"], Rotary]:
        """Vectors of units, each in the middle of its frames."""
        x: Tensor = self.unit_embedding(units)
        if conditional is not None:
            x = torch.where(conditional[:, None, None], x, self.no_unit)
        places = (torch.arange(units.shape[1], device=x.device) + 0.5) * self.frames_per_unit - 0.5
        return x, Rotary.at(places.expand(len(units), -1), self._head_dim)
