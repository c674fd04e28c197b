"""Pages that install something work in the environment that they make, and in no larger one.

An environment with the base installation is made once; each page adds what its own `pip install`
lines say, in an environment of its own on top, and its blocks run there. It takes minutes and a
package registry: in CI (or with USLM_ENVIRONMENTS set) only.
"""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from tests.docs.test_blocks import ROOT, Block, blocks, name_of
from tests.environments import IN_CI, check_shell, environment_of, make_environment

pytestmark = IN_CI
PAGES = {
    "docs/how-to/train.md": "python -m uslm_recipes.train_ar --help",
    "docs/how-to/evaluate.md": "uslm evaluate --help",
    "docs/how-to/serve.md": "uslm serve --help",
    "docs/how-to/home-assistant.md": "uslm serve --help",
    "docs/how-to/livekit.md": "uslm serve --help",
    "docs/how-to/pipecat.md": "uslm serve --help",
    "docs/how-to/watermark.md": "uslm watermark --help",
    "docs/how-to/demo.md": "python -c 'from uslm_demo.app import build_app; build_app()'",
    "docs/tutorial.md": "python -c 'from uslm_demo.app import build_app; build_app()'",
    "docs/fine-tune.md": "python -m uslm_recipes.fine_tune --help",
}
"""Of each page a command that needs what it installs, for those whose own are not run."""
INSTALLS = "pip install "
SERVER = """\
import io, sys, traceback
names = {"__name__": "__main__"}
for block in iter(lambda: sys.stdin.readline(), ""):
    try:
        exec(compile(eval(block), "a block", "exec"), names)
        print("\\nDONE", flush=True)
    except BaseException:
        traceback.print_exc()
        print("\\nFAILED", flush=True)
"""
"""Python that runs blocks one after the other, each with what those before it have defined."""


class Interpreter:
    """Python of an environment; blocks run in it one after the other."""

    def __init__(self, folder: Path, environment: dict[str, str]) -> None:
        self._process = subprocess.Popen(
            ["python", "-c", SERVER], cwd=folder, env=environment, text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            executable=shutil.which("python", path=environment["PATH"]),
        )  # fmt: skip

    def run(self, body: str, place: str) -> None:
        """Fails with what the block printed."""
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.write(repr(body) + "\n")
        self._process.stdin.flush()
        said = ""
        for line in self._process.stdout:
            said += line
            if line in ("DONE\n", "FAILED\n"):
                break
        assert said.endswith("\nDONE\n"), f"{place}:\n{said}"

    def close(self) -> None:
        self._process.kill()
        self._process.communicate()


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The project as a reader has it: the files that git knows."""
    folder = tmp_path_factory.mktemp("checkout")
    listed = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True
    ).stdout
    for name in filter(None, listed.split("\0")):
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, folder / name, follow_symlinks=False)
    return folder


def test_each_page_works_in_the_environment_that_it_makes(
    checkout: Path,
    desk: Any,
    on_free_ports: Any,
    tmp_path: Path,
    load_script: Any,
) -> None:
    run: ModuleType = load_script(ROOT / "run.py")
    indices = run.torch_index()
    base = tmp_path / "base"
    commands = make_environment(base)
    [install] = [line for line in lines_of(ROOT / "README.md") if line.startswith(INSTALLS)]
    shell = environment_of(commands)
    if indices:
        shell["PIP_EXTRA_INDEX_URL"] = indices[-1]
    check_shell(f"{install} --quiet", checkout, shell, "README.md")
    for number, (page, uses) in enumerate(PAGES.items()):
        child = tmp_path / f"page{number}"
        shell = {**desk.environment, **environment_of(make_environment(child, base), base)}
        shell |= {"HF_ENDPOINT": desk.environment["HF_ENDPOINT"]}
        installs = [line for line in lines_of(ROOT / page) if line.startswith(INSTALLS)]
        assert installs, f"{page} installs nothing"
        for line in installs:
            check_shell(line.replace("pip install", "pip install --quiet"), checkout, shell, page)
        folder = tmp_path / f"desk{number}"
        shutil.copytree(desk.folder, folder)
        desk.folder, desk.environment = folder, shell
        work_through(desk, ROOT / page, on_free_ports)
        check_shell(uses, folder, shell, page)
        shutil.rmtree(child)


def lines_of(document: Path) -> list[str]:
    """Lines of all its bash blocks, those that are not run among them."""
    return [
        line
        for block in blocks(document)
        if block.kind == "bash"
        for line in block.body.splitlines()
    ]


def work_through(desk: Any, document: Path, on_free_ports: Any) -> None:
    """Type the page's blocks, in order."""
    python = Interpreter(desk.folder, desk.environment)
    try:
        for block in blocks(document):
            _work(desk, python, block, on_free_ports(block.body))
    finally:
        python.close()
        desk.clear()


def _work(desk: Any, python: Interpreter, block: Block, body: str) -> None:
    if block.is_file:
        (desk.folder / block.title).write_text(body, "utf-8")
    elif block.is_run and block.kind == "python":
        python.run(body, block.place)
    elif block.is_run:
        skipped = (INSTALLS, "source .venv/")
        lines = [line for line in body.splitlines() if not line.startswith(skipped)]
        desk.bash("\n".join(lines).replace("python3 run.py ", ""), block.place)


def test_every_page_that_installs_is_tried() -> None:
    folders = [ROOT / "docs", ROOT / "docs" / "how-to"]
    pages = [page for folder in folders for page in sorted(folder.glob("*.md"))]
    installing = {
        name_of(page)
        for page in pages
        if any(line.startswith(f"{INSTALLS}--constraint") for line in lines_of(page))
    }
    assert installing == set(PAGES)
