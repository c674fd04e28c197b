"""The jobs of `uslm batch`: one text a line, in JSON lines or CSV, each checked on its own."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from uslm.voices.names import is_voice_name
from uslm_app.cli.inputs import check_file, find_voice
from uslm_app.cli.options import FORMATS
from uslm_tokenizer.errors import UserError


@dataclass(frozen=True, kw_only=True)
class BatchJob:
    """One text to speak. Paths of prompts are those of the jobs' file."""

    line: int
    """Where it stands in the file, from 1."""
    text: str
    name: str
    """Of its file, without the suffix; `line-0001` unless given."""
    format: str
    seed: int | None = None
    speed: float = 1.0
    voice: str | None = None
    """Name or file of a voice."""
    prompt: str | None = None
    """A recording of the voice."""
    prompt_text: str | None = None
    """What is said in it."""

    @property
    def file_name(self) -> str:
        """Name of its sound."""
        return f"{self.name}.{self.format.partition('-')[0]}"


@dataclass(frozen=True, kw_only=True)
class BadLine:
    """A line that makes no job."""

    line: int
    reason: str


KEYS = tuple(field.name for field in fields(BatchJob) if field.name != "line")


def read_jobs(path: str, defaults: dict[str, Any]) -> list[BatchJob | BadLine]:
    """Every line, as a job or as what is wrong with it. UserError if the file cannot be read.

    `defaults` are the values of what a line does not say; empty cells say nothing.
    """
    check_file(path, "the jobs")
    jobs: list[BatchJob | BadLine] = []
    taken: dict[str, int] = {}
    for line, row in _rows(Path(path)):
        job = _checked(line, row, defaults, Path(path).parent)
        if isinstance(job, BatchJob) and (first := taken.setdefault(job.file_name, line)) != line:
            job = BadLine(line=line, reason=f"{job.file_name} is already made by line {first}")
        jobs.append(job)
    if not jobs:
        raise UserError(f"the jobs {path!r} hold no line")
    return jobs


def _rows(path: Path) -> Iterator[tuple[int, object]]:
    try:
        text = path.read_text("utf-8-sig")
    except UnicodeDecodeError as problem:
        raise UserError(f"the jobs {str(path)!r} must be UTF-8: {problem}") from problem
    if path.suffix.lower() == ".csv":
        reader = csv.DictReader(text.splitlines(keepends=True))
        for cells in reader:
            yield reader.line_num, cells
        return
    for line, each in enumerate(text.splitlines(), 1):
        if each.strip():
            yield line, _parsed(each)


def _parsed(line: str) -> object:
    """Value of a line of JSON, or the error that says why it is none."""
    try:
        return json.loads(line)
    except ValueError as problem:
        return UserError(f"it is no JSON: {problem}")


def _checked(line: int, row: object, defaults: dict[str, Any], folder: Path) -> BatchJob | BadLine:
    try:
        return _job(line, row, defaults, folder)
    except UserError as problem:
        return BadLine(line=line, reason=str(problem))


def _job(line: int, row: object, defaults: dict[str, Any], folder: Path) -> BatchJob:
    if isinstance(row, UserError):
        raise row
    if not isinstance(row, dict):
        raise UserError('it must be a JSON object, as in {"text": "Hello."}')
    if unknown := [str(key) for key in row if key not in KEYS]:
        raise UserError(f"there is no {unknown[0]!r}; there are {', '.join(KEYS)}")
    said = {key: value for key, value in row.items() if value is not None and value != ""}
    if "voice" in said and "prompt" in said:
        raise UserError("voice and prompt exclude each other")
    if "voice" in said or "prompt" in said:
        defaults = {**defaults, "voice": None, "prompt": None, "prompt_text": None}
    given = {"name": f"line-{line:04}", **defaults, **said}
    for key in ("text", "name", "format", "voice", "prompt", "prompt_text"):
        if given.get(key) is not None and not isinstance(given[key], str):
            raise UserError(f"{key} must be text, but is {given[key]!r}")
    if not given.get("text", "").strip():
        raise UserError("there is no text")
    if not is_voice_name(given["name"]):
        raise UserError(
            "name must be 1 to 64 letters, digits, dots, underscores or hyphens, "
            f"but is {given['name'][:80]!r}"
        )
    given["format"] = given["format"].lower()
    if given["format"] not in FORMATS:
        raise UserError(f"format must be one of {', '.join(FORMATS)}, but is {given['format']!r}")
    given["seed"] = _number(given.get("seed"), "seed", int, 0, 2**63 - 1)
    given["speed"] = _number(given.get("speed"), "speed", float, 0.25, 4)
    if "prompt" in said:
        given["prompt"] = str(folder / given["prompt"])
        check_file(given["prompt"], "the prompt")
    if given.get("voice") is not None:
        given["voice"] = find_voice(given["voice"])
    return BatchJob(line=line, **given)


def _number(value: Any, key: str, kind: type, low: float, high: float) -> Any:
    if value is None:
        return None
    try:
        number = kind(value)
        if isinstance(value, bool) or number != float(value) or not low <= number <= high:
            raise ValueError
    except (TypeError, ValueError):
        what = "a whole number" if kind is int else "a number"
        raise UserError(f"{key} must be {what} from {low} to {high}, but is {value!r}") from None
    return number
