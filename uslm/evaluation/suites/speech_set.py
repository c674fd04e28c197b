"""Speech with what is known of it: who speaks, which phonemes, when; read from a manifest.

A manifest is a file of JSON lines, one an utterance:

    {"audio": "a/1.ogg", "text": "...", "phonemes": "fˈɪʃɚ", "durations": [0.11, ...],
     "speaker": "a", "language": "en", "split": "test", "labels": {"gender": "female"}}

Only `audio` has to be there, relative to the manifest. `durations` are seconds: of the silence
before, of each character of `phonemes`, and of the silence after.
"""

# ruff: noqa: RUF002 (phonemes look like other characters)

import json
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from uslm_tokenizer.audio.read import read_audio
from uslm_tokenizer.errors import MissingResource, UserError

SAMPLE_RATE = 16_000
PAUSE = "sil"
STRESS = "ˈˌ"
LONG = "ːˑ"
LABELS = ("speaker", "language")
"""Fields of a manifest's line that are labels, beside those of `labels`."""


@dataclass(frozen=True, kw_only=True)
class Segment:
    """A phoneme and when it sounds."""

    symbol: str
    start: float
    """Seconds from the beginning of the recording."""
    end: float
    """Seconds."""


@dataclass(frozen=True, kw_only=True, eq=False)
class LabelledSpeech:
    """One utterance."""

    name: str
    waveform: Float[Tensor, "1 n"]
    """At 16 kHz."""
    text: str = ""
    phonemes: tuple[str, ...] = ()
    """Symbols in order, without stress and pauses; empty where they are not known."""
    segments: tuple[Segment, ...] = ()
    """The same with times, pauses among them; empty where the times are not known."""
    words: tuple[Segment, ...] = ()
    """Words with times, without the pauses between them; empty where they are not known."""
    labels: Mapping[str, str] = field(default_factory=dict)
    """Known classes by kind: `speaker`, `language`, `command`, `gender`, `emotion`."""

    @property
    def seconds(self) -> float:
        """Length of the recording."""
        return self.waveform.shape[1] / SAMPLE_RATE


@dataclass(frozen=True, kw_only=True, eq=False)
class SpeechSet:
    """Training and test utterances of probes; no speaker is in both."""

    train: tuple[LabelledSpeech, ...]
    test: tuple[LabelledSpeech, ...]


def read_manifest(
    path: str | Path,
    *,
    num_train: int,
    num_test: int,
    min_seconds: float = 0.5,
    max_seconds: float = 8.0,
    seed: int = 0,
) -> SpeechSet:
    """Whole speakers of a manifest, drawn until there are so many utterances for each purpose.

    Where its lines name no `split`, every fifth speaker is for tests. Shorter and longer recordings
    are left out. MissingResource without the file or a recording of it; UserError for a line that
    is none.
    """
    path = Path(path)
    if not path.is_file():
        raise MissingResource(f"there is no manifest {str(path)!r}")
    rows = [
        _read_line(line, number, path)
        for number, line in enumerate(path.read_text("utf-8").splitlines(), start=1)
        if line.strip()
    ]
    speakers = sorted({str(row.get("speaker", row["audio"])) for row in rows})
    draw = torch.Generator().manual_seed(seed)
    order = [speakers[i] for i in torch.randperm(len(speakers), generator=draw).tolist()]
    tested = set(order[::5])
    chosen: dict[str, list[LabelledSpeech]] = {"train": [], "test": []}
    wanted = {"train": num_train, "test": num_test}
    by_speaker: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        by_speaker.setdefault(str(row.get("speaker", row["audio"])), []).append(row)
    for speaker in order:
        for row in by_speaker[speaker]:
            split = row.get("split", "test" if speaker in tested else "train")
            if split not in chosen or len(chosen[split]) >= wanted[split]:
                continue
            if min_seconds <= float(row.get("seconds", min_seconds)) <= max_seconds:
                speech = _read_speech(row, path)
                if min_seconds <= speech.seconds <= max_seconds:
                    chosen[split].append(speech)
    for split, found in chosen.items():
        if not found:
            raise UserError(f"{str(path)!r} has no utterances to {split} with")
    return SpeechSet(train=tuple(chosen["train"]), test=tuple(chosen["test"]))


def to_segments(phonemes: str, durations: Sequence[float]) -> tuple[Segment, ...]:
    """Phonemes with times. Stress belongs to what follows, length and accents to what precedes;
    spaces and punctuation are pauses. UserError if the two do not fit."""
    if len(durations) != len(phonemes) + 2:
        raise UserError(
            f"durations must be {len(phonemes) + 2}, those of the silence before, of each "
            f"character and of the silence after, but are {len(durations)}"
        )
    found: list[Segment] = []
    start = time = 0.0
    for symbol, seconds in zip((" ", *phonemes, " "), durations, strict=True):
        time += seconds
        if symbol in STRESS:
            continue
        kind = symbol if _is_letter(symbol) else PAUSE
        more = symbol in LONG or unicodedata.combining(symbol) != 0
        if found and (more or kind == found[-1].symbol == PAUSE):
            found[-1] = Segment(symbol=found[-1].symbol, start=found[-1].start, end=time)
        elif time > start or kind != PAUSE:
            found.append(Segment(symbol=kind, start=start, end=time))
        start = time
    return tuple(found)


def to_symbols(phonemes: str) -> tuple[str, ...]:
    """The phonemes alone, as `to_segments` has them."""
    return tuple(
        symbol
        for symbol in phonemes
        if _is_letter(symbol) and symbol not in STRESS and symbol not in LONG
    )


def vocabulary(utterances: Iterable[LabelledSpeech]) -> tuple[str, ...]:
    """All phonemes that occur."""
    return tuple(sorted({symbol for each in utterances for symbol in each.phonemes}))


def label_kinds(speech: SpeechSet) -> tuple[str, ...]:
    """Kinds of labels that have at least two classes."""
    everything = (*speech.train, *speech.test)
    kinds = dict.fromkeys(kind for each in everything for kind in each.labels)
    return tuple(
        kind
        for kind in kinds
        if len({each.labels[kind] for each in everything if kind in each.labels}) > 1
    )


def _is_letter(symbol: str) -> bool:
    return symbol.isalpha() and symbol not in STRESS


def _read_line(line: str, number: int, path: Path) -> dict[str, Any]:
    try:
        row = json.loads(line)
    except ValueError as problem:
        raise UserError(f"{path}, line {number}, is not JSON: {problem}") from problem
    if not isinstance(row, dict) or not isinstance(row.get("audio"), str):
        raise UserError(f"{path}, line {number}, must be an object with 'audio', a path")
    return row


def _read_speech(row: Mapping[str, Any], manifest: Path) -> LabelledSpeech:
    audio = manifest.parent / row["audio"]
    if not audio.is_file():
        raise MissingResource(f"{str(manifest)!r} names {str(audio)!r}, which is not there")
    phonemes = str(row.get("phonemes", ""))
    durations = row.get("durations")
    labels = {kind: str(row[kind]) for kind in LABELS if row.get(kind)}
    return LabelledSpeech(
        name=str(row["audio"]),
        waveform=read_audio(audio).resampled(SAMPLE_RATE).waveform,
        text=str(row.get("text", "")),
        phonemes=to_symbols(phonemes),
        segments=() if durations is None else to_segments(phonemes, durations),
        labels=labels | {str(kind): str(value) for kind, value in row.get("labels", {}).items()},
    )
