"""LoRA by the package peft: a language model stays as it is, and small matrices beside it learn."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from torch import nn

from uslm_tokenizer.errors import ConfigError, EnvironmentProblem


@dataclass(frozen=True, kw_only=True)
class LoRAConfig:
    """Sizes of the matrices beside each linear layer."""

    rank: int = 16
    """Their inner width."""
    alpha: int = 32
    """What they add is scaled by alpha / rank."""
    dropout: float = 0.05
    """Share of their inputs dropped in training."""

    def __post_init__(self) -> None:
        if self.rank < 1:
            raise ConfigError(f"lora.rank must be at least 1, but is {self.rank}")


def add_lora(body: nn.Module, config: LoRAConfig) -> Any:
    """Freeze a network of transformers and put trainable matrices beside its linear layers, in
    place; the handle is for `merge_lora`."""
    try:
        from peft import LoraConfig, LoraModel
    except ImportError as problem:
        raise EnvironmentProblem(
            "lora needs one more package: pip install 'uslm[lora]'"
        ) from problem
    options = LoraConfig(
        r=config.rank,
        lora_alpha=config.alpha,
        lora_dropout=config.dropout,
        target_modules="all-linear",
    )
    return LoraModel(body, options, "default")


def merge_lora(handle: Any) -> nn.Module:
    """The same network with what was learnt added to its weights, and nothing beside them."""
    merged: nn.Module = handle.merge_and_unload()
    return merged
