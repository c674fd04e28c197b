"""The entry of a system: all that the rest of the package knows of it, in its folder."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from os import PathLike
from pathlib import Path
from typing import Protocol, cast

import torch

from uslm.synthesis.protocols import Imitate, SynthesizerSettings, VoiceMaker
from uslm.text.phonemize import Phonemizer
from uslm.text.vocab import TextVocab
from uslm_tokenizer.addresses import load_address
from uslm_tokenizer.errors import UserError
from uslm_tokenizer.pretrained.catalogue import Part, System, Weights
from uslm_tokenizer.pretrained.source import HubFile


class LoadModel(Protocol):
    """Loads a converted folder: a `Synthesizer`, a `Converter`, or both."""

    def __call__(
        self,
        folder: str | PathLike[str],
        *,
        device: str | torch.device = "cpu",
        dtype: torch.dtype | str | None = None,
        outline: bool = False,
    ) -> VoiceMaker: ...


@dataclass(frozen=True, kw_only=True)
class Pipeline:
    """The pipeline of a converted folder, by addresses: nothing is imported before it is asked
    for."""

    load: str
    """Of a `LoadModel`."""
    settings: str
    """Of a function of the folder: how its model is used."""
    tiny: str
    """Of a function of an empty folder: writes there what a conversion would, of random weights."""
    text: str = ""
    """Of a function of the folder: vocabulary and phonemizer; empty: it reads no text."""
    imitates: str = ""
    """Of a function of the folder: what it can take from a voice; empty: it converts nothing."""

    def load_model(
        self, folder: Path, *, device: str | torch.device, dtype: torch.dtype | str | None
    ) -> VoiceMaker:
        """The model of the folder."""
        load: LoadModel = load_address(self.load)
        return load(folder, device=device, dtype=dtype)

    def outline_model(self, folder: Path) -> VoiceMaker:
        """The model without its weights: for what can be asked before it speaks."""
        load: LoadModel = load_address(self.load)
        return load(folder, outline=True)

    def read_settings(self, folder: Path) -> SynthesizerSettings:
        """Settings of the model; loads no weights, and neither do the others."""
        return cast(SynthesizerSettings, load_address(self.settings)(folder))

    def read_text(self, folder: Path) -> tuple[TextVocab, Phonemizer]:
        """The front end of the model and its vocabulary; UserError where it reads no text."""
        if not self.text:
            raise UserError(f"model {self.read_settings(folder).name!r} reads no text")
        return cast(tuple[TextVocab, Phonemizer], load_address(self.text)(folder))

    def save_tiny(self, folder: Path) -> Path:
        """A folder as a conversion writes it, in which everything is small and random."""
        return cast(Path, load_address(self.tiny)(folder))

    def read_imitates(self, folder: Path) -> tuple[Imitate, ...]:
        """Aspects of a voice that the model can imitate."""
        if not self.imitates:
            return ()
        return cast(tuple[Imitate, ...], load_address(self.imitates)(folder))


@dataclass(frozen=True, kw_only=True)
class Entry:
    """A system: its models, and, where it was published, its files and how they speak."""

    models: Mapping[str, str]
    """Name in `config.json` to the "module:Class" of the model."""
    key_mappings: Mapping[str, str] = field(default_factory=dict)
    """Name to the "module:NAME" of a `KeyMapping` of its checkpoints."""
    pretrained: System | None = None
    """Its files, pins and parts; None where nothing is to be converted."""
    pipeline: Pipeline | None = None
    """None where it does not speak from a converted folder."""


def single_part(name: str, key_mapping: str, file: HubFile, config: str, entry: str = "") -> Part:
    """A model of one file; `entry` is where in the file its weights are."""
    return Part(
        name=name,
        components=(Weights(key_mapping=key_mapping, file=file, config=config, entry=entry),),
    )
