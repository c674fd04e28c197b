"""Catalogue of pretrained systems: their parts, their files, and what becomes of them."""

import functools
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.resources import files
from typing import Any, Literal

from uslm_tokenizer.errors import UserError
from uslm_tokenizer.pretrained.mappings import get_key_mapping
from uslm_tokenizer.pretrained.source import HubFile, Source


@dataclass(frozen=True, kw_only=True)
class Weights:
    """A pretrained checkpoint, and the key mapping by which it becomes a model of ours."""

    key_mapping: str
    """Name in the table of key mappings."""
    file: Source
    config: str | Source
    """The reference's constructor arguments: the published file, or an entry of the configs.json
    beside the key mapping."""
    usual_config: str = ""
    """Where `config` is a file: the entry of configs.json that it is known to equal."""
    entry: str = ""
    """Where in the file the weights are, see `read_checkpoint`."""

    @property
    def sources(self) -> tuple[Source, ...]:
        """All its files."""
        return (self.file,) if isinstance(self.config, str) else (self.file, self.config)


@dataclass(frozen=True, kw_only=True)
class SpeechEncoder:
    """A pretrained encoder of transformers, cut after the layer that is processed."""

    repo: str
    revision: str
    backbone: Mapping[str, Any]
    """Its transformers configuration, as far as it is not the default of its `model_type`."""
    layer: int
    """Counted from 1."""
    padding: Literal["both", "end", "none"]
    """See `SSLConfig`."""
    statistics: Source | None
    """Mean and deviation, or variance, of each dimension: .pt or .npz; None: not standardised."""
    weights: str = "model.safetensors"
    """Name of its file of weights."""

    @property
    def files(self) -> tuple[HubFile, ...]:
        """Files that transformers reads, in one folder."""
        names = ("config.json", "preprocessor_config.json", self.weights)
        return tuple(HubFile(repo=self.repo, path=name, revision=self.revision) for name in names)

    @property
    def sources(self) -> tuple[Source, ...]:
        """All its files."""
        return (*self.files, *([self.statistics] if self.statistics else []))


Component = Weights | SpeechEncoder


@dataclass(frozen=True, kw_only=True)
class Part:
    """A model of ours, of one component or of several."""

    name: str
    """Folder it is written to, where there are several parts."""
    components: tuple[Component, ...]
    model: str = ""
    """ "module:Class" whose `from_parts` joins the components; empty where there is one
    component."""


@dataclass(frozen=True, kw_only=True)
class System:
    """An entry of the catalogue."""

    title: str
    """In a few words, for people."""
    kind: Literal["tokenizer", "speech"]
    """A tokenizer is one model; speech is several, which a pipeline of ours plays together."""
    parts: tuple[Part, ...] = ()
    """The models that conversion writes."""
    files: Mapping[str, Source] = field(default_factory=dict)
    """Files that are copied as they are, by the names they get."""
    ready: tuple[HubFile, ...] = ()
    """The files of a folder that can be used as it is, in the layout of transformers."""
    model: str = ""
    """Of a `ready` folder: "module:Class" of the tokenizer of ours that reads it."""
    config: Mapping[str, Any] = field(default_factory=dict)
    """Of a `ready` folder: its transformers configuration, as far as it is not the default."""
    source: str = ""
    """Where the code was published; empty: as the key mappings of the parts say."""
    code_licence: str = ""
    """Likewise."""
    weights_licence: str = "not stated"
    """Of a `ready` folder; else the key mappings say."""
    conversion: int = 1
    """To be raised when the same files become other bytes: they are converted anew then."""

    @property
    def sources(self) -> tuple[Source, ...]:
        """Every file, each once."""
        components = [component for part in self.parts for component in part.components]
        found = [source for component in components for source in component.sources]
        return tuple(dict.fromkeys([*found, *self.files.values(), *self.ready]))

    @property
    def fingerprint(self) -> str:
        """12 hex digits of all that a conversion depends on: its files and its number.

        Titles, places in our code and the like may change; what was converted stays found.
        """
        files = sorted(source.identity for source in self.sources)
        return hashlib.sha256(json.dumps([self.conversion, files]).encode()).hexdigest()[:12]


@dataclass(frozen=True, kw_only=True)
class Catalogue:
    """Systems by name, and the key mappings that their parts speak of."""

    systems: Mapping[str, System]
    key_mappings: Mapping[str, str]

    def licences(self, name: str) -> dict[str, str]:
        """Source, licence of the code and licence of the weights; of all parts, each once."""
        system = self.get(name)
        components = [component for part in system.parts for component in part.components]
        key_mappings = [
            get_key_mapping(component.key_mapping, self.key_mappings)
            for component in components
            if isinstance(component, Weights)
        ]
        weights = [key_mapping.weights_licence for key_mapping in key_mappings] or [
            system.weights_licence
        ]
        return {
            "source": system.source or _once([key_mapping.source for key_mapping in key_mappings]),
            "code_licence": system.code_licence
            or _once([each.code_licence for each in key_mappings]),
            "weights_licence": _once(weights),
        }

    def get(self, name: str) -> System:
        """Raises UserError if there is none."""
        if name not in self.systems:
            raise UserError(f"no pretrained model named {name!r}; there are {sorted(self.systems)}")
        return self.systems[name]


def _once(found: list[str]) -> str:
    return "; ".join(dict.fromkeys(found))


@functools.cache
def pretrained_config(key_mapping: str, name: str) -> Mapping[str, Any]:
    """The constructor arguments with which a reference was published: an entry of `configs.json`
    in the folder of its key mapping, of which the address is given."""
    folder = files(key_mapping.partition(":")[0].rpartition(".")[0])
    found: dict[str, dict[str, Any]] = json.loads(
        folder.joinpath("configs.json").read_text("utf-8")
    )
    return found[name]
