"""Flow matching: from noise to mel frames that say given units in the voice of a prompt.

Lipman et al. 2023, as Vevo has it (Zhang et al. 2025, section 3.4): a LLaMA that sees both sides
tells each frame the way from noise to speech.

    frames     [prompt, as it is | noise on its way to speech]
    condition  [units of the prompt | units to be spoken]
"""

import math
from dataclasses import dataclass
from typing import ClassVar, cast

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from uslm_tokenizer.errors import ConfigError
from uslm_tokenizer.hub import PretrainedModel
from uslm_tokenizer.nn.llama import DiffusionLlama


@dataclass(frozen=True, kw_only=True)
class FlowMatchingConfig:
    """Sizes of a FlowMatching, and how it is trained."""

    frame_dim: int = 128
    """Width of the frames: mel bands."""
    codebook_size: int = 8192
    """Number of different units."""
    feature_dim: int | None = None
    """Width of the features that take the place of units, if they do."""
    dim: int = 1024
    """Width of the transformer."""
    num_heads: int = 16
    """Attention heads of each layer."""
    num_layers: int = 16
    """Layers."""
    sigma: float = 1e-5
    """Noise that is left at the end of the way."""
    cosine_time: bool = True
    """Whether training dwells on the beginning of the way: t becomes 1 - cos(t pi / 2)."""
    drop_rate: float = 0.2
    """Share of training rows without prompt and condition, for guidance."""
    max_prompt: float = 0.4
    """The longest prompt in training, as a share of the row."""

    def __post_init__(self) -> None:
        for name in ("sigma", "drop_rate", "max_prompt"):
            if not 0 <= getattr(self, name) < 1:
                raise ConfigError(f"{name} must be in [0, 1), but is {getattr(self, name)}")


class FlowMatching(PretrainedModel):
    """Units (or features) and the frames so far -> the direction in which the frames move on."""

    model_type: ClassVar[str] = "flow_matching"
    config_class: ClassVar[type] = FlowMatchingConfig
    config: FlowMatchingConfig

    def __init__(self, config: FlowMatchingConfig) -> None:
        super().__init__(config)
        self.to_condition: nn.Module = nn.Embedding(config.codebook_size, config.dim)
        if config.feature_dim is not None:
            self.to_condition = nn.Linear(config.feature_dim, config.dim)
        self.estimator = DiffusionLlama(
            config.dim, config.num_heads, config.num_layers, frame_dim=config.frame_dim
        )

    @classmethod
    def tiny_config(cls) -> FlowMatchingConfig:
        """A config that builds in milliseconds, for tests and examples."""
        return FlowMatchingConfig(frame_dim=8, codebook_size=32, dim=32, num_heads=2, num_layers=2)

    def condition(
        self, content: Int[Tensor, "b t"] | Float[Tensor, "b t e"]
    ) -> Float[Tensor, "b t d"]:
        """Input that the model makes of units, or of features."""
        if content.is_floating_point():
            content = content.to(self.dtype)
        return cast(Tensor, self.to_condition(content))

    def forward(
        self,
        frames: Float[Tensor, "b t c"],
        time: Float[Tensor, " b"],
        condition: Float[Tensor, "b t d"] | None,
        mask: Bool[Tensor, "b t"] | None = None,
    ) -> Float[Tensor, "b t c"]:
        """The direction at each frame; `time` runs from 0, noise, to 1, speech.

        Without a condition the model guesses what people say, for guidance. `mask` is False in
        padding, whose directions mean nothing.
        """
        if condition is None:  # a zero, which is not the same as none: the layers after have bias
            condition = frames.new_zeros(*frames.shape[:2], self.config.dim)
        return cast(Tensor, self.estimator(frames, time, condition=condition, mask=mask))

    def loss(
        self,
        frames: Float[Tensor, "b t c"],
        content: Int[Tensor, "b t"] | Float[Tensor, "b t e"],
        lengths: Int[Tensor, " b"] | None = None,
        *,
        generator: torch.Generator | None = None,
    ) -> Float[Tensor, ""]:
        """Mean absolute error of the direction, over all frames that are no prompt.

        `generator` draws times, noise, prompts, and the rows that go without.
        """
        draw = _Draw(frames, generator)
        if lengths is None:
            lengths = torch.full_like(frames[:, 0, 0], frames.shape[1], dtype=torch.long)
        places = torch.arange(frames.shape[1], device=frames.device)
        mask = places < lengths[:, None]
        kept = draw.uniform() >= self.config.drop_rate
        is_prompt = places < (self._prompt_lengths(lengths, draw.uniform()) * kept)[:, None]
        time = draw.uniform().clamp(min=1e-5)
        if self.config.cosine_time:
            time = 1 - (time * math.pi / 2).cos()
        noise, rest = draw.normal(), 1 - self.config.sigma
        t = time[:, None, None]
        moving = (1 - rest * t) * noise + t * frames
        shown = torch.where(is_prompt[..., None], frames, moving)
        condition = self.condition(content) * kept[:, None, None]
        error = self(shown, time, condition, mask) - (frames - rest * noise)
        measured: Tensor = error.abs()[mask & ~is_prompt]
        return measured.mean()

    def _prompt_lengths(
        self, lengths: Int[Tensor, " b"], drawn: Float[Tensor, " b"]
    ) -> Int[Tensor, " b"]:
        """From 5 frames (a quarter of a short row) up to the longest that is allowed."""
        least = (lengths // 4).clamp(max=5)
        most = torch.maximum((lengths * self.config.max_prompt).long(), least + 1)
        return (least + (drawn * (most - least)).long()).minimum(lengths - 1)


class _Draw:
    """Random numbers for the rows of a batch, on its device."""

    def __init__(self, like: Float[Tensor, "b t c"], generator: torch.Generator | None) -> None:
        self._like, self._generator = like, generator
        self._device = like.device if generator is None else generator.device

    def uniform(self) -> Float[Tensor, " b"]:
        made = torch.rand(len(self._like), generator=self._generator, device=self._device)
        return made.to(self._like)

    def normal(self) -> Float[Tensor, "b t c"]:
        made = torch.randn(self._like.shape, generator=self._generator, device=self._device)
        return made.to(self._like)
