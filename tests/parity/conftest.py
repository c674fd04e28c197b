"""Which golden files there are: those in the repository, and those of `--golden DIR`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from uslm_tokenizer.pretrained.golden import golden_files

HERE = Path(__file__).parent
COMMITTED = HERE / "golden"
DEFAULT = HERE.parents[2] / "shared" / "golden"


def folder(config: pytest.Config) -> Path:
    """The folder of `--golden`."""
    given = config.getoption("--golden")
    return Path(given) if given is not None else DEFAULT


def gather(config: pytest.Config) -> dict[str, Path]:
    """Golden files by their place in the folder; the folder's own replaces the repository's."""
    found: dict[str, Path] = {}
    for place in (COMMITTED, folder(config)):
        found |= {str(path.relative_to(place)): path for path in golden_files(place)}
    return dict(sorted(found.items()))


def gather_manifests(config: pytest.Config) -> dict[str, tuple[Path, dict[str, Any]]]:
    """Name to the folder of manifests and the index entry."""
    found: dict[str, tuple[Path, dict[str, Any]]] = {}
    for place in (COMMITTED / "manifests", folder(config) / "manifests"):
        index = place / "index.json"
        if index.is_file():
            entries = json.loads(index.read_text("utf-8"))
            found |= {name: (place, entry) for name, entry in entries.items()}
    return dict(sorted(found.items()))


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "golden_path" in metafunc.fixturenames:
        files = gather(metafunc.config)
        metafunc.parametrize("golden_path", files.values(), ids=list(files))
    if "manifest" in metafunc.fixturenames:
        entries = gather_manifests(metafunc.config)
        metafunc.parametrize("manifest", entries.values(), ids=list(entries))
