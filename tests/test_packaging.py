"""The wheel holds the five packages and what they need, and works from an empty folder."""

from __future__ import annotations

import re
import subprocess
import sys
import tarfile
import zipfile
from email.parser import Parser
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = {"uslm", "uslm_tokenizer", "uslm_recipes", "uslm_app", "uslm_demo"}
FOLDERS = [ROOT, *(ROOT / name for name in ("tokenizer", "recipes", "app", "demo"))]


@pytest.fixture(scope="module")
def dist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the wheel and the source archive, as they would go to PyPI."""
    folder = tmp_path_factory.mktemp("dist")
    build = [sys.executable, "-m", "hatchling", "build", "-d", str(folder)]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True)
    return folder


@pytest.fixture(scope="module")
def wheel(dist: Path) -> zipfile.ZipFile:
    return zipfile.ZipFile(next(dist.glob("*.whl")))


def test_both_could_be_put_on_pypi(dist: Path) -> None:
    files = sorted(dist.iterdir())
    assert [file.suffix for file in files] == [".whl", ".gz"]
    check = [sys.executable, "-m", "twine", "check", "--strict", *map(str, files)]
    run = subprocess.run(check, capture_output=True, text=True)
    assert run.returncode == 0, run.stdout + run.stderr
    assert all(file.stat().st_size < 100e6 for file in files)  # what PyPI takes


def test_the_source_archive_builds_the_same_wheel(dist: Path, tmp_path: Path) -> None:
    with tarfile.open(next(dist.glob("*.tar.gz"))) as archive:
        archive.extractall(tmp_path, filter="data")
    (source,) = tmp_path.iterdir()
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path / "out")]
    subprocess.run(build, cwd=source, check=True, capture_output=True)
    again = zipfile.ZipFile(next((tmp_path / "out").glob("*.whl")))
    first = zipfile.ZipFile(next(dist.glob("*.whl")))
    hashes = [{info.filename: info.CRC for info in each.infolist()} for each in (first, again)]
    assert hashes[0] == hashes[1]


def metadata(wheel: zipfile.ZipFile, name: str) -> str:
    (path,) = [path for path in wheel.namelist() if path.endswith(f".dist-info/{name}")]
    return wheel.read(path).decode()


def test_top_level_holds_the_five_packages_and_nothing_else(wheel: zipfile.ZipFile) -> None:
    tops = {Path(name).parts[0] for name in wheel.namelist()}
    assert {top for top in tops if not top.endswith(".dist-info")} == PACKAGES


def test_every_file_of_the_packages_is_shipped(wheel: zipfile.ZipFile) -> None:
    tracked = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.splitlines()
    expected = set()
    for name in tracked:
        folder = "" if name.startswith("uslm/") else name.partition("/")[0] + "/"
        if folder == "tests/":  # tests/uslm is not the package uslm
            continue
        inside = name.removeprefix(folder)
        if inside.partition("/")[0] in PACKAGES and (ROOT / name).exists():
            expected.add(inside)
    assert expected
    assert not expected - set(wheel.namelist())


def test_every_package_says_that_it_is_typed(wheel: zipfile.ZipFile) -> None:
    assert {f"{package}/py.typed" for package in PACKAGES} <= set(wheel.namelist())


def test_metadata(wheel: zipfile.ZipFile) -> None:
    import uslm

    fields = Parser().parsestr(metadata(wheel, "METADATA"))
    assert (fields["Name"], fields["Version"]) == ("uslm", uslm.__version__)
    assert fields["License-Expression"] == "Apache-2.0"
    # torchaudio may be found and yet not load: nothing that everybody installs may bring it.
    required = [line for line in fields.get_all("Requires-Dist", []) if "extra ==" not in line]
    assert not [line for line in required if line.startswith(("encodec", "torchaudio"))]
    assert set(fields.get_all("Provides-Extra", [])) >= {"train", "demo", "eval", "encodec", "dev"}


def test_every_command_of_the_wheel_starts(wheel: zipfile.ZipFile, tmp_path: Path) -> None:
    wheel.extractall(tmp_path)
    scripts = [line for line in metadata(wheel, "entry_points.txt").splitlines() if "=" in line]
    assert len(scripts) == 4
    for script in scripts:
        name, _, target = script.replace(" ", "").partition("=")
        module, _, function = target.partition(":")
        code = (
            f"import sys; sys.path.insert(0, {str(tmp_path)!r}); sys.argv = [{name!r}, '--help']\n"
            f"import {module} as module\n"
            f"assert module.__file__.startswith({str(tmp_path)!r}), module.__file__\n"
            f"sys.exit(module.{function}())"
        )
        result = subprocess.run(
            [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True
        )
        assert result.returncode == 0, f"{name}: {result.stderr}"
        assert "usage" in result.stdout.lower(), f"{name} --help prints {result.stdout!r}"


def test_constraints_pin_every_direct_dependency(wheel: zipfile.ZipFile) -> None:
    def normal(name: str) -> str:
        return name.lower().replace("_", "-")

    lines = (ROOT / "constraints.txt").read_text().splitlines()
    pinned = {normal(line.partition("==")[0]) for line in lines if "==" in line}
    required = Parser().parsestr(metadata(wheel, "METADATA")).get_all("Requires-Dist", [])
    names = {normal(re.split(r"[^\w.-]", line)[0]) for line in required}
    assert names - {"uslm"} <= pinned


def test_every_folder_with_code_is_a_package() -> None:
    # The import rules do not see folders without an __init__.py.
    code = [file for folder in FOLDERS for file in folder.glob("uslm*/**/*.py")]
    assert code
    assert not {file.parent for file in code if not (file.parent / "__init__.py").exists()}
