"""Options that several commands have, frozen and typed."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class CommonOptions:
    """Options of every command."""

    command: str
    """Its words."""
    json: bool
    quiet: bool
    debug: bool


@dataclass(frozen=True, kw_only=True)
class DeviceOptions:
    """Device that a model runs on."""

    device: str
    threads: int | None


@dataclass(frozen=True, kw_only=True)
class ModelOptions(DeviceOptions):
    """A model, and where it runs."""

    model: str
    dtype: str | None


@dataclass(frozen=True, kw_only=True)
class VoiceOptions:
    """A voice: a recording, or a voice by its name or file."""

    prompt: str | None
    voice: str | None
    prompt_text: str | None


@dataclass(frozen=True, kw_only=True)
class MannerOptions:
    """Another voice, whose manner of speaking it is."""

    manner: str | None
    manner_text: str | None


@dataclass(frozen=True, kw_only=True)
class FileOptions(CommonOptions):
    """Options of a command of one file."""

    file: str


@dataclass(frozen=True, kw_only=True)
class NameOptions(CommonOptions):
    """Options of a command of one name."""

    name: str


@dataclass(frozen=True, kw_only=True)
class NamesOptions(CommonOptions):
    """Options of a command of one name or several."""

    names: tuple[str, ...]
