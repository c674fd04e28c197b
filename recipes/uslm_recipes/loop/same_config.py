"""A checkpoint goes on only with the config and the data that it was made with."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from uslm_tokenizer.errors import ConfigError
from uslm_tokenizer.renames import current_key

LONGEST_SHOWN = 200
"""Characters of a value; a checkpoint of others may hold whatever it likes."""
FREE = frozenset(
    {
        *("loop.steps", "loop.max_minutes", "loop.stop_after_minutes", "loop.accept_changes"),
        *("loop.log_every", "loop.validate_every", "loop.samples", "loop.trackers"),
        *("loop.save_every_minutes", "loop.keep_last", "loop.max_skipped_in_a_row"),
        *("loop.read_ahead", "loop.compile", "loop.licence", "loop.push_to_hub"),
        # Folders may lie elsewhere on another machine: their contents are compared instead.
        *("corpus", "tokens", "teacher", "units", "tokenizer", "acoustic", "recognizer", "initial"),
    }
)
"""Keys that may change between the processes of a run."""


def check_same(
    path: Path, saved: Mapping[str, Any], config: Mapping[str, Any], data: Mapping[str, Any]
) -> None:
    """Raise ConfigError that names what differs. `saved` is what the checkpoint says of itself."""
    differences = [
        *_differences(saved.get("config"), config),
        *_differences(saved.get("data"), data),
    ]
    shown = [f"{key} = {_short(was)}, but now it is {_short(now)}" for key, was, now in differences]
    if shown:
        more = f" (and {len(shown) - 3} more)" if len(shown) > 3 else ""
        raise ConfigError(
            f"{path} was made with {'; '.join(shown[:3])}{more}: set it back, take another --out, "
            "or go on all the same with --set loop.accept_changes=true"
        )


def _differences(
    saved: Mapping[str, Any] | None, now: Mapping[str, Any]
) -> Iterator[tuple[str, Any, Any]]:
    """Keys that both know and that differ; a key that only one version has is let pass."""
    known = dict(flat(saved or {}))
    for key, value in flat(now):
        if key in known and known[key] != value and key not in FREE:
            yield key, known[key], value


def flat(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Values of nested mappings, by their keys with dots between them."""
    for key, value in values.items():
        if isinstance(value, Mapping):
            yield from flat(value, f"{prefix}{current_key(key)}.")
        else:
            yield f"{prefix}{current_key(key)}", value


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= LONGEST_SHOWN else f"{text[:LONGEST_SHOWN]}..."
