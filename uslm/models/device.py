"""Device and precision of models: asked for in words, refused in words."""

from collections.abc import Iterable
from typing import cast

import torch
from torch import nn

from uslm_tokenizer.errors import EnvironmentProblem, UserError

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


def move(parts: Iterable[nn.Module], device: str | torch.device) -> torch.device:
    """Move the parts; EnvironmentProblem where this machine has no such device."""
    try:
        target = torch.device(device)
        for part in parts:
            part.to(target)
    except (RuntimeError, AssertionError) as problem:
        reason = str(problem).strip().splitlines()[0]
        raise EnvironmentProblem(f"cannot use device {str(device)!r}: {reason}") from problem
    return target


def fastest_device() -> torch.device:
    """The device that `auto` means: a GPU of NVIDIA's, else Apple's, else the CPU."""
    if torch.cuda.is_available():
        return torch.device("cuda")
    return torch.device("mps" if torch.backends.mps.is_available() else "cpu")


def read_device(device: str | torch.device) -> str | torch.device:
    """A device by its name; `auto` becomes the fastest that this machine has."""
    return fastest_device() if device == "auto" else device


def read_dtype(dtype: object) -> torch.dtype:
    """A precision by itself or by its name."""
    found = dtype if isinstance(dtype, torch.dtype) else DTYPES.get(str(dtype))
    if found not in DTYPES.values():
        raise UserError(f"dtype must be one of {', '.join(DTYPES)}, but is {dtype!r}")
    return cast(torch.dtype, found)
