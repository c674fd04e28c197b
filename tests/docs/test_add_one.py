"""The page on adding a codec and a system, followed word by word in a copy of the project."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs/add-one.md"
FENCE = re.compile(r'^```(\w+) title="([^"]+)"\n(.*?)^```$', re.M | re.S)
ASSETS = Path("uslm/assets")
SOURCES = [str(ROOT / name) for name in ("", "tokenizer", "recipes", "app", "demo")]


def run(*command: str, cwd: Path) -> str:
    """What a command prints; fails with all that it said."""
    paths = [path.replace(str(ROOT), str(cwd), 1) for path in SOURCES]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths), "COLUMNS": "80"}
    result = subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True)
    assert result.returncode == 0, f"{command}: {result.stdout[-6000:]}{result.stderr[-3000:]}"
    return result.stdout


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The project as it is here, in a repository of its own; the default model is a link."""
    folder = tmp_path_factory.mktemp("project")
    listed = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(listed, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    for name in filter(None, names.split("\0")):
        if (ROOT / name).is_file() and ASSETS not in Path(name).parents:
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, folder / name)
    (folder / ASSETS).symlink_to(ROOT / ASSETS)
    run("git", "init", "-q", cwd=folder)
    commit(folder)
    return folder


def commit(folder: Path) -> None:
    run("git", "add", "-A", cwd=folder)
    who = ("-c", "user.name=nobody", "-c", "user.email=nobody@localhost")
    run("git", *who, "commit", "-qm", "so far", cwd=folder)


def follow(block: re.Match[str], folder: Path) -> str | None:
    """Do what a block says; the diff that it promises, if it does."""
    _, title, body = block.groups()
    path, _, table = title.partition(": ")
    if title.startswith("diff of"):
        return body
    if title.startswith("not run"):
        return None
    if table:
        text = (folder / path).read_text("utf-8")
        assert text.count(f"\n{table} = {{\n") == 1
        start, rest = text.split(f"\n{table} = {{\n")
        lines, brace, after = rest.partition("\n}\n")
        (folder / path).write_text(f"{start}\n{table} = {{\n{lines}\n{body[:-1]}{brace}{after}")
        return None
    assert not (folder / path).exists()
    (folder / path).parent.mkdir(exist_ok=True)
    (folder / path).write_text(body, "utf-8")
    return None


def test_the_page_is_followed_word_by_word(copy: Path) -> None:
    promised = 0
    for block in FENCE.finditer(PAGE.read_text("utf-8")):
        diff = follow(block, copy)
        if diff is not None:
            run(sys.executable, "docs/write_tables.py", cwd=copy)
            run("git", "add", "-N", ".", cwd=copy)
            assert run("git", "diff", "--stat", cwd=copy) == diff
            commit(copy)
            promised += 1
    assert promised == 2
    run(sys.executable, "-m", "ruff", "check", "tokenizer", "uslm", cwd=copy)
    run(sys.executable, "-m", "ruff", "format", "--check", "tokenizer", "uslm", cwd=copy)
    chosen = ["tests/tokenizer/test_contract.py", "tests/app/test_every_tokenizer.py"]
    chosen += ["tests/uslm/models/test_contract.py", "tests/uslm/systems/test_contract.py"]
    chosen += ["tests/app/server/test_pretrained.py", "tests/test_architecture.py"]
    said = run(
        sys.executable, "-m", "pytest", "-rA", "-k", "loudness or hum or folder", *chosen, cwd=copy
    )
    folder = copy / "a-folder-that-hums"
    save = (
        "import pathlib, sys; from uslm.systems.hum.tiny import save_tiny_hum; "
        "save_tiny_hum(pathlib.Path(sys.argv[1]))"
    )
    run(sys.executable, "-c", save, str(folder), cwd=copy)
    say = (sys.executable, "-m", "uslm", "say", "Hello.", "--prompt", "examples/voice.wav")
    run(*say, "--model", str(folder), "--out", "hummed.wav", cwd=copy)
    assert (copy / "hummed.wav").stat().st_size > 10_000
    for name, least in (("loudness", 20), ("hum", 10), ("folder_and_one_entry", 2)):
        assert len(re.findall(rf"^PASSED .*{name}", said, re.M)) >= least, said
