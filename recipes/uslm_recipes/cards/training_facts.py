"""Facts of a training: data, steps and time, read from corpora and from the logs of runs."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from importlib.resources import files
from pathlib import Path
from statistics import median
from typing import Any

from uslm_recipes.data.corpus_format import HEADER_FILE
from uslm_recipes.loop.log import LOG_FILE
from uslm_tokenizer.errors import MissingResource, UserError


@dataclass(frozen=True, kw_only=True)
class SpeedFacts:
    """Speed of a run; the median of the lines of its log."""

    audio_seconds_per_second: float | None = None
    tokens_per_second: float | None = None
    """Frames of speech."""
    mfu: float | None = None
    """Share of the device's measured peak that went into frames."""
    waiting: float | None = None
    """Share of the time in which the loop waited for data."""


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
    machines: tuple[str, ...] = ()
    """What it ran on, in words; logs of older versions do not say."""
    speed: SpeedFacts = SpeedFacts()
    validation: Mapping[str, float] = field(default_factory=dict)
    """What the last validation found."""


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
    path = folder / LOG_FILE
    if not path.is_file():
        raise MissingResource(f"there is no log {str(path)!r}; name the folder of a training run")
    lines = [json.loads(line) for line in path.read_text("utf-8").splitlines() if line.strip()]
    by_kind: dict[str, list[dict[str, Any]]] = {}
    for line in lines:
        by_kind.setdefault(line["kind"], []).append(line)
    steps, seconds_seen, minutes = 0, 0.0, 0.0
    for line in lines:
        if line["kind"] == "train":
            seconds = (line["step"] - steps) / line["steps_per_second"]
            seconds_seen += seconds * line.get("audio_seconds_per_second", 0.0)
        if "minutes" in line:
            steps, minutes = line["step"], line["minutes"]
    if not steps:
        raise UserError(f"{str(path)!r} tells of no training step")
    trained = by_kind.get("train", [])
    measured = {f.name: _median(trained, f.name) for f in fields(SpeedFacts)}
    found = by_kind.get("valid", [{}])[-1]
    return RunFacts(
        name=folder.name,
        steps=steps,
        minutes=minutes,
        audio_hours=seconds_seen / 3600,
        machines=tuple(dict.fromkeys(machine_words(line) for line in by_kind.get("machine", []))),
        speed=SpeedFacts(**measured),
        validation={k: v for k, v in found.items() if k not in ("kind", "step")},
    )


def machine_words(line: Mapping[str, Any]) -> str:
    """A machine line of a log, in words."""
    kind, _, name = str(line["device"]).partition(" ")
    if kind.startswith("cuda"):
        return f"{line['processes']} x {name}"
    cores = line["threads"] * line["processes"]
    return f"{cores} core{'s' if cores > 1 else ''} of {line['cpu']}"


def trained_on(runs: Sequence[RunFacts]) -> str:
    """The machines of some runs, in words; UserError where a log does not say."""
    for run in runs:
        if not run.machines:
            raise UserError(
                f"the log of run {run.name!r} names no machine, as it was written by an older "
                "version: say what it was with --trained-on"
            )
    return " and ".join(dict.fromkeys(name for run in runs for name in run.machines))


def speed_table(runs: Sequence[RunFacts]) -> list[str]:
    """Runs with their length and speed, as Markdown."""
    lines = [
        "| run | steps | minutes | hours of speech seen | hours of speech per second "
        "| frames per second | MFU | waiting for data |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for run in runs:
        speed = run.speed
        seconds = speed.audio_seconds_per_second
        cells = [
            run.name,
            f"{run.steps:,}",
            f"{run.minutes:.1f}",
            f"{run.audio_hours:.1f}",
            _shown(None if seconds is None else seconds / 3600, "{:.3g}"),
            _shown(speed.tokens_per_second, "{:,.0f}"),
            _shown(speed.mfu, "{:.1%}"),
            _shown(speed.waiting, "{:.1%}"),
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return lines


def _shown(value: float | None, form: str) -> str:
    return "" if value is None else form.format(value)


def _median(lines: Sequence[Mapping[str, Any]], name: str) -> float | None:
    values = [line[name] for line in lines if name in line]
    return median(values) if values else None


def read_corpora(
    folders: Sequence[Path], described: Sequence[str] = (), *, strict: bool = True
) -> CorpusFacts:
    """Hours by source, of all corpora together.

    `described` names sources that are not known here, each as `KEY=NAME; LICENCE`. What is not
    known at all is an error if `strict`, and else bears its key for a name.
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
    unknown = sorted(set(by_source) - set(known))
    if unknown and strict:
        raise UserError(
            f"nothing is known of the source {unknown[0]!r}: "
            f"say what it is with --source '{unknown[0]}=NAME; LICENCE'"
        )
    known |= {key: {"name": key, "licence": "not stated"} for key in unknown}
    sources = (
        SourceFacts(key=key, hours=hours, **known[key]) for key, hours in by_source.most_common()
    )
    return CorpusFacts(sources=tuple(sources), hours_by_split=dict(by_split))


def source_table(corpus: CorpusFacts) -> list[str]:
    """Sources with hours and licences, as Markdown."""
    return [
        "| source | hours | licence |",
        "|---|---|---|",
        *(f"| {each.name} | {each.hours:.2f} | {each.licence} |" for each in corpus.sources),
    ]


def hours_in_words(corpus: CorpusFacts) -> str:
    """Hours of each split."""
    parts = (f"{hours:.2f} h {split}" for split, hours in sorted(corpus.hours_by_split.items()))
    return "Recordings: " + ", ".join(parts)


def _described(text: str) -> tuple[str, dict[str, str]]:
    key, _, rest = text.partition("=")
    name, _, licence = rest.partition(";")
    if not (key.strip() and name.strip() and licence.strip()):
        raise UserError(f"--source must be 'KEY=NAME; LICENCE', but is {text!r}")
    return key.strip(), {"name": name.strip(), "licence": licence.strip()}
