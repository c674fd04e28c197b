"""One process among those that train together: its accelerator, its place, its draws."""

from __future__ import annotations

import random
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from uslm_recipes.data.batches import World
from uslm_recipes.loop.config import LoopConfig
from uslm_recipes.loop.ema import Ema
from uslm_recipes.loop.progress import TrainingState
from uslm_recipes.loop.sharding import unwrap
from uslm_recipes.loop.trackers import trackers_named
from uslm_tokenizer.errors import ConfigError, EnvironmentProblem
from uslm_tokenizer.nn.precision import fast_dtype

if TYPE_CHECKING:
    from accelerate import Accelerator

PRECISIONS = {"bf16": torch.bfloat16, "fp16": torch.float16, "fp32": torch.float32}


def precision_of(config: LoopConfig, device: torch.device) -> torch.dtype:
    """Precision of autocast on a device."""
    return fast_dtype(device) if config.precision == "auto" else PRECISIONS[config.precision]


def make_accelerator(config: LoopConfig, out: Path) -> Accelerator:
    """The accelerator of this process, with precision and trackers that the config names.

    `accelerate launch` says how many processes there are, and whether FSDP shares the weights out.
    """
    try:
        from accelerate import Accelerator
        from accelerate.state import AcceleratorState, GradientState, PartialState
        from accelerate.utils import GradientAccumulationPlugin, TorchDynamoPlugin
    except ImportError as problem:
        raise EnvironmentProblem("recipes need accelerate: pip install 'uslm[train]'") from problem
    if config.precision == "fp16" and PartialState().device.type == "cpu":
        raise ConfigError("loop.precision fp16 needs a GPU; a CPU takes bf16 or fp32")
    # Asked of torch: a state that is begun here would not know of other processes.
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    dtype = precision_of(config, device)
    [precision] = [name for name, each in PRECISIONS.items() if each == dtype]
    # Accelerate keeps one state a process; a second run has its own precision and step count.
    AcceleratorState._reset_state()
    GradientState._reset_state()
    compiled = TorchDynamoPlugin(backend="inductor", mode=config.compile)
    accelerator = Accelerator(
        mixed_precision="no" if precision == "fp32" else precision,
        # As a plugin, so that no environment variable takes its place.
        gradient_accumulation_plugin=GradientAccumulationPlugin(config.gradient_accumulation),
        log_with=trackers_named(config.trackers) or None,
        project_dir=str(out),
        dynamo_plugin=None if config.compile == "no" else compiled,
    )
    plugin = getattr(accelerator.state, "fsdp_plugin", None)
    if plugin is not None and plugin.fsdp_version != 2:
        raise ConfigError("FSDP must be version 2: accelerate launch --fsdp_version 2")
    if accelerator.device.type == "cuda":  # TensorFloat-32 where autocast leaves float32
        torch.set_float32_matmul_precision("high")
    return accelerator


def world_of(accelerator: Accelerator) -> World:
    """The place of this process, for the data streams."""
    return World(accelerator.process_index, accelerator.num_processes)


def seed_everything(seed: int) -> None:
    """Seed every global generator; recipes call it once, before they build the model."""
    random.seed(seed)
    np.random.seed(seed)  # noqa: NPY002 - libraries may draw from it
    torch.manual_seed(seed)


def own_generator(seed: int, accelerator: Accelerator) -> torch.Generator:
    """A generator of this process alone; that of the first is the seed's own."""
    return torch.Generator().manual_seed(_own_seed(seed, accelerator))


def prepare(state: TrainingState, config: LoopConfig, accelerator: Accelerator) -> None:
    """Replace models and optimizers by what accelerate makes of them; begin the averages.

    Behind this every process draws by itself: dropout must not be the same for all batches.
    """
    names, parts = list(state.models), [*state.models.values(), *state.optimizers.values()]
    if getattr(accelerator, "is_fsdp2", False) and not state.shardable:
        raise ConfigError(
            f"FSDP is for the language models; {' and '.join(names)} fit one device: start this "
            "recipe without it"
        )
    prepared = accelerator.prepare(*parts)
    prepared = [prepared] if len(parts) == 1 else list(prepared)
    state.models = dict(zip(names, prepared[: len(names)], strict=True))
    state.optimizers = dict(zip(state.optimizers, prepared[len(names) :], strict=True))
    state.scaler = accelerator.scaler
    for name in state.averaged:
        if config.ema_decay is not None and name in state.models:
            state.ema[name] = Ema(unwrap(state.models[name]), config.ema_decay)
    if accelerator.num_processes > 1:
        seed_everything(_own_seed(config.seed, accelerator))


def _own_seed(seed: int, accelerator: Accelerator) -> int:
    return seed + 1_000_003 * int(accelerator.process_index)
