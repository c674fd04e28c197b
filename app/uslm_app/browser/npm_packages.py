"""Packages of npm that the page runs on: fetched by npm, checked, and only what is named kept."""

from __future__ import annotations

import base64
import hashlib
import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from uslm_tokenizer.errors import EnvironmentProblem
from uslm_tokenizer.whole_files import write_atomically

TIMEOUT_SECONDS = 600.0


@dataclass(frozen=True, kw_only=True)
class NpmPackage:
    """One package, of which some files are wanted."""

    name: str
    """Name in the registry."""
    version: str
    """The one that was tried."""
    sha512: str
    """Hash of the package, as npm's lock files write it (base64)."""
    licence: str
    """Licences of what is kept."""
    files: Mapping[str, str]
    """Path in the package -> name in the page's folder."""


PACKAGES = (
    NpmPackage(
        name="onnxruntime-web",
        version="1.30.0",
        sha512="q0y+JrrtukXSzsBWEMccVfqX25LRmosXHF+CaRJmg8pZClzcV7svNc4rKY3jL02Vb7QmRMDs1SigqR4CXAfKYQ==",
        licence="MIT",
        files={
            f"dist/{name}": name
            for name in (
                "ort.wasm.min.mjs", "ort-wasm-simd-threaded.mjs", "ort-wasm-simd-threaded.wasm",
            )
        },
    ),
    NpmPackage(
        name="phonemizer",
        version="1.2.1",
        sha512="v0KJ4mi2T4Q7eJQ0W15Xd4G9k4kICSXE8bpDeJ8jisL4RyJhNWsweKTOi88QXFc4r4LZlz5jVL5lCHhkpdT71A==",
        licence="Apache-2.0; espeak-ng, which is compiled into it, GPL-3.0-or-later",
        files={"dist/phonemizer.js": "phonemizer.js"},
    ),
)  # fmt: skip


def fetch_packages(folder: Path) -> None:
    """Put their files into a folder, and NOTICE.txt, which names their licences.

    Raises EnvironmentProblem where npm is missing, fails, or gives another package.
    """
    npm = shutil.which("npm")
    if npm is None:
        raise EnvironmentProblem(
            "the page for browsers runs on packages of npm, but the program npm is missing; "
            "install Node.js"
        )
    folder.mkdir(parents=True, exist_ok=True)
    for package in PACKAGES:
        with tempfile.TemporaryDirectory() as temporary:
            _keep(package, _pack(npm, package, Path(temporary)), folder)
    notice = [f"{each.name} {each.version}: {each.licence}" for each in PACKAGES]
    text = "\n".join(["What lies here are parts of these packages of npm.", "", *notice, ""])
    write_atomically(folder / "NOTICE.txt", lambda path: path.write_text(text, "utf-8"))


def _pack(npm: str, package: NpmPackage, folder: Path) -> Path:
    """The package as npm keeps it."""
    wanted = f"{package.name}@{package.version}"
    command = [npm, "pack", "--silent", wanted, "--pack-destination", str(folder)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_SECONDS)
    except (OSError, subprocess.TimeoutExpired) as problem:
        raise EnvironmentProblem(f"npm does not fetch {wanted}: {problem}") from problem
    found = list(folder.glob("*.tgz"))
    if done.returncode or len(found) != 1:
        said = (done.stderr or done.stdout).strip().splitlines()
        raise EnvironmentProblem(f"npm does not fetch {wanted}: {' '.join(said[-3:]) or 'no word'}")
    return found[0]


def _keep(package: NpmPackage, archive: Path, folder: Path) -> None:
    """The files that are wanted, under their names there."""
    digest = hashlib.sha512(archive.read_bytes()).digest()
    if base64.b64encode(digest).decode() != package.sha512:
        raise EnvironmentProblem(
            f"npm gives another {package.name} {package.version} than the one that was tried"
        )
    with tarfile.open(archive) as opened:
        for inside, name in package.files.items():
            file = opened.extractfile(f"package/{inside}")
            assert file is not None, inside  # the hash says that it is there
            data = file.read()
            write_atomically(folder / name, lambda path, data=data: path.write_bytes(data))  # type: ignore[misc]
