"""The entry of a codec: all that the rest of the project knows of it, in its folder."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from uslm_tokenizer.pretrained.catalogue import Component, Part, System


@dataclass(frozen=True, kw_only=True)
class Entry:
    """A codec: its models, and, where it was published, its key mappings and files."""

    models: Mapping[str, str] = field(default_factory=dict)
    """Name in `config.json` to the "module:Class" of an `AudioTokenizer`."""
    key_mappings: Mapping[str, str] = field(default_factory=dict)
    """Name to the "module:NAME" of a `KeyMapping` of its checkpoints."""
    pretrained: Mapping[str, System] = field(default_factory=dict)
    """Name, as commands take it, to files and pins; in the folder of its key mapping."""


def pretrained_tokenizer(title: str, part: Part | Component) -> System:
    """A pretrained system of one model."""
    if not isinstance(part, Part):
        part = Part(name="tokenizer", components=(part,))
    return System(title=title, kind="tokenizer", parts=(part,))
