"""Every golden file is equalled, whatever its name; its metadata says which system it is."""

from __future__ import annotations

import functools
import importlib.util
import math
from pathlib import Path
from types import ModuleType

import pytest
import torch
from safetensors.torch import save_file

from uslm_tokenizer.pretrained.golden import GoldenFile, golden_files, read_golden, read_metadata

HERE = Path(__file__).parent
DEFAULT = HERE.parents[2] / "shared" / "golden"


@functools.cache
def load_checks() -> dict[str, ModuleType]:
    """Beginning of a `system` string to the file beside this one that checks such systems."""
    checks: dict[str, ModuleType] = {}
    for path in sorted(HERE.glob("*.py")):
        if path.name.startswith("test_") or path.name == "conftest.py":
            continue
        spec = importlib.util.spec_from_file_location(f"parity_{path.stem}", path)
        assert spec is not None and spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        for system in module.SYSTEMS:
            assert system not in checks, f"{path.name} and {checks[system].__file__}: {system!r}"
            checks[system] = module
    return checks


def run_check(golden: GoldenFile) -> None:
    """Call the system's check; all outputs must have been compared."""
    checks = load_checks()
    beginnings = [system for system in checks if golden.system.startswith(system)]
    assert beginnings, (
        f"{golden.path.name}: no check for the system {golden.system!r}; there are {sorted(checks)}"
    )
    checks[max(beginnings, key=len)].check(golden)
    left = sorted(golden.outputs.keys() - golden.compared)
    assert not left, f"{golden.path.name}: outputs that nothing compared: {left}"


def test_the_golden_file_is_equalled(golden_path: Path) -> None:
    run_check(read_golden(golden_path))


def test_the_golden_folder_is_there(request: pytest.FixtureRequest) -> None:
    place = Path(request.config.getoption("--golden") or DEFAULT)
    if not place.is_dir():
        pytest.skip(f"no golden folder at {place}; only the repository's own files were run")
    assert golden_files(place), f"{place} holds no golden file"


def a_golden(tmp_path: Path, **outputs: torch.Tensor) -> GoldenFile:
    numerics = {"outputs": {"noisy": {"max_abs": 1.0, "f64_diff": 1e-6}}}
    metadata = {"format": "golden-v1", "system": "nonesuch", "numerics": numerics}
    return GoldenFile(path=tmp_path / "it.safetensors", metadata=metadata, outputs=outputs)


@pytest.mark.parametrize(
    ("expected", "ours", "message"),
    [
        (torch.tensor([1, 2]), torch.tensor([1, 2]), None),
        (torch.tensor([1, 2]), torch.tensor([1, 3]), "1 of 2 entries differ"),
        (torch.tensor([1, 2]), torch.tensor([1.0, 2.0]), "must be torch.int64"),
        (torch.tensor([1, 2]), torch.tensor([[1, 2]]), r"must have shape \[2\]"),
        (torch.tensor([1.0]), torch.tensor([1.0 + 9e-6]), None),
        (torch.tensor([1.0]), torch.tensor([1.0 + 1.2e-5]), "differs by"),
        (torch.tensor([100.0]), torch.tensor([100.0009]), None),
        (torch.tensor([1.0]), torch.tensor([math.nan]), "NaN"),
        (torch.tensor([1.0, -math.inf]), torch.tensor([1.0, -math.inf]), None),
        (torch.tensor([1.0, -math.inf]), torch.tensor([-math.inf, 1.0]), "-inf stands"),
    ],
)
def test_the_comparison_sees_what_it_must(
    tmp_path: Path, expected: torch.Tensor, ours: torch.Tensor, message: str | None
) -> None:
    golden = a_golden(tmp_path, it=expected)
    if message is None:
        golden.compare("it", ours)
    else:
        with pytest.raises(AssertionError, match=message):
            golden.compare("it", ours)


def test_rounding_of_the_reference_widens_the_tolerance(tmp_path: Path) -> None:
    golden = a_golden(tmp_path, noisy=torch.tensor([1.0]))
    golden.compare("noisy", torch.tensor([1.0 + 2.5e-5]))
    with pytest.raises(AssertionError, match="allowed 3e-05"):
        golden.compare("noisy", torch.tensor([1.0 + 3.5e-5]))


def test_an_unknown_system_fails_by_name(tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match="no check for the system 'nonesuch'"):
        run_check(a_golden(tmp_path))


def test_files_are_found_by_what_they_say_of_themselves(tmp_path: Path) -> None:
    golden = '{"format": "golden-v1", "system": "x", "config": {}}'
    save_file({"inputs/a": torch.zeros(1)}, tmp_path / "a.safetensors", {"golden": golden})
    save_file({"inputs/a": torch.zeros(1)}, tmp_path / "plain.safetensors")
    (tmp_path / "t.json").write_text('{"format": "golden-text-v1", "system": "t"}')
    (tmp_path / "list.json").write_text("[]")
    assert [path.name for path in golden_files(tmp_path)] == ["a.safetensors", "t.json"]
    assert read_golden(tmp_path / "a.safetensors").inputs.keys() == {"a"}
    assert read_metadata(tmp_path / "list.json") is None
