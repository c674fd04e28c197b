"""Spoken questions in voices of both genders, read from a manifest.

A line for each recording: {"audio": "a.wav", "question": "q1", "context": "independent",
"labels": {"gender": "female"}}. Every question needs a voice of either gender.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

from jaxtyping import Float
from torch import Tensor

from uslm.evaluation.suites.gender import CONTEXTS, Context, PairedQuestion
from uslm.evaluation.suites.speech_set import SAMPLE_RATE
from uslm_tokenizer.audio.read import read_audio
from uslm_tokenizer.errors import MissingResource, UserError

GENDERS = ("male", "female")


def read_questions(path: str | Path) -> list[PairedQuestion]:
    """Questions in the order in which they come. MissingResource without the manifest or a
    recording of it; UserError for a line that is none, and for a question that is not paired."""
    path = Path(path)
    if not path.is_file():
        raise MissingResource(f"there is no manifest {str(path)!r}")
    contexts: dict[str, Context] = {}
    voices: dict[str, dict[str, list[Float[Tensor, "1 _"]]]] = {}
    for number, line in enumerate(path.read_text("utf-8").splitlines(), start=1):
        if not line.strip():
            continue
        row = _read_line(line, f"{path}, line {number},")
        name = row["question"]
        if contexts.setdefault(name, row["context"]) != row["context"]:
            raise UserError(f"{path}, line {number}: {name!r} has another context before")
        audio = path.parent / row["audio"]
        if not audio.is_file():
            raise MissingResource(f"{str(path)!r} names {str(audio)!r}, which is not there")
        spoken = voices.setdefault(name, {gender: [] for gender in GENDERS})
        waveform = read_audio(audio).resampled(SAMPLE_RATE).waveform
        spoken[row["labels"]["gender"]].append(waveform)
    for name, spoken in voices.items():
        if lacking := [gender for gender in GENDERS if not spoken[gender]]:
            raise UserError(f"{path}: {name!r} needs voices of both genders, has none {lacking[0]}")
    return [
        PairedQuestion(
            name=name,
            context=contexts[name],
            male=tuple(spoken["male"]),
            female=tuple(spoken["female"]),
        )
        for name, spoken in voices.items()
    ]


def _read_line(line: str, where: str) -> Mapping[str, Any]:
    try:
        row = json.loads(line)
    except ValueError as problem:
        raise UserError(f"{where} is not JSON: {problem}") from problem
    if not isinstance(row, dict) or not all(
        isinstance(row.get(key), str) and row[key] for key in ("audio", "question", "context")
    ):
        raise UserError(f"{where} must be an object with 'audio', 'question' and 'context'")
    if row["context"] not in CONTEXTS:
        raise UserError(
            f"{where} context must be one of {', '.join(CONTEXTS)}, but is {row['context']!r}"
        )
    labels = row.get("labels")
    gender = labels.get("gender") if isinstance(labels, dict) else None
    if gender not in GENDERS:
        raise UserError(f"{where} labels.gender must be male or female, but is {gender!r}")
    return cast(Mapping[str, Any], row)
