"""What was trained on what, for how long: read from corpora and from the logs of runs."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

from uslm_recipes.data.corpus_format import HEADER_FILE
from uslm_tokenizer.errors import MissingResource, UserError


@dataclass(frozen=True, kw_only=True)
class RunFacts:
    """One stage of the training."""

    name: str
    """Folder of the run."""
    steps: int
    minutes: float
    """Wall-clock time spent training."""
    audio_hours: float
    """Speech seen, repeats counted."""


@dataclass(frozen=True, kw_only=True)
class SourceFacts:
    """One collection of recordings."""

    key: str
    name: str
    licence: str
    hours: float


@dataclass(frozen=True, kw_only=True)
class CorpusFacts:
    """All that the stages were trained with."""

    sources: tuple[SourceFacts, ...]
    hours_by_split: Mapping[str, float]


def read_run(folder: Path) -> RunFacts:
    """Sum up the log of a run."""
    path = folder / "log.jsonl"
    if not path.is_file():
        raise MissingResource(f"there is no log {str(path)!r}; name the folder of a training run")
    lines = [json.loads(line) for line in path.read_text("utf-8").splitlines() if line.strip()]
    steps, seconds_heard, minutes = 0, 0.0, 0.0
    for line in lines:
        if line["kind"] == "train":
            seconds = (line["step"] - steps) / line["steps_per_second"]
            seconds_heard += seconds * line.get("audio_seconds_per_second", 0.0)
        if "minutes" in line:
            steps, minutes = line["step"], line["minutes"]
    if not steps:
        raise UserError(f"{str(path)!r} tells of no training step")
    return RunFacts(
        name=folder.name, steps=steps, minutes=minutes, audio_hours=seconds_heard / 3600
    )


def read_corpora(folders: Sequence[Path], described: Sequence[str] = ()) -> CorpusFacts:
    """Hours by source, of all corpora together.

    `described` names sources that are not known here, each as `KEY=NAME; LICENCE`.
    """
    by_source: Counter[str] = Counter()
    by_split: Counter[str] = Counter()
    for folder in folders:
        path = folder / HEADER_FILE
        if not path.is_file():
            raise MissingResource(f"{folder} is not a corpus: it has no {HEADER_FILE}")
        header = json.loads(path.read_text("utf-8"))
        by_source.update(header["hours_by_source"])
        by_split.update(header["hours_by_split"])
    known = json.loads((files("uslm_recipes") / "sources.json").read_text("utf-8"))
    known |= dict(map(_described, described))
    if unknown := sorted(set(by_source) - set(known)):
        raise UserError(
            f"nothing is known of the source {unknown[0]!r}: "
            f"say what it is with --source '{unknown[0]}=NAME; LICENCE'"
        )
    sources = (
        SourceFacts(key=key, hours=hours, **known[key]) for key, hours in by_source.most_common()
    )
    return CorpusFacts(sources=tuple(sources), hours_by_split=dict(by_split))


def _described(text: str) -> tuple[str, dict[str, str]]:
    key, _, rest = text.partition("=")
    name, _, licence = rest.partition(";")
    if not (key.strip() and name.strip() and licence.strip()):
        raise UserError(f"--source must be 'KEY=NAME; LICENCE', but is {text!r}")
    return key.strip(), {"name": name.strip(), "licence": licence.strip()}
