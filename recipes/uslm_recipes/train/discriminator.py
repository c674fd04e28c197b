"""The discriminator of recipes that make waveforms: its config, when it plays, how it is taught."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor, nn

from uslm_recipes.loop import Run, fraction_done, update
from uslm_recipes.loop.sharding import unwrap
from uslm_tokenizer.errors import ConfigError
from uslm_tokenizer.hub import load_weights
from uslm_tokenizer.objectives.discriminator import SpectrogramDiscriminators
from uslm_tokenizer.objectives.hifigan_discriminators import (
    Discriminators,
    PeriodDiscriminator,
    ScaleDiscriminator,
)
from uslm_tokenizer.objectives.waveform import Rules, discriminator_loss

NAME = "discriminator"


@dataclass(frozen=True, kw_only=True)
class DiscriminatorConfig:
    """Discriminators of complex spectrograms, one for each window; HiFi-GAN's beside them."""

    start_fraction: float = 0.3
    """Share of the run that goes by before it joins."""
    every: int = 2
    """Steps of the generator for one of the discriminator."""
    filters: int = 16
    """Width of their first layers."""
    windows: tuple[int, ...] = (1024, 512, 256)
    """Windows of the spectrograms, samples."""
    periods: tuple[int, ...] = ()
    """Of HiFi-GAN's discriminators of every p-th sample; there 2, 3, 5, 7 and 11."""
    scales: int = 0
    """Of its discriminators of the waveform, each of half the rate of the one before; there 3."""
    width: int = 32
    """Channels of the first layer of those of `periods`, an eighth of the last; of `scales` four
    times as many."""
    initial: str = ""
    """Safetensors file of a trained discriminator of the same form, such as the one in the last
    checkpoint of the run that trained the codec; empty: it knows nothing when it joins."""
    rules: Rules = "encodec"
    """Whose losses: see `uslm_tokenizer.objectives.waveform`; as in the recipe's weights."""


def build_discriminator(config: DiscriminatorConfig) -> nn.Module:
    """The discriminator, untrained or as `config.initial` holds it.

    Raises ConfigError or MissingResource where that file does not fit or is not there.
    """
    discriminator = _untrained(config)
    if config.initial:
        load_weights(discriminator, Path(config.initial))
    return discriminator


def _untrained(config: DiscriminatorConfig) -> nn.Module:
    parts: list[nn.Module] = []
    if config.windows:
        parts.append(SpectrogramDiscriminators(config.windows, config.filters))
    parts += [PeriodDiscriminator(period, config.width) for period in config.periods]
    parts += [ScaleDiscriminator(2**scale, config.width) for scale in range(config.scales)]
    if not parts:
        raise ConfigError("discriminator must have windows, periods or scales, but has none")
    if len(parts) == 1 and config.windows:
        return parts[0]
    return Discriminators(parts)


def active_discriminator(run: Run, config: DiscriminatorConfig) -> nn.Module | None:
    """The discriminator, for the generator to ask; None before it joins."""
    if fraction_done(run.progress, run.config) < config.start_fraction:
        return None
    # Asked, it learns nothing: a wrapper for several devices would wait for its gradients.
    return unwrap(run.state.models[NAME])


def discriminator_step(
    run: Run,
    config: DiscriminatorConfig,
    real: Float[Tensor, "r 1 n"],
    fake: Float[Tensor, "f 1 n"],
) -> dict[str, Tensor]:
    """Its own update, in the steps in which it plays and learns; what to log of it."""
    if active_discriminator(run, config) is None or run.progress.step % config.every:
        return {}
    discriminator = run.state.models[NAME]
    scores, _ = discriminator(torch.cat([real, fake.detach()]))
    judged = discriminator_loss(
        [score[: len(real)] for score in scores],
        [score[len(real) :] for score in scores],
        config.rules,
    )
    update(run, judged, NAME)
    return {NAME: judged}
