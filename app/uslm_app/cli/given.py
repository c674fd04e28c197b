"""Options of each command as they were given, frozen and typed: nothing else is passed on.

Defaults stand in the parsers, their meaning in the lines of help there.
"""

from __future__ import annotations

from argparse import Namespace
from dataclasses import dataclass, fields
from typing import Any, Literal

from uslm_app.cli.option_groups import (
    CommonOptions,
    DeviceOptions,
    FileOptions,
    MannerOptions,
    ModelOptions,
    NameOptions,
    NamesOptions,
    VoiceOptions,
)


@dataclass(frozen=True, kw_only=True)
class SayOptions(VoiceOptions, MannerOptions, ModelOptions, CommonOptions):
    """Options of `uslm say`."""

    said: str | None
    text: str | None
    file: str | None
    language: str | None
    any_language: bool
    lexicon: str | None
    max_chars: int
    script: bool
    voice_for: tuple[tuple[str, str], ...]
    out: str | None
    format: str | None
    force: bool
    sidecar: bool
    srt: str | None
    vtt: str | None
    timestamps: bool
    dry_run: bool
    speed: float | None
    watermark: bool
    seed: int | None
    temperature: float | None
    top_k: int | None
    top_p: float | None
    verify: bool
    retries: int | None
    backend: str


@dataclass(frozen=True, kw_only=True)
class BatchOptions(VoiceOptions, ModelOptions, CommonOptions):
    """Options of `uslm batch`."""

    jobs: str
    out: str
    force: bool
    slots: int
    format: str
    seed: int | None
    speed: float
    verify: bool
    language: str | None
    any_language: bool


@dataclass(frozen=True, kw_only=True)
class ConvertOptions(VoiceOptions, MannerOptions, ModelOptions, CommonOptions):
    """Options of `uslm convert`."""

    source: str
    imitate: Literal["timbre", "style", "both"]
    out: str
    format: str | None
    force: bool
    sidecar: bool
    watermark: bool
    seed: int | None


@dataclass(frozen=True, kw_only=True)
class SingOptions(VoiceOptions, DeviceOptions, CommonOptions):
    """Options of `uslm sing`."""

    score: str
    lyrics: str | None
    transpose: float
    model: str
    out: str
    format: str | None
    force: bool
    sidecar: bool
    watermark: bool
    seed: int | None


@dataclass(frozen=True, kw_only=True)
class EnhanceOptions(DeviceOptions, CommonOptions):
    """Options of `uslm enhance`."""

    audio: str
    model: str
    out: str
    format: str | None
    force: bool
    sidecar: bool
    seed: int | None


@dataclass(frozen=True, kw_only=True)
class ContinueOptions(ModelOptions, CommonOptions):
    """Options of `uslm continue`."""

    prompt: str
    lm: str
    seconds: float
    only_new: bool
    out: str
    format: str | None
    force: bool
    sidecar: bool
    watermark: bool
    seed: int | None
    temperature: float | None
    top_k: int | None
    top_p: float | None


@dataclass(frozen=True, kw_only=True)
class AnswerOptions(VoiceOptions, DeviceOptions, CommonOptions):
    """Options of `uslm answer`."""

    audio: str | None
    text: str | None
    model: str
    out: str
    format: str | None
    force: bool
    sidecar: bool
    watermark: bool
    seed: int | None


@dataclass(frozen=True, kw_only=True)
class EncodeOptions(DeviceOptions, CommonOptions):
    """Options of `uslm encode`."""

    audio: str
    out: str
    codebooks: int | None
    force: bool
    tokenizer: str | None


@dataclass(frozen=True, kw_only=True)
class DecodeOptions(DeviceOptions, CommonOptions):
    """Options of `uslm decode`."""

    codes: str
    out: str
    format: str | None
    force: bool
    tokenizer: str | None


@dataclass(frozen=True, kw_only=True)
class VoiceCreateOptions(ModelOptions, CommonOptions):
    """Options of `uslm voice create`."""

    prompt: str
    prompt_text: str | None
    name: str | None
    out: str | None
    licence: str | None
    consent: str | None
    speaker_model: str | None
    enhance: str | None
    force: bool


@dataclass(frozen=True, kw_only=True)
class VoiceShowOptions(CommonOptions):
    """Options of `uslm voice show`."""

    voice: str


@dataclass(frozen=True, kw_only=True)
class VoicePlayOptions(ModelOptions, CommonOptions):
    """Options of `uslm voice play`."""

    voice: str


@dataclass(frozen=True, kw_only=True)
class VoiceExportOptions(ModelOptions, CommonOptions):
    """Options of `uslm voice export`."""

    voice: str
    out: tuple[str, ...]
    force: bool


@dataclass(frozen=True, kw_only=True)
class VoiceImportOptions(CommonOptions):
    """Options of `uslm voice import`."""

    file: str
    name: str | None
    force: bool


@dataclass(frozen=True, kw_only=True)
class ServeOptions(ModelOptions, CommonOptions):
    """Options of `uslm serve`."""

    host: str
    port: int
    wyoming: tuple[str, int] | None
    conversation: str | None
    max_conversations: int
    token_file: str | None
    voices: str | None
    voice_alias: tuple[tuple[str, str], ...]
    fixed_voices: bool
    strict: bool
    allow_origin: tuple[str, ...]
    watermark: bool
    language: str | None
    any_language: bool
    slots: int
    queue: int
    max_chars: int
    max_upload_mb: float
    max_seconds: float
    finish_seconds: float
    replicas: int | None
    ray_address: str | None
    replica_cpus: float
    replica_gpus: float


@dataclass(frozen=True, kw_only=True)
class ModelsListOptions(CommonOptions):
    """Options of `uslm models list`."""

    here: bool


@dataclass(frozen=True, kw_only=True)
class ModelsDownloadOptions(NamesOptions):
    """Options of `uslm models download`."""

    offline: bool


@dataclass(frozen=True, kw_only=True)
class ModelsConvertOptions(NameOptions):
    """Options of `uslm models convert`."""

    out: str | None
    checkpoint: tuple[str, ...]
    config: str | None
    dtype: str | None
    force: bool
    offline: bool


@dataclass(frozen=True, kw_only=True)
class ExportOptions(CommonOptions):
    """Options of `uslm export`."""

    model: str
    format: str
    out: str
    precision: Literal["float32", "int8"] | None
    force: bool


@dataclass(frozen=True, kw_only=True)
class EvaluateOptions(ModelOptions, CommonOptions):
    """Options of `uslm evaluate`."""

    list: str | None
    recordings: tuple[str, ...] | None
    speech: str | None
    limit: int | None
    recognizer: str | None
    speaker_model: str | None
    dnsmos: bool
    normalizer: Literal["whisper", "seed-tts-eval"]
    language: Literal["en", "zh"]
    tokenizer: tuple[str, ...] | None
    manifest: str | None
    suites: tuple[str, ...]
    seeds: int
    quick: bool
    verify: bool
    seed: int
    out: str
    force: bool


@dataclass(frozen=True, kw_only=True)
class BenchOptions(ModelOptions, CommonOptions):
    """Options of `uslm bench`."""

    text: str | None
    prompt: str | None
    repeats: int
    batch: int
    seed: int | None


@dataclass(frozen=True, kw_only=True)
class CompletionOptions(CommonOptions):
    """Options of `uslm completion`."""

    shell: str
    of: str


OPTIONS: dict[str, type[CommonOptions]] = {
    "say": SayOptions,
    "batch": BatchOptions,
    "convert": ConvertOptions,
    "sing": SingOptions,
    "enhance": EnhanceOptions,
    "continue": ContinueOptions,
    "answer": AnswerOptions,
    "encode": EncodeOptions,
    "decode": DecodeOptions,
    "voice create": VoiceCreateOptions,
    "voice list": CommonOptions,
    "voice show": VoiceShowOptions,
    "voice play": VoicePlayOptions,
    "voice export": VoiceExportOptions,
    "voice import": VoiceImportOptions,
    "voice remove": NamesOptions,
    "watermark detect": FileOptions,
    "serve": ServeOptions,
    "models list": ModelsListOptions,
    "models info": NameOptions,
    "models download": ModelsDownloadOptions,
    "models path": NameOptions,
    "models verify": NamesOptions,
    "models convert": ModelsConvertOptions,
    "models remove": NamesOptions,
    "codecs": CommonOptions,
    "export": ExportOptions,
    "evaluate": EvaluateOptions,
    "bench": BenchOptions,
    "completion": CompletionOptions,
}


def given(command: str, parsed: Namespace) -> CommonOptions:
    """Parsed options, frozen: a list becomes a tuple."""
    values = {name: _frozen(value) for name, value in vars(parsed).items()}
    kind = OPTIONS[command]
    assert values.keys() == {field.name for field in fields(kind)} - {"command"}, command
    return kind(command=command, **values)


def _frozen(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value
