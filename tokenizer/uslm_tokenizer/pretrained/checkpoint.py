"""Reading the weights out of any published file: safetensors, or PyTorch's own older formats.

Nothing that a file holds is ever run: pickles are read by PyTorch's restricted reader, and files
that need more than tensors and plain values are refused.
"""

import pickle
import re
import warnings
from argparse import Namespace
from collections.abc import Mapping
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from uslm_tokenizer.errors import CheckpointError, ConfigError, MissingResource
from uslm_tokenizer.json_files import read_mapping

State = dict[str, Tensor]

# Where training programs keep the weights, the surest first.
WRAPPERS = ("state_dict", "model_state_dict", "model", "module", "net", "params", "weights")

# Training programs leave these beside the weights; they can do nothing but hold values.
HARMLESS: list[Any] = [
    Namespace,
    (PurePosixPath, "pathlib.PosixPath"),
    (PurePosixPath, "pathlib._local.PosixPath"),
    (PureWindowsPath, "pathlib.WindowsPath"),
    (PureWindowsPath, "pathlib._local.WindowsPath"),
]

MAX_NAME_BYTES = 255
FOLDER_FILES = (
    "model.safetensors",
    "model.safetensors.index.json",
    "pytorch_model.bin",
    "pytorch_model.bin.index.json",
)


def read_checkpoint(path: Path, entry: str = "") -> State:
    """The tensors of a file or folder by their pretrained names, mapped from it, not copied.

    `entry` is a path of dictionary keys, "model.repcodec" for example; without it the weights
    are looked for in the usual places. Several state dicts side by side come back as one, the
    name of each in front of its tensors. Raises CheckpointError if the file is broken, holds no
    weights, or would have to run code.
    """
    if path.is_dir():
        path = _file_of(path)
    if not path.is_file():
        raise MissingResource(f"no file at {path}")
    if path.name.endswith(".index.json"):
        return _read_shards(path)
    with open(path, "rb") as file:
        start = file.read(16)
    if not start:
        raise CheckpointError(f"{path} is empty")
    if path.suffix == ".safetensors" or start[8:9] == b"{":
        found: Any = _read_safetensors(path)
    else:
        found = _read_pickle(path, zipped=start.startswith(b"PK"))
    if entry:
        found = _enter(path, found, entry)
    return _without_prefix(_weights(path, found))


def _file_of(folder: Path) -> Path:
    for name in FOLDER_FILES:
        if (folder / name).is_file():
            return folder / name
    raise MissingResource(f"{folder} holds none of {', '.join(FOLDER_FILES)}")


def _read_shards(index: Path) -> State:
    try:
        places = read_mapping(index).get("weight_map")
    except ConfigError as problem:
        raise CheckpointError(f"{problem}; it is no index of weights") from problem
    if not isinstance(places, dict) or not all(isinstance(name, str) for name in places.values()):
        raise CheckpointError(
            f"{index} is not an index of weights: it has no 'weight_map' of names"
        )
    state: State = {}
    for name in sorted(set(places.values())):
        if not _is_beside(index, name):
            raise CheckpointError(f"{index} names {name[:200]!r}, which is not a file beside it")
        state |= read_checkpoint(index.parent / name)
    return state


def _is_beside(index: Path, name: str) -> bool:
    """Whether a name can only mean a file in the folder of the index, and not another index."""
    is_plain = name not in ("", ".", "..") and not set(name) & {"/", "\\", "\0"}
    is_plain = is_plain and len(name.encode(errors="replace")) <= MAX_NAME_BYTES
    return is_plain and not name.endswith(".index.json") and not (index.parent / name).is_dir()


def _read_safetensors(path: Path) -> State:
    try:
        with safe_open(path, "pt") as file:
            return {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError) as problem:
        raise CheckpointError(
            f"{path} is cut off, or is not a safetensors file: {problem}"
        ) from problem


def _read_pickle(path: Path, *, zipped: bool) -> Any:
    try:
        with warnings.catch_warnings(), torch.serialization.safe_globals(HARMLESS):
            # Files of old versions make PyTorch warn about itself.
            warnings.simplefilter("ignore")
            # Only the zip format of PyTorch >= 1.6 can be mapped.
            return torch.load(str(path), map_location="cpu", weights_only=True, mmap=zipped)
    except pickle.UnpicklingError as problem:
        named = re.search(r"(?:GLOBAL|Unsupported (?:global|class)\S*) ([\w.]+)", str(problem))
        if named and named[1] not in ("was", "is"):
            raise CheckpointError(
                f"{path} is refused: it asks for {named[1]}, and reading it could run code; "
                "only tensors and plain values are read"
            ) from problem
        raise CheckpointError(f"{path} is not a file of weights: {_line(problem)}") from problem
    except Exception as problem:  # a broken pickle breaks its reader in every way there is
        raise CheckpointError(
            f"{path} is cut off, or is not a file of weights: {_line(problem)}"
        ) from problem


def _line(problem: Exception) -> str:
    lines = str(problem).strip().splitlines()
    return lines[0] if lines else type(problem).__name__


def _enter(path: Path, found: Any, entry: str) -> Any:
    for key in entry.split("."):
        if not isinstance(found, Mapping) or key not in found:
            there = sorted(map(str, found)) if isinstance(found, Mapping) else type(found).__name__
            raise CheckpointError(f"{path} has no entry {entry!r}; there are {there}")
        found = found[key]
    return found


def _weights(path: Path, found: Any) -> State:
    """The state dict in whatever a training program saved around it."""
    if _is_state(found):
        return dict(found)
    if isinstance(found, Mapping):
        for wrapper in WRAPPERS:
            inner = found.get(wrapper)
            if isinstance(inner, Mapping) and inner:
                return _weights(path, inner)
        states = {str(name): dict(inner) for name, inner in found.items() if _is_state(inner)}
        if len(states) == 1:
            return next(iter(states.values()))
        if states:
            return {
                f"{part}.{name}": tensor
                for part, state in states.items()
                for name, tensor in state.items()
            }
        kind = f"a dict of {sorted(map(str, found))[:8]}"
    else:
        kind = f"a {type(found).__name__}"
    raise CheckpointError(f"{path} holds no weights, but {kind}")


def _is_state(found: Any) -> bool:
    """A non-empty dict of names to tensors."""
    return (
        isinstance(found, Mapping)
        and bool(found)
        and all(isinstance(k, str) and isinstance(v, Tensor) for k, v in found.items())
    )


def _without_prefix(state: State) -> State:
    """Names as on one machine: training on several puts `module.` in front of each."""
    prefix = "module."
    if all(name.startswith(prefix) for name in state):
        return {name[len(prefix) :]: tensor for name, tensor in state.items()}
    return state
