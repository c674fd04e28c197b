"""Links between documents lead on, and the README keeps its promises. mkdocs sees to docs/."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text("utf-8")
DOCUMENTS = sorted(
    path
    for pattern in ("*.md", "*/README.md", "*/*/README.md")
    for path in ROOT.glob(pattern)
    if not path.relative_to(ROOT).parts[0].startswith(".")
)


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_links_lead_to_files(document: Path) -> None:
    targets = re.findall(r"\]\(([^)#]+)[^)]*\)", document.read_text("utf-8"))
    local = [target for target in targets if "://" not in target]
    assert not [target for target in local if not (document.parent / target).exists()]


def test_the_readme_has_the_two_commands() -> None:
    assert "\npython3 run.py test\n" in README
    assert "\npython3 run.py uslm-tts --text " in README


def test_ci_runs_the_test_command_of_the_readme() -> None:
    assert "python3 run.py test" in (ROOT / ".ci" / "run").read_text("utf-8")


@pytest.mark.parametrize("folder", ["app", "benchmarks", "demo", "docker", "recipes", "tokenizer"])
def test_a_folders_page_names_files_that_are_there(folder: str) -> None:
    text = (ROOT / folder / "README.md").read_text("utf-8")
    for name in re.findall(r"`([a-z_/*.-]+\.(?:py|sh|yaml|Dockerfile))`", text):
        assert any(ROOT.glob(name)) or any((ROOT / folder).rglob(name)), f"{folder}: {name}"
