"""The states of everything that draws, to be saved and brought back."""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch


def random_states(generators: Mapping[str, torch.Generator]) -> dict[str, Any]:
    """States of every generator as values that torch.load reads with weights_only."""
    name, keys, place, has_gauss, gauss = np.random.get_state()  # noqa: NPY002 - others' draws
    return {
        "python": random.getstate(),
        "numpy": (
            str(name),
            torch.from_numpy(np.asarray(keys).astype(np.int64)),
            place,
            has_gauss,
            gauss,
        ),
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
        "generators": {name: each.get_state() for name, each in generators.items()},
    }


def restore_random(saved: dict[str, Any], generators: Mapping[str, torch.Generator]) -> None:
    """Bring every generator back to the saved states."""
    version, internal, gauss = saved["python"]
    random.setstate((version, tuple(internal), gauss))
    name, keys, place, has_gauss, cached = saved["numpy"]
    np.random.set_state((name, keys.numpy().astype(np.uint32), place, has_gauss, cached))  # noqa: NPY002
    torch.set_rng_state(saved["torch"])
    if torch.cuda.is_available() and len(saved["cuda"]) == torch.cuda.device_count():
        torch.cuda.set_rng_state_all(saved["cuda"])
    for key, generator in generators.items():
        if key in saved["generators"]:
            generator.set_state(saved["generators"][key])
