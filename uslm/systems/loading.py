"""Finds and loads a model by what its folder holds, ours or a published one."""

from importlib import import_module
from os import PathLike
from pathlib import Path
from typing import Any

import torch

from uslm.synthesis.protocols import Converter, FrontEnd, Imitate, Speaker, SpeakerSettings
from uslm.systems.two_stage.bundle import IMITATES, load_bundle, resolve_bundle
from uslm.systems.two_stage.facts import read_bundle_config, read_bundle_frontend
from uslm.text.frontend import TextFrontend
from uslm.text.lexicon import Lexicon
from uslm_tokenizer.errors import ConfigError, UserError
from uslm_tokenizer.pretrained.store import Store, read_record

PUBLISHED = {
    "uslm": "uslm.systems.valle.pipeline",
    "maskgct": "uslm.systems.maskgct.pipeline",
    "vevo": "uslm.systems.vevo.pipeline",
}
"""Published systems that speak or convert, and the modules of their pipelines."""


def load_speaker(
    name_or_path: str | PathLike[str] = "default",
    *,
    device: str | torch.device = "cpu",
    dtype: torch.dtype | str | None = None,
    revision: str | None = None,
    local_files_only: bool = False,
) -> Speaker:
    """A model that speaks. Raises UserError if it cannot.

    A published one that is not on this machine yet is downloaded and converted first.
    """
    folder = resolve_speaker(name_or_path, revision=revision, local_files_only=local_files_only)
    if (system := _published(folder)) is None:
        return load_bundle(folder).to(device, dtype)
    speaker: Speaker = _of(system, f"load_{system}")(folder, device=device, dtype=dtype)
    return speaker


def load_converter(
    name_or_path: str | PathLike[str] = "default",
    *,
    device: str | torch.device = "cpu",
    dtype: torch.dtype | str | None = None,
    revision: str | None = None,
    local_files_only: bool = False,
) -> Converter:
    """A model that converts voices. Raises UserError if it cannot."""
    return as_converter(
        load_speaker(
            name_or_path,
            device=device,
            dtype=dtype,
            revision=revision,
            local_files_only=local_files_only,
        )
    )


def as_converter(speaker: Speaker) -> Converter:
    """The same model, converting. Raises UserError if it only speaks."""
    if not isinstance(speaker, Converter):
        raise UserError(f"model {speaker.settings.name!r} speaks texts, but converts no voices")
    return speaker


def resolve_speaker(
    name_or_path: str | PathLike[str] = "default",
    *,
    revision: str | None = None,
    local_files_only: bool = False,
) -> Path:
    """The folder of a model; what is not on this machine yet is downloaded."""
    name = str(name_or_path)
    if name in PUBLISHED and not Path(name).is_dir():
        from uslm.systems.catalogue import CATALOGUE

        return Store(catalogue=CATALOGUE).folder(name, offline=local_files_only)
    return resolve_bundle(name_or_path, revision=revision, local_files_only=local_files_only)


def read_settings(name_or_path: str | PathLike[str] = "default") -> SpeakerSettings:
    """What a model says of itself, without loading any weights."""
    folder = resolve_speaker(name_or_path)
    if (system := _published(folder)) is None:
        return read_bundle_config(folder)
    settings: SpeakerSettings = _of(system, f"{system}_settings")(folder)
    return settings


def read_imitates(name_or_path: str | PathLike[str] = "default") -> tuple[Imitate, ...]:
    """What a model can take from a voice, nothing if it only speaks; loads no weights."""
    folder = resolve_speaker(name_or_path)
    if (system := _published(folder)) is None:
        return IMITATES
    read = getattr(import_module(PUBLISHED[system]), f"{system}_imitates", None)
    imitates: tuple[Imitate, ...] = () if read is None else read(folder)
    return imitates


def read_frontend(
    name_or_path: str | PathLike[str] = "default",
    *,
    language: str | None = None,
    lexicon: Lexicon | None = None,
) -> FrontEnd:
    """The front end of a model, without loading any weights."""
    folder = resolve_speaker(name_or_path)
    if (system := _published(folder)) is None:
        return read_bundle_frontend(folder, language=language, lexicon=lexicon)
    vocab, phonemizer = _of(system, f"{system}_text")(folder)
    language = language or read_settings(folder).language
    return TextFrontend(language, vocab, lexicon, phonemizer=phonemizer)


def _published(folder: Path) -> str | None:
    """The published system that a folder holds; None if it must be a model of ours."""
    record = read_record(folder)
    if record is None:
        return None
    if record["system"] not in PUBLISHED:
        raise ConfigError(
            f"{folder} holds {record['system']!r}, which does not speak; those that do are "
            f"{sorted(PUBLISHED)}"
        )
    return str(record["system"])


def _of(system: str, name: str) -> Any:
    return getattr(import_module(PUBLISHED[system]), name)
