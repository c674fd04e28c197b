"""Configs come back from JSON as they were, and nothing else does."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any, Literal

import pytest

from uslm_tokenizer.config import from_dict, to_dict
from uslm_tokenizer.errors import ConfigError


@dataclass(frozen=True, kw_only=True)
class Inner:
    width: int = 4


@dataclass(frozen=True, kw_only=True)
class Other:
    height: int
    rate: float = 0.5


@dataclass(frozen=True, kw_only=True)
class One:
    kind: Literal["one"]


@dataclass(frozen=True, kw_only=True)
class Two:
    kind: Literal["two"]


@dataclass(frozen=True, kw_only=True)
class Outer:
    name: str
    inner: Inner = field(default_factory=Inner)
    strides: tuple[int, ...] = (2, 4)
    pair: tuple[int, float] = (1, 2.0)
    kind: Literal["a", "b"] = "a"
    either: Inner | Other | None = None
    parts: tuple[Inner | Other, ...] = ()
    anything: dict[str, Any] = field(default_factory=dict)
    ratio: float = 1.0
    tagged: One | Two | None = None


FULL = Outer(
    name="x",
    inner=Inner(width=7),
    strides=(3,),
    pair=(5, 0.25),
    kind="b",
    either=Other(height=2),
    parts=(Inner(), Other(height=1)),
    anything={"list": [1, 2], "text": "y"},
)


@pytest.mark.parametrize("config", [Outer(name="plain"), FULL])
def test_a_config_survives_json(config: Outer) -> None:
    assert from_dict(Outer, json.loads(json.dumps(to_dict(config)))) == config


def test_an_integer_will_do_for_a_float() -> None:
    restored = from_dict(Outer, {"name": "x", "ratio": 2})
    assert restored.ratio == 2.0 and isinstance(restored.ratio, float)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({}, "name is missing"),
        ({"name": "x", "kinds": "a"}, "did you mean 'kind'"),
        ({"name": "x", "zzz": 1}, "there are"),
        ({"name": "x", "inner": {"widht": 1}}, "'inner.widht'; did you mean 'width'"),
        ({"name": 3}, "name must be str, but is 3"),
        ({"name": "x", "kind": "c"}, "kind must be one of"),
        ({"name": "x", "strides": 3}, "strides must be a list"),
        ({"name": "x", "pair": [1]}, "pair must have 2 items, but has 1"),
        ({"name": "x", "strides": [1, "2"]}, r"strides\[1\] must be int, but is '2'"),
        ({"name": "x", "inner": 5}, "inner must be a mapping"),
        ({"name": "x", "strides": [True]}, "must be int, but is True"),
        ([], "must be a mapping"),
        # Of several configs the one that is nearest.
        ({"name": "x", "either": {"height": 1, "rat": 2}}, "^Other has no .*'rate'.$"),
        ({"name": "x", "either": {"width": "w"}}, "^either.width must be int, but is 'w'$"),
        ({"name": "x", "either": 3}, "^either must be a mapping, but is 3$"),
        ({"name": "x", "tagged": {"kind": "z"}}, r"of \['one'\].*; .*of \['two'\]"),
    ],
)
def test_what_does_not_fit_is_named(data: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        from_dict(Outer, data)
