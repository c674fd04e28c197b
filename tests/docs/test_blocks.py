"""The documents tell the truth: their Python and their commands run as they stand.

All blocks of a document run in its order, in one folder, with the default model and a Hub of
random weights. A block whose title is a file name is that file. One that cannot be run here says
so in its title, `not run: why`, and is counted below.
"""

from __future__ import annotations

import re
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
FENCE = re.compile(r"^```(?P<info>[^\n]*)\n(?P<body>.*?)^```$", re.M | re.S)
FOLDERS = ("*/README.md", "*/*/README.md", "uslm/assets/*/README.md")
DOCUMENTS = sorted(
    path
    for pattern in ("README.md", "CONTRIBUTING.md", *FOLDERS, "docs/**/*.md")
    for path in ROOT.glob(pattern)
    if not path.is_symlink() and not path.relative_to(ROOT).parts[0].startswith(".")
)
NOT_RUN = {
    "CONTRIBUTING.md": 1,
    "benchmarks/README.md": 1,
    "benchmarks/effects/README.md": 1,
    "demo/README.md": 1,
    "docs/release.md": 1,
    "docs/add-one.md": 2,
    "docker/README.md": 1,
    "docs/fine-tune.md": 3,
    "docs/how-to/browser.md": 1,
    "docs/how-to/clusters.md": 2,
    "docs/how-to/convert.md": 1,
    "docs/how-to/demo.md": 1,
    "docs/how-to/evaluate.md": 2,
    "docs/how-to/judged-units.md": 2,
    "docs/how-to/melody.md": 1,
    "docs/how-to/onnx.md": 1,
    "docs/how-to/open-webui.md": 1,
    "docs/how-to/pretrained-models.md": 2,
    "docs/how-to/replicas.md": 2,
    "docs/how-to/serve.md": 1,
    "docs/how-to/speech-lm.md": 1,
    "docs/how-to/train.md": 1,
    "docs/how-to/vevo.md": 1,
    "docs/how-to/voices.md": 1,
    "docs/how-to/voxcpm.md": 2,
    "docs/train-on-several-machines.md": 4,
    "docs/tutorial.md": 1,
    "uslm/assets/voices/README.md": 1,
}
"""How many blocks of a document are not run."""
KINDS = {"", "bash", "python", "text", "json", "yaml", "toml"}
SET_UP = ("python3 run.py test", "pip install ", "source .venv/")
"""These set the project up or run all tests: a run of the tests need not do either again."""


@dataclass(frozen=True, kw_only=True)
class Block:
    """A fenced block."""

    kind: str
    title: str
    body: str
    place: str
    """File and line."""

    @property
    def is_left_out(self) -> bool:
        """Whether it says that it cannot be run here."""
        return self.title.startswith("not run: ")

    @property
    def is_file(self) -> bool:
        """Whether its title is the name of a file with this content."""
        return bool(self.title) and not self.is_left_out

    @property
    def is_run(self) -> bool:
        """Whether it is to be run."""
        return self.kind in ("bash", "python") and not self.title


def blocks(document: Path) -> list[Block]:
    """In their order."""
    text, found = document.read_text("utf-8"), []
    for match in FENCE.finditer(text):
        kind, _, options = match["info"].partition(" ")
        line = text.count("\n", 0, match.start()) + 1
        place = f"{name_of(document)}, line {line}"
        title = re.fullmatch(r'(?:title="(.+)")?', options)
        assert title is not None, f"{place}: {options}"
        found.append(Block(kind=kind, title=title[1] or "", body=match["body"], place=place))
    num_fences = len(re.findall(r"^ *```", text, re.M))
    assert num_fences == 2 * len(found), f"{name_of(document)}: a block is indented, or not closed"
    return found


def name_of(document: Path) -> str:
    """Its path in this repository."""
    return document.relative_to(ROOT).as_posix()


ELSEWHERE = {"docs/how-to/pipecat.md", "docs/how-to/livekit.md"}
"""Pages whose clients do not go with what is installed here: test_environments.py runs them."""
RUNNABLE = [
    path
    for path in DOCUMENTS
    if name_of(path) not in ELSEWHERE and any(block.is_run for block in blocks(path))
]


@pytest.mark.parametrize("document", RUNNABLE, ids=name_of)
def test_blocks_run(document: Path, desk: Any, on_free_ports: Any) -> None:
    if "\ncurl " in document.read_text("utf-8") and shutil.which("curl") is None:
        pytest.skip("curl is not on this machine")
    for block in blocks(document):
        body = on_free_ports(block.body)
        if block.is_file:
            (desk.folder / block.title).write_text(body, "utf-8")
        elif block.is_run and block.kind == "bash":
            lines = [line for line in body.splitlines() if not line.startswith(SET_UP)]
            desk.bash("\n".join(lines).replace("python3 run.py ", ""), block.place)
        elif block.is_run:
            # What a line is said to print, it prints.
            wanted = re.findall(r"^ *print\(.*\)  # (.*)$", body, re.M)
            printed = desk.python(body, block.place)
            assert not wanted or printed == wanted, block.place


@pytest.mark.parametrize("document", DOCUMENTS, ids=name_of)
def test_what_is_not_run_says_so_and_is_counted(document: Path) -> None:
    found = blocks(document)
    assert {block.kind for block in found} <= KINDS
    assert sum(block.is_left_out for block in found) == NOT_RUN.get(name_of(document), 0)


def test_the_count_is_of_documents_that_are_there() -> None:
    assert set(NOT_RUN) <= set(map(name_of, DOCUMENTS))
