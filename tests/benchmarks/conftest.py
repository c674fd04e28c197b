"""The runner of effects, imported as its script imports itself."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

FOLDER = Path(__file__).parents[2] / "benchmarks" / "effects"
MODULES = tuple(path.stem for path in FOLDER.glob("*.py"))


@pytest.fixture(scope="session")
def effects() -> Iterator[Any]:
    """The script; its modules have short names and are forgotten afterwards."""
    before = {name: sys.modules.pop(name, None) for name in MODULES}
    sys.path.insert(0, str(FOLDER))
    yield import_module("run")
    sys.path[:] = [path for path in sys.path if path != str(FOLDER)]
    for name in MODULES:
        sys.modules.pop(name, None)
        if (module := before[name]) is not None:
            sys.modules[name] = module


@pytest.fixture(scope="session")
def shown(effects: Any) -> Callable[..., Any]:
    """What one seed of an effect comes to, on a little made-up speech."""
    settings: dict[tuple[int, int], Any] = {}

    def run(
        name: str,
        broken: str | None = None,
        *,
        scale: float = 0.5,
        num_train: int = 36,
        num_test: int = 18,
    ) -> Any:
        effect = effects.find_effects()[name]
        assert broken is None or broken in effect.breaks
        setting = effects.Setting(
            quick=True, scale=scale, num_train=num_train, num_test=num_test, broken=broken
        )
        # Made-up speech takes a second to make.
        known = settings.setdefault((num_train, num_test), setting)
        if effect.uses_speech:
            setting.__dict__["speech"] = known.speech
        return effects.run_effect(effect, setting, [0]).shows

    return run
