"""One hash of a model's weights for all who ask: codes files, voices, token folders, bundles.

The other functions are what such files were marked with before; they are only for reading those.
"""

import hashlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from torch import Tensor, nn

from uslm_tokenizer.compact import SCALE, restored
from uslm_tokenizer.errors import UserError
from uslm_tokenizer.hub import CONFIG_FILE, PretrainedModel
from uslm_tokenizer.json_files import read_mapping
from uslm_tokenizer.renames import first_tensor_name

FIRST = 64
"""Values of each tensor that are looked at."""
Weights = nn.Module | Path
"""A model, or the safetensors file of one, of which little is read."""


def weight_hash(**parts: Weights) -> str:
    """16 hex digits from the beginning of each tensor: other training moves every weight.

    The same for a model, for its outline, and for its file in whichever precision it is stored.

    To be taken before any change of precision, so that a voice fits whichever precision is used.
    A tokenizer by itself is the part `tokenizer`.
    """
    digest = hashlib.sha256()
    for part, weights in parts.items():
        for name, shape, values in _beginnings(weights):
            digest.update(f"{part}.{name} {shape}".encode())
            digest.update(values.float().cpu().numpy().tobytes())
    return digest.hexdigest()[:16]


def check_made_for(what: str, wanted: str, *found: str) -> None:
    """UserError unless one of these is the hash of the tokenizer that something was trained on; an
    empty hash fits all, as nobody knows."""
    if wanted and wanted not in found:
        raise UserError(
            f"{what} was trained on units of the tokenizer {wanted}, but is given those of "
            f"{' or '.join(found)}"
        )


def _beginnings(weights: Weights) -> Iterator[tuple[str, tuple[int, ...], Tensor]]:
    """Name, shape and first values of each tensor, by name."""
    weights = getattr(weights, "weights_left_at", None) or weights
    if isinstance(weights, nn.Module):
        state = weights.state_dict()
        for first, name in _first_names(getattr(weights, "model_type", ""), state):
            yield first, tuple(state[name].shape), state[name].flatten()[:FIRST]
        return
    config = weights.parent / CONFIG_FILE
    kind = str(read_mapping(config).get("model_type", "")) if config.is_file() else ""
    with safe_open(weights, "pt") as file:
        names = set(file.keys())
        scales = {name + SCALE for name in names} & names  # of matrices in 8 bits
        for first, name in _first_names(kind, names - scales):
            part: Any = file.get_slice(name)
            shape = tuple(part.get_shape())
            rows = -(-FIRST // max(1, torch.Size(shape[1:]).numel()))
            tensor = part[:rows] if shape else file.get_tensor(name)
            if name + SCALE in scales:
                tensor = restored(tensor, file.get_slice(name + SCALE)[:rows])
            yield first, shape, tensor.flatten()[:FIRST]


def _first_names(model_type: str, names: Iterable[str]) -> list[tuple[str, str]]:
    """First name of each tensor, in the order of these names, and its name of now."""
    return sorted((first_tensor_name(model_type, name), name) for name in names)


# ---- what files of before are marked with


def earlier_hash_of_codes(tokenizer: PretrainedModel) -> str:
    """The mark of codes files."""
    digest = hashlib.sha256()
    for name, shape, values in _beginnings(tokenizer):
        digest.update(f"{name}{shape}".encode())
        digest.update(values.double().cpu().numpy().tobytes())
    return digest.hexdigest()[:16]


def earlier_hash_of_tokens(tokenizer: PretrainedModel) -> str:
    """The mark of token folders."""
    digest = hashlib.sha256(tokenizer.model_type.encode())
    for name, tensor in sorted(tokenizer.state_dict().items()):
        digest.update(name.encode())
        digest.update(tensor.detach().cpu().float().numpy().tobytes())
    return digest.hexdigest()


def earlier_hash_of_parts(**parts: Weights) -> str:
    """The mark of voices of MaskGCT and Vevo: of each tensor no more than its first row."""
    digest = hashlib.sha256()
    for part, weights in parts.items():
        for name, shape, values in _beginnings(weights):
            row = values[: torch.Size(shape[1:]).numel()] if shape else values
            digest.update(f"{part}.{name} {list(shape)}".encode())
            digest.update(row.float().cpu().numpy().tobytes())
    return digest.hexdigest()[:16]
