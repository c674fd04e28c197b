"""Configs are frozen dataclasses; this turns them into plain dicts and back, strictly."""

import dataclasses
import difflib
import math
import types
from collections.abc import Mapping
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from uslm_tokenizer.errors import ConfigError
from uslm_tokenizer.renames import current_keys

Config = TypeVar("Config")
MAX_SHOWN = 200
"""Characters of a wrong value that a message repeats."""


def to_dict(config: Any) -> dict[str, Any]:
    """The config as a dict of JSON values; tuples become lists."""
    return {field.name: _plain(getattr(config, field.name)) for field in dataclasses.fields(config)}


def from_dict(cls: type[Config], data: object, *, where: str = "") -> Config:
    """Build `cls` from a dict. An unknown key, a missing one or a wrong type raises ConfigError.

    Keys of before are read, see renames.py.
    """
    assert dataclasses.is_dataclass(cls)
    if not isinstance(data, Mapping):
        raise ConfigError(f"{where or cls.__name__} must be a mapping, but is {_shown(data)}")
    hints = get_type_hints(cls)
    fields = {field.name: field for field in dataclasses.fields(cls)}
    prefix = f"{where}." if where else ""
    data = current_keys(cls, data)
    for key in data:
        if key not in fields:
            raise ConfigError(_unknown_key(f"{prefix}{key}", str(key), cls.__name__, list(fields)))
    values = {
        key: _restore(hints[key], value, where=f"{prefix}{key}") for key, value in data.items()
    }
    for name, field in fields.items():
        optional = (
            field.default is not dataclasses.MISSING
            or field.default_factory is not dataclasses.MISSING
        )
        if name not in values and not optional:
            raise ConfigError(f"{prefix}{name} is missing; {cls.__name__} needs it")
    try:
        return cls(**values)
    except (ArithmeticError, LookupError, TypeError) as problem:  # ValueErrors are meant to be told
        raise ConfigError(f"{where or cls.__name__} cannot be: {problem}") from problem


def _shown(value: object) -> str:
    """A value for a message, which need not hold all of it."""
    try:
        text = repr(value)
    except (RecursionError, ValueError):  # too deep; an integer with too many digits
        return f"a {type(value).__name__}"
    return text if len(text) <= MAX_SHOWN else f"{text[:MAX_SHOWN]}..."


def _unknown_key(path: str, key: str, owner: str, known: list[str]) -> str:
    path, key = path[:MAX_SHOWN], key[:MAX_SHOWN]
    near = difflib.get_close_matches(key, known, n=1)
    hint = f"; did you mean {near[0]!r}?" if near else f"; there are {sorted(known)}"
    return f"{owner} has no key {path!r}{hint}"


def _plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return to_dict(value)
    if isinstance(value, (tuple, list)):
        return [_plain(item) for item in value]
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    return value


def _restore(hint: Any, value: Any, *, where: str) -> Any:
    """`value` as the type `hint` asks for: nested configs built, lists made tuples again."""
    if hint is Any:
        return value
    origin, arguments = get_origin(hint), get_args(hint)
    if origin in (Union, types.UnionType):
        return _restore_union(arguments, value, where=where)
    if origin is Literal:
        if value not in arguments:
            raise ConfigError(f"{where} must be one of {list(arguments)}, but is {_shown(value)}")
        return value
    if dataclasses.is_dataclass(hint) and isinstance(hint, type):
        return value if isinstance(value, hint) else from_dict(hint, value, where=where)
    if origin is tuple:
        return _restore_tuple(arguments, value, where=where)
    if origin in (dict, Mapping):
        if not isinstance(value, Mapping):
            raise ConfigError(f"{where} must be a mapping, but is {_shown(value)}")
        return {k: _restore(arguments[1], v, where=f"{where}.{k}") for k, v in value.items()}
    if hint is float and isinstance(value, (int, float)) and not isinstance(value, bool):
        return _finite(value, where=where)
    if hint is int and isinstance(value, bool):
        raise ConfigError(f"{where} must be int, but is {value!r}")
    if isinstance(hint, type) and not isinstance(value, hint):
        raise ConfigError(f"{where} must be {hint.__name__}, but is {_shown(value)}")
    return value


def _finite(value: float | int, *, where: str) -> float:
    try:
        number = float(value)
    except OverflowError:
        number = math.inf
    if not math.isfinite(number):
        raise ConfigError(f"{where} must be a finite number, but is {_shown(value)}")
    return number


def _restore_union(options: tuple[Any, ...], value: Any, *, where: str) -> Any:
    if value is None and type(None) in options:
        return None
    problems: dict[Any, str] = {}
    for option in options:
        if option is type(None):
            continue
        try:
            return _restore(option, value, where=where)
        except ConfigError as problem:
            problems[option] = str(problem)
    raise ConfigError("; ".join(_nearest_problems(problems, value)))


def _nearest_problems(problems: Mapping[Any, str], value: Any) -> list[str]:
    """Of several configs that a mapping is none of, the problem of the one that knows most of its
    keys. Where the value of a key tells kinds apart, all that know as many."""
    configs = [option for option in problems if dataclasses.is_dataclass(option)]
    if not isinstance(value, Mapping) or not configs:
        return list(dict.fromkeys(problems.values()))
    known = {each: value.keys() & {f.name for f in dataclasses.fields(each)} for each in configs}
    most = max(len(keys) for keys in known.values())
    nearest = [option for option in configs if len(known[option]) == most]
    hints = get_type_hints(nearest[0])
    tagged = any(get_origin(hints[key]) is Literal for key in known[nearest[0]])
    return [problems[option] for option in (nearest if tagged else nearest[:1])]


def _restore_tuple(arguments: tuple[Any, ...], value: Any, *, where: str) -> tuple[Any, ...]:
    if not isinstance(value, (list, tuple)):
        raise ConfigError(f"{where} must be a list, but is {_shown(value)}")
    if len(arguments) == 2 and arguments[1] is Ellipsis:
        arguments = (arguments[0],) * len(value)
    if len(arguments) != len(value):
        raise ConfigError(f"{where} must have {len(arguments)} items, but has {len(value)}")
    pairs = enumerate(zip(arguments, value, strict=True))
    return tuple(_restore(hint, item, where=f"{where}[{i}]") for i, (hint, item) in pairs)
