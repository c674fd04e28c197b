"""Finds and loads a model by what its folder holds, ours or a published one."""

from os import PathLike
from pathlib import Path

import torch

from uslm.pipeline.bundle import (
    load_bundle,
    read_bundle_config,
    read_bundle_frontend,
    resolve_bundle,
)
from uslm.pipeline.speaker import Converter, FrontEnd, Speaker, SpeakerSettings
from uslm.text.lexicon import Lexicon
from uslm_tokenizer.errors import UserError


def load_speaker(
    name_or_path: str | PathLike[str] = "default",
    *,
    device: str | torch.device = "cpu",
    dtype: torch.dtype | str | None = None,
    revision: str | None = None,
    local_files_only: bool = False,
) -> Speaker:
    """A model that speaks. Raises UserError if it cannot."""
    bundle = load_bundle(name_or_path, revision=revision, local_files_only=local_files_only)
    return bundle.to(device, dtype)


def load_converter(
    name_or_path: str | PathLike[str] = "default",
    *,
    device: str | torch.device = "cpu",
    dtype: torch.dtype | str | None = None,
    revision: str | None = None,
    local_files_only: bool = False,
) -> Converter:
    """A model that converts voices. Raises UserError if it cannot."""
    loaded = load_speaker(
        name_or_path,
        device=device,
        dtype=dtype,
        revision=revision,
        local_files_only=local_files_only,
    )
    return as_converter(loaded)


def resolve_speaker(
    name_or_path: str | PathLike[str] = "default",
    *,
    revision: str | None = None,
    local_files_only: bool = False,
) -> Path:
    """The folder of a model."""
    return resolve_bundle(name_or_path, revision=revision, local_files_only=local_files_only)


def as_converter(speaker: Speaker) -> Converter:
    """The same model, converting. Raises UserError if it only speaks."""
    if not isinstance(speaker, Converter):
        raise UserError(f"model {speaker.settings.name!r} speaks texts, but converts no voices")
    return speaker


def read_settings(name_or_path: str | PathLike[str] = "default") -> SpeakerSettings:
    """What a model says of itself, without loading any weights."""
    return read_bundle_config(resolve_speaker(name_or_path))


def read_frontend(
    name_or_path: str | PathLike[str] = "default",
    *,
    language: str | None = None,
    lexicon: Lexicon | None = None,
) -> FrontEnd:
    """The front end of a model, without loading any weights."""
    return read_bundle_frontend(resolve_speaker(name_or_path), language=language, lexicon=lexicon)
