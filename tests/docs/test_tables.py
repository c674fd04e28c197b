"""What the documents say about the code in tables is what the code says."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

from uslm.systems.catalogue import CATALOGUE

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def tables(load_script: Callable[[Path], ModuleType]) -> ModuleType:
    """The script that writes them."""
    return load_script(ROOT / "docs" / "write_tables.py")


def test_tables_are_up_to_date(tables: ModuleType) -> None:
    documents = tables.documents()
    assert documents
    for path in documents:
        text = path.read_text("utf-8")
        assert tables.written(text) == text, "they are written by: python docs/write_tables.py"


def test_first_sentences_end_where_they_end(tables: ModuleType) -> None:
    said = "Mimi (Defossez et al. 2024): 12.5 frames\n    per second. More.\n\nAnd more."
    assert tables.first_sentence(said) == "Mimi (Defossez et al. 2024): 12.5 frames per second"


def test_the_readme_names_every_pretrained_model() -> None:
    readme = (ROOT / "README.md").read_text("utf-8")
    section = readme.partition("## Systems")[2].partition("\n## ")[0]
    assert set(re.findall(r"`([\w-]+)`", section)) == set(CATALOGUE.systems)
