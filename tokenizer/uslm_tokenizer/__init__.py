"""Speech tokenizers: waveforms to discrete tokens and back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from uslm_tokenizer.addresses import load_address

if TYPE_CHECKING:
    from uslm_tokenizer.audio.read import Audio, read_audio, resample
    from uslm_tokenizer.audio.write import write_audio
    from uslm_tokenizer.base import AudioTokenizer
    from uslm_tokenizer.columns import decode_column, encode_column
    from uslm_tokenizer.errors import UserError
    from uslm_tokenizer.registry import load_tokenizer

__all__ = [
    "Audio",
    "AudioTokenizer",
    "UserError",
    "decode_column",
    "encode_column",
    "load_tokenizer",
    "read_audio",
    "resample",
    "write_audio",
]

# Imported on first use, as those of uslm.
_HOMES = {
    "Audio": "uslm_tokenizer.audio.read:Audio",
    "AudioTokenizer": "uslm_tokenizer.base:AudioTokenizer",
    "UserError": "uslm_tokenizer.errors:UserError",
    "decode_column": "uslm_tokenizer.columns:decode_column",
    "encode_column": "uslm_tokenizer.columns:encode_column",
    "load_tokenizer": "uslm_tokenizer.registry:load_tokenizer",
    "read_audio": "uslm_tokenizer.audio.read:read_audio",
    "resample": "uslm_tokenizer.audio.read:resample",
    "write_audio": "uslm_tokenizer.audio.write:write_audio",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return load_address(_HOMES[name])


def __dir__() -> list[str]:
    return sorted(__all__)
