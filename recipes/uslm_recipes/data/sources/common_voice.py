"""Common Voice: LANGUAGE/clips/*.mp3 with validated.tsv, train.tsv, dev.tsv and test.tsv."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from uslm_recipes.data.labels import gender_label
from uslm_recipes.data.places import named_file
from uslm_recipes.data.recording import Found, Recording, Rejected
from uslm_recipes.data.text_files import read_lines

SPLITS = {"test.tsv": "test", "dev.tsv": "valid"}


def matches(root: Path) -> bool:
    """Whether this is the folder of a language, or holds some."""
    return bool(_languages(root))


def read_common_voice(root: Path, language: str = "en") -> Iterator[Found]:
    """The validated clips; `language` is used where the table does not name one."""
    for folder in _languages(root):
        yield from _read_language(folder, language)


def _languages(root: Path) -> list[Path]:
    around = [root, *sorted(path for path in root.glob("*") if path.is_dir())]
    return [path for path in around if (path / "clips").is_dir() and _tables(path)]


def _tables(folder: Path) -> list[Path]:
    """The tables to read: validated.tsv holds what the three others are drawn from."""
    validated = folder / "validated.tsv"
    rest = [folder / f"{name}.tsv" for name in ("train", "dev", "test")]
    return [path for path in ([validated] if validated.is_file() else rest) if path.is_file()]


def _read_language(folder: Path, language: str) -> Iterator[Found]:
    split_of_client = {
        row["client_id"]: split
        for name, split in SPLITS.items()
        for _, row, _ in _rows(folder / name)
        if row.get("client_id")
    }
    for table in _tables(folder):
        for number, row, problem in _rows(table):
            where = f"{table.relative_to(folder.parent)}:{number}"
            name, client = row.get("path") or "", row.get("client_id") or ""
            if problem is None and not (name and client):
                problem = "line has no path or no client_id"
            if problem is not None:
                yield Rejected(where=where, audio=name, reason=problem)
                continue
            audio = named_file(folder / "clips", name if Path(name).suffix else f"{name}.mp3")
            spoken = row.get("locale") or language
            yield Recording(
                where=where,
                audio=audio,
                id=f"cv/{spoken}/{audio.stem}",
                source="cv",
                speaker=f"cv/{client}",
                language=spoken,
                text=" ".join((row.get("sentence") or "").split()),
                split=split_of_client.get(client),
                labels=gender_label(row.get("gender") or ""),
            )


def _rows(table: Path) -> Iterator[tuple[int, dict[str, str], str | None]]:
    """Lines with their numbers and what is wrong with them; a quotation mark begins nothing."""
    if not table.is_file():
        return
    names: list[str] = []
    for line in read_lines(table):
        cells = line.text.split("\t")
        if not names and line.problem is not None:
            yield line.number, {}, line.problem
        elif not names:
            names = cells
        elif line.text.strip():
            problem = line.problem
            if problem is None and len(cells) > len(names):
                problem = f"line has {len(cells)} columns, where the table has {len(names)}"
            yield line.number, dict(zip(names, cells, strict=False)), problem
