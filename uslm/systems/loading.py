"""Finds and loads a model by what its folder holds, ours or a pretrained one."""

from os import PathLike
from pathlib import Path

import torch

from uslm.models.device import read_device
from uslm.models.folders import BUNDLE_FILE, resolve_bundle
from uslm.synthesis.protocols import (
    Answerer,
    Converter,
    FrontEnd,
    Imitate,
    Synthesizer,
    SynthesizerSettings,
    VoiceMaker,
)
from uslm.systems.entry import Pipeline
from uslm.systems.registry import ENTRIES
from uslm.systems.two_stage.bundle import IMITATES, load_bundle, outline_bundle
from uslm.systems.two_stage.facts import read_bundle_config, read_bundle_frontend
from uslm.text.frontend import TextFrontend
from uslm.text.lexicon import Lexicon
from uslm_tokenizer.errors import ConfigError, UserError
from uslm_tokenizer.pretrained.store import Store, read_record


def load_synthesizer(
    name_or_path: str | PathLike[str] = "default",
    *,
    device: str | torch.device = "cpu",
    dtype: torch.dtype | str | None = None,
    revision: str | None = None,
    local_files_only: bool = False,
) -> Synthesizer:
    """A model that speaks. Raises UserError if it cannot.

    A pretrained one that is not on this machine yet is downloaded and converted first.
    """
    return as_synthesizer(_load(name_or_path, device, dtype, revision, local_files_only))


def as_synthesizer(model: VoiceMaker) -> Synthesizer:
    """The same model, speaking. Raises UserError if it only converts."""
    if not isinstance(model, Synthesizer):
        raise UserError(f"model {model.settings.name!r} converts recordings, but speaks no texts")
    return model


def _load(
    name_or_path: str | PathLike[str],
    device: str | torch.device,
    dtype: torch.dtype | str | None,
    revision: str | None,
    local_files_only: bool,
) -> VoiceMaker:
    folder = resolve_synthesizer(name_or_path, revision=revision, local_files_only=local_files_only)
    device = read_device(device)
    if (pipeline := _pretrained(folder)) is None:
        return load_bundle(folder).to(device, dtype)
    return pipeline.load_model(folder, device=device, dtype=dtype)


def outline_synthesizer(name_or_path: str | PathLike[str] = "default") -> Synthesizer:
    """A model without its weights: it says what does not fit it, and speaks nothing."""
    folder = resolve_synthesizer(name_or_path)
    if (pipeline := _pretrained(folder)) is None:
        return outline_bundle(folder)
    return as_synthesizer(pipeline.outline_model(folder))


def load_converter(
    name_or_path: str | PathLike[str] = "default",
    *,
    device: str | torch.device = "cpu",
    dtype: torch.dtype | str | None = None,
    revision: str | None = None,
    local_files_only: bool = False,
) -> Converter:
    """A model that converts voices. Raises UserError if it cannot."""
    return as_converter(_load(name_or_path, device, dtype, revision, local_files_only))


def as_converter(model: VoiceMaker) -> Converter:
    """The same model, converting. Raises UserError if it only speaks."""
    if not isinstance(model, Converter):
        raise UserError(f"model {model.settings.name!r} speaks texts, but converts no voices")
    return model


def load_answerer(
    name_or_path: str | PathLike[str],
    *,
    device: str | torch.device = "cpu",
    dtype: torch.dtype | str | None = None,
) -> Answerer:
    """A model that answers questions. Raises UserError if it does not."""
    model = _load(name_or_path, device, dtype, None, False)
    if not isinstance(model, Answerer):
        raise UserError(
            f"model {model.settings.name!r} answers no questions; train one that does with "
            "train_dual_speech"
        )
    return model


def resolve_synthesizer(
    name_or_path: str | PathLike[str] = "default",
    *,
    revision: str | None = None,
    local_files_only: bool = False,
) -> Path:
    """The folder of a model; what is not on this machine yet is downloaded."""
    name = str(name_or_path)
    if _speaks(name) and not _holds_model(Path(name)):
        from uslm.systems.catalogue import CATALOGUE

        return Store(catalogue=CATALOGUE).folder(name, offline=local_files_only)
    return resolve_bundle(name_or_path, revision=revision, local_files_only=local_files_only)


def read_settings(name_or_path: str | PathLike[str] = "default") -> SynthesizerSettings:
    """Settings of a model, without loading any weights."""
    folder = resolve_synthesizer(name_or_path)
    pipeline = _pretrained(folder)
    return read_bundle_config(folder) if pipeline is None else pipeline.read_settings(folder)


def read_imitates(name_or_path: str | PathLike[str] = "default") -> tuple[Imitate, ...]:
    """Aspects of a voice that a model can imitate, none if it only speaks; loads no weights."""
    folder = resolve_synthesizer(name_or_path)
    pipeline = _pretrained(folder)
    return IMITATES if pipeline is None else pipeline.read_imitates(folder)


def read_frontend(
    name_or_path: str | PathLike[str] = "default",
    *,
    language: str | None = None,
    lexicon: Lexicon | None = None,
) -> FrontEnd:
    """The front end of a model, without loading any weights."""
    folder = resolve_synthesizer(name_or_path)
    if (pipeline := _pretrained(folder)) is None:
        return read_bundle_frontend(folder, language=language, lexicon=lexicon)
    vocab, phonemizer = pipeline.read_text(folder)
    language = language or pipeline.read_settings(folder).language
    return TextFrontend(language, vocab, lexicon, phonemizer=phonemizer)


def _pretrained(folder: Path) -> Pipeline | None:
    """Pipeline of the pretrained system of a folder; None if it must be a model of ours."""
    record = read_record(folder)
    if record is None:
        return None
    entry = ENTRIES.get(record["system"])
    if entry is None or entry.pipeline is None:
        raise ConfigError(
            f"{folder} holds {record['system']!r}, which does not speak; those that do are "
            f"{sorted(filter(_speaks, ENTRIES))}"
        )
    return entry.pipeline


def _holds_model(folder: Path) -> bool:
    """Whether a folder that is called as a pretrained system is one: the clone has uslm/."""
    return (folder / BUNDLE_FILE).is_file() or (folder.is_dir() and read_record(folder) is not None)


def _speaks(name: str) -> bool:
    """Whether it is the name of a pretrained system that speaks."""
    return name in ENTRIES and ENTRIES[name].pipeline is not None
