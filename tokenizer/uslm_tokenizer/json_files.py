"""JSON that somebody else wrote: read into a mapping, or refused in one line."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from uslm_tokenizer.errors import ConfigError


def read_mapping(path: Path) -> dict[str, Any]:
    """The mapping in a JSON file. Raises ConfigError where it cannot be read, or is none."""
    try:
        text = path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as problem:
        raise ConfigError(f"{path} cannot be read: {problem}") from problem
    try:
        return parse_mapping(text)
    except ConfigError as problem:
        raise ConfigError(f"{path} {problem}") from problem


def parse_mapping(text: str) -> dict[str, Any]:
    """The mapping that a text is. Raises ConfigError, whose words follow the name of a thing."""
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as problem:  # numbers too long, brackets too deep
        raise ConfigError(f"is not JSON: {problem}") from problem
    if not isinstance(found, dict):
        raise ConfigError(f"must hold a mapping, but holds a {type(found).__name__}")
    return found


def check_format(description: Mapping[str, Any], newest: int, where: object) -> None:
    """Raise ConfigError unless the key `format` is a number that this version reads."""
    version = description.get("format", newest)
    if isinstance(version, bool) or not isinstance(version, int) or not 1 <= version <= newest:
        raise ConfigError(
            f"{where} has format {str(version)[:40]}, this version reads up to {newest}; "
            "upgrade uslm"
        )
