"""The page on speed holds what benchmarks printed, and nothing else."""

from __future__ import annotations

import re
import runpy
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture
def script() -> dict[str, Any]:
    return runpy.run_path(str(ROOT / "benchmarks" / "write_page.py"))


def test_every_part_of_the_page_was_printed_by_its_benchmark(script: dict[str, Any]) -> None:
    page = (ROOT / "docs" / "speed.md").read_text("utf-8")
    for name, command in script["COMMANDS"].items():
        assert (ROOT / "benchmarks" / command[0]).is_file()
        part = page.partition(f"<!-- measured: {name} -->\n")[2].partition("<!-- end -->")[0]
        assert f"`python benchmarks/{' '.join(command)}` on " in part and "|---|" in part


@pytest.mark.parametrize("page", ["docs/speed.md", "README.md"])
def test_nobody_has_typed_in_a_number(script: dict[str, Any], page: str) -> None:
    """Each part is to the last character what was written when its benchmark had run."""
    text = (ROOT / page).read_text("utf-8")
    parts = re.findall(r"<!-- measured: \w+ -->\n(.*?)<!-- end -->", text, re.S)
    assert parts
    for part in parts:
        printed = part.partition("<!-- printed: ")[0]
        assert part == script["with_checksum"](printed)


def test_a_part_is_replaced_and_the_others_stay(script: dict[str, Any], tmp_path: Path) -> None:
    page = tmp_path / "speed.md"
    part = "<!-- measured: {} -->\nold\n<!-- end -->\n"
    page.write_text(f"# Title\n{part.format('one')}{part.format('two')}", "utf-8")
    benchmark = tmp_path / "bench.py"
    # A goal that is missed is a result like any other.
    benchmark.write_text("print('| a |\\n|---|\\n| 1 |')\nraise SystemExit(1)\n")
    script["COMMANDS"].clear()
    script["COMMANDS"].update({"one": [str(benchmark)]})
    assert script["main"](["--pages", str(page)]) == 0
    text = page.read_text("utf-8")
    assert "| 1 |" in text and text.count("old") == 1 and "# Title" in text


def test_a_benchmark_that_breaks_leaves_the_page(script: dict[str, Any], tmp_path: Path) -> None:
    page, benchmark = tmp_path / "speed.md", tmp_path / "bench.py"
    page.write_text("<!-- measured: one -->\nold\n<!-- end -->\n", "utf-8")
    benchmark.write_text("raise SystemExit(3)\n")
    script["COMMANDS"].clear()
    script["COMMANDS"].update({"one": [str(benchmark)]})
    with pytest.raises(SystemExit, match="ended with 3"):
        script["main"](["--pages", str(page)])
    assert "old" in page.read_text("utf-8")
    with pytest.raises(SystemExit):
        script["main"](["three", "--pages", str(page)])
