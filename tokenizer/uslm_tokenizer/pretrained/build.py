"""From the files of a published part to a model of ours."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from uslm_tokenizer.addresses import load_address
from uslm_tokenizer.errors import CheckpointError
from uslm_tokenizer.hub import PretrainedModel, empty_parameters
from uslm_tokenizer.json_files import read_mapping
from uslm_tokenizer.pretrained.catalogue import (
    Catalogue,
    Component,
    Part,
    SpeechEncoder,
    System,
    Weights,
    pretrained_config,
)
from uslm_tokenizer.pretrained.checkpoint import read_checkpoint
from uslm_tokenizer.pretrained.key_mapping import load_pretrained
from uslm_tokenizer.pretrained.mappings import expect, get_key_mapping
from uslm_tokenizer.pretrained.source import Source
from uslm_tokenizer.ssl.encoder import SSLConfig, SSLEncoder

Locate = Callable[[Source], Path]
"""Where a file of the catalogue lies on this machine."""


def build_part(catalogue: Catalogue, part: Part, locate: Locate) -> PretrainedModel:
    """The part with its pretrained weights. Raises CheckpointError if a file is not its own."""
    return _concat(part, [_load(catalogue, component, locate) for component in part.components])


def empty_part(catalogue: Catalogue, part: Part) -> PretrainedModel:
    """The part as it was published, but its parameters are shapes without memory."""
    with empty_parameters():
        return _concat(part, [_outline(catalogue, component) for component in part.components])


def empty_ready(system: System) -> PretrainedModel:
    """The codec of transformers that a system is, without memory as well."""
    model: type[PretrainedModel] = load_address(system.model)
    backbone = {"model_type": model.model_type, **system.config}
    with empty_parameters():
        return model(model.config_class(backbone=backbone))


def _concat(part: Part, components: list[Any]) -> PretrainedModel:
    if not part.model:
        (model,) = components
    else:
        model = load_address(part.model).from_parts(*components)
    assert isinstance(model, PretrainedModel)
    return model


def _load(catalogue: Catalogue, component: Component, locate: Locate) -> Any:
    if isinstance(component, SpeechEncoder):
        return _load_encoder(component, locate)
    key_mapping = get_key_mapping(component.key_mapping, catalogue.key_mappings)
    path = locate(component.file)
    state = read_checkpoint(path, component.entry)
    expect(key_mapping, state, catalogue.key_mappings, where=str(path))
    config = key_mapping.config(_config(catalogue, component, locate))
    return load_pretrained(key_mapping, state, config)


def _outline(catalogue: Catalogue, component: Component) -> Any:
    if isinstance(component, SpeechEncoder):
        backbone = dict(component.backbone)
        config = SSLConfig(backbone=backbone, layers=(component.layer,), padding=component.padding)
        return SSLEncoder(config)
    key_mapping = get_key_mapping(component.key_mapping, catalogue.key_mappings)
    return key_mapping.model_class()(key_mapping.read_config(_outline_config(catalogue, component)))


def _outline_config(catalogue: Catalogue, component: Weights) -> Mapping[str, Any]:
    name = component.config if isinstance(component.config, str) else component.usual_config
    return pretrained_config(catalogue.key_mappings[component.key_mapping], name)


def _config(catalogue: Catalogue, component: Weights, locate: Locate) -> Mapping[str, Any]:
    if isinstance(component.config, str):
        return _outline_config(catalogue, component)
    return read_mapping(locate(component.config))


def _load_encoder(component: SpeechEncoder, locate: Locate) -> SSLEncoder:
    folders = {locate(file).parent for file in component.files}
    assert len(folders) == 1, f"the files of {component.repo} lie apart: {folders}"
    encoder = SSLEncoder.from_pretrained(
        str(folders.pop()),
        layers=(component.layer,),
        padding=component.padding,
        local_files_only=True,
    )
    if component.statistics is None:
        return encoder
    mean, std = read_statistics(locate(component.statistics))
    if mean.shape != (encoder.dim,) or std.shape != (encoder.dim,):
        raise CheckpointError(
            f"the statistics must be of {encoder.dim} dimensions, as the features of "
            f"{component.repo} are, but are {list(mean.shape)} and {list(std.shape)}"
        )
    encoder.mean.copy_(mean[None])
    encoder.std.copy_(std[None])
    return encoder


def read_statistics(path: Path) -> tuple[Tensor, Tensor]:
    """Mean and deviation of each dimension, from `mean` with `std` or `var` in .pt or .npz."""
    if path.suffix == ".npz":
        import numpy as np

        with np.load(path) as arrays:  # refuses pickles
            found = {name: torch.from_numpy(arrays[name]) for name in arrays.files}
    else:
        found = read_checkpoint(path)
    if "mean" not in found or not {"std", "var"} & found.keys():
        raise CheckpointError(f"{path} must hold 'mean' and 'std' or 'var', but has {list(found)}")
    std = found["std"] if "std" in found else found["var"].sqrt()
    return found["mean"].float(), std.float()
