"""Stages of `train_judged_units`: what trains in each of the two, and the controls of it.

control          first stage                          second stage
none             heads alone, or the adapter without  everything that is `trained`
                 a codebook (`first_stage`)
gradient cut     the same                             the same, but judges shape nothing
random judge     the same                             the same, through a random language model
recluster        what is `trained`, no codebook       new centroids, then new heads alone
frozen           heads alone                          heads alone
"""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from uslm_tokenizer.codecs.judged_units.model import JudgedUnits
from uslm_tokenizer.errors import ConfigError
from uslm_tokenizer.objectives.judged import References, Tokenized
from uslm_tokenizer.objectives.unit_list import Found, ObjectiveList

Control = Literal["none", "gradient cut", "random judge", "recluster", "frozen"]
Part = Literal["encoder", "layer_weights", "codebook"]


@dataclass(frozen=True, kw_only=True)
class StagesConfig:
    """The order of training."""

    control: Control = "none"
    """What is left out, to see what it does."""
    trained: tuple[Part, ...] = ("codebook",)
    """Parts of the tokenizer that learn in the second stage; an adapter always does."""
    first_stage: Literal["heads", "adapter"] = "heads"
    """Heads alone after the k-means codebook, as differentiable k-means begins; or the adapter by
    reconstruction alone, without a codebook, which k-means places then, as LAST begins."""
    first_share: float = 0.4
    """Share of the run that the first stage takes."""
    tokenizer_rate: float = 0.3
    """Learning rate of the tokenizer, as a share of that of the heads."""
    final_temperature: float = 0.5
    """Of differentiable k-means at the end; it falls evenly in the second stage."""

    def __post_init__(self) -> None:
        if not 0 <= self.first_share < 1:
            raise ConfigError(f"stages.first_share must be in [0, 1), but is {self.first_share}")
        for name in ("tokenizer_rate", "final_temperature"):
            if not getattr(self, name) > 0:
                raise ConfigError(f"stages.{name} must be above 0, but is {getattr(self, name)}")
        if len(set(self.trained)) < len(self.trained):
            raise ConfigError(f"stages.trained must name each part once, but is {self.trained}")

    @property
    def continuous_first(self) -> bool:
        """Whether the first stage has no codebook, which is placed after it."""
        return self.control == "recluster" or (
            self.first_stage == "adapter" and self.control != "frozen"
        )


class JudgedTraining(nn.Module):
    """A tokenizer, its objectives, and the stage that both are in."""

    in_second_stage: Tensor

    def __init__(
        self, tokenizer: JudgedUnits, objectives: ObjectiveList, config: StagesConfig
    ) -> None:
        super().__init__()
        self.tokenizer, self.objectives, self.config = tokenizer, objectives, config
        self.register_buffer("in_second_stage", torch.tensor(False))
        self._fresh_heads = deepcopy(objectives.state_dict())
        self._parts = self._select_parts()
        if config.first_stage == "adapter" and config.continuous_first:
            if tokenizer.adapter is None:
                raise ConfigError('stages.first_stage "adapter" needs an adapter, but it is null')
            if config.control != "recluster" and "reconstruction" not in objectives.weights:
                raise ConfigError(
                    'stages.first_stage "adapter" needs objectives.reconstruction, but it is null'
                )

    @property
    def is_second(self) -> bool:
        """Whether the second stage has begun."""
        return bool(self.in_second_stage)

    def learning(self) -> set[str]:
        """Parts of the tokenizer that learn in this stage."""
        control, every = self.config.control, set(self._parts)
        if control == "frozen":
            return set()
        if control == "recluster":
            return set() if self.is_second else every - {"codebook"}
        if self.is_second:
            return every
        return {"adapter"} if self.config.first_stage == "adapter" else set()

    def apply_stage(self, fraction: float) -> None:
        """Freeze and free what the stage asks for; `fraction` of the run is over."""
        config, learning = self.config, self.learning()
        for name, part in self._parts.items():
            part.requires_grad_(name in learning)
        quantizer = self.tokenizer.quantizer
        # Frozen centroids are drawn from as well, where what lies before them is to learn.
        drawn = quantizer.draws_codes and bool(learning)
        quantizer.train(self.is_second and ("codebook" in learning or drawn))
        share = (fraction - config.first_share) / (1 - config.first_share)
        quantizer.cool(min(1.0, max(0.0, share)), config.final_temperature)

    def begin_second(self, latents: Float[Tensor, "1 d n"], generator: torch.Generator) -> None:
        """Leave the first stage; k-means of `latents` places a codebook that was not there."""
        if self.config.continuous_first:
            self.tokenizer.quantizer.initialize(latents, generator=generator)
        if self.config.control == "recluster":
            self.objectives.load_state_dict(self._fresh_heads)
        self.in_second_stage.fill_(True)

    def forward(
        self,
        waveform: Float[Tensor, "b 1 n"],
        lengths: Int[Tensor, " b"],
        references: References,
        generator: torch.Generator | None = None,
    ) -> tuple[Tokenized, Found]:
        """Output of the tokenizer for a batch, and every loss of this stage."""
        continuous = self.config.continuous_first and not self.is_second
        made = self.tokenizer(waveform, lengths, generator, continuous=continuous)
        judges = not continuous or self.config.control == "recluster"
        return made, self.objectives(made, references, judges=judges)

    def _select_parts(self) -> dict[str, nn.Module | nn.Parameter]:
        """Those of the tokenizer that learn at some time, by name; all else is frozen for good."""
        tokenizer, trained = self.tokenizer, self.config.trained
        tokenizer.requires_grad_(False)
        found: dict[str, nn.Module | nn.Parameter] = {}
        if tokenizer.adapter is not None:
            found["adapter"] = tokenizer.adapter
        if "encoder" in trained:
            found["encoder"] = tokenizer.encoder.backbone
        if "layer_weights" in trained:
            if tokenizer.encoder.config.layer_weights != "learnt":
                raise ConfigError(
                    'stages.trained may name "layer_weights" where layer_weights is "learnt", '
                    'but it is "mean"'
                )
            found["layer_weights"] = tokenizer.encoder.layer_logits
        if "codebook" in trained:
            if not tokenizer.quantizer.learns:
                raise ConfigError(
                    'stages.trained may name "codebook" where training moves it, but a '
                    f"{type(tokenizer.quantizer).__name__} stays as it was placed"
                )
            found["codebook"] = tokenizer.quantizer
        if not found and self.config.control != "frozen":
            raise ConfigError(
                "stages.trained must name a part where there is no adapter, but names none; "
                'for the heads alone say control "frozen"'
            )
        for part in found.values():
            part.requires_grad_(True)
        return found
