"""Makes a corpus folder out of recordings: 16 kHz samples in one file, texts, phonemes, splits.

uslm-prepare --manifest speech/manifest.jsonl --folder my_voice --out data/corpus
"""

from __future__ import annotations

import argparse
import hashlib
import itertools
import json
import os
import random
import re
import shutil
import sys
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import nullcontext
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from uslm_recipes.data.audio_files import AudioLimits, read_samples
from uslm_recipes.data.sources import Found, Recording, Rejected, read_folder, read_manifest
from uslm_recipes.data.transcripts import EnglishFrontEnd, FrontEnd, Transcript, transcribe
from uslm_tokenizer.errors import AudioError, EnvironmentProblem, MissingResource, UserError

FORMAT = 1
TEST_SHARE = 0.04
SLICE = 1024  # recordings handed to the workers at a time: bounds the memory in use


@dataclass(frozen=True, kw_only=True)
class PrepareConfig:
    """What may enter a corpus, and how it is made."""

    audio: AudioLimits = field(default_factory=AudioLimits)
    """Rate and length of the utterances."""
    max_ids_per_second: float = 27.0
    """A text that would have to be spoken faster belongs to another recording, or this one is cut
    off; of 5,000 sound English recordings the fastest has 26.5."""
    max_characters_per_second: float = 30.0
    """The same for texts without phonemes."""
    limit: int | None = None
    """At most so many utterances, whole speakers as far as possible."""
    seed: int = 0
    """Draws the speakers that `limit` keeps."""
    num_workers: int = 2
    """Processes that decode audio; 0 decodes in this one."""


@dataclass(frozen=True, kw_only=True)
class Report:
    """What a run of `prepare` did."""

    utterances: int
    hours: float
    hours_by_source: dict[str, float]
    hours_by_split: dict[str, float]
    with_text: int
    rejected: int
    reasons: dict[str, int]
    """How often each kind of problem was met."""
    seconds_taken: float


def prepare(
    found: Iterable[Found],
    out: Path,
    config: PrepareConfig,
    *,
    front_end: FrontEnd | None = None,
) -> Report:
    """Write the corpus folder `out`; a former one is replaced only when the new one is whole."""
    began = time.monotonic()
    recordings, rejected = _sort_out(found)
    recordings = _limited(recordings, config)
    if not recordings:
        raise UserError(f"there is no usable recording in the sources{_why(rejected)}")
    transcripts = transcribe(recordings, front_end or EnglishFrontEnd())
    temporary = out.with_name(f".{out.name}.{os.getpid()}.part")
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir(parents=True)
    try:
        rows, sha = _write_utterances(recordings, transcripts, temporary, config, rejected)
        if not rows:
            raise UserError(f"there is no usable recording in the sources{_why(rejected)}")
        _write_lines(temporary / "rejected.jsonl", [asdict(each) for each in rejected])
        report = _report(rows, rejected, config, time.monotonic() - began)
        _write_header(temporary / "corpus.json", report, config, sha)
        _replace_folder(temporary, out)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return report


def split_of(speaker: str, given: str | None = None) -> str:
    """The part of the corpus that a speaker belongs to: as given, or drawn by the name's hash."""
    listed = re.fullmatch(r"ls/(\d+)", speaker)
    if listed and int(listed[1]) % 5 == 0:  # LibriSpeech speakers that are kept for tests
        return "test"
    if given is not None:
        return given
    digest = hashlib.sha256(speaker.encode()).digest()
    return "test" if int.from_bytes(digest[:8], "big") < TEST_SHARE * 2**64 else "train"


def _sort_out(found: Iterable[Found]) -> tuple[list[Recording], list[Rejected]]:
    recordings: list[Recording] = []
    rejected: list[Rejected] = []
    seen: set[str] = set()
    for each in found:
        if isinstance(each, Rejected):
            rejected.append(each)
        elif each.id in seen:
            rejected.append(_reject(each, "duplicate: an earlier recording has the same path"))
        else:
            seen.add(each.id)
            recordings.append(each)
    return recordings, rejected


def _limited(recordings: list[Recording], config: PrepareConfig) -> list[Recording]:
    if config.limit is None or len(recordings) <= config.limit:
        return recordings
    count = Counter(each.speaker for each in recordings)
    speakers = sorted(count)
    random.Random(config.seed).shuffle(speakers)
    before = itertools.accumulate((count[speaker] for speaker in speakers), initial=0)
    kept = {s for s, total in zip(speakers, before, strict=False) if total < config.limit}
    return [each for each in recordings if each.speaker in kept][: config.limit]


def _write_utterances(
    recordings: Sequence[Recording],
    transcripts: Sequence[Transcript],
    folder: Path,
    config: PrepareConfig,
    rejected: list[Rejected],
) -> tuple[list[dict[str, Any]], str]:
    """Write audio.s16 and utterances.jsonl; returns the lines and the hash of both files."""
    rows: list[dict[str, Any]] = []
    digest = hashlib.sha256()
    start = 0
    with (folder / "audio.s16").open("wb") as audio_file:
        decoded = _decode([each.audio for each in recordings], config)
        for recording, transcript, samples in zip(recordings, transcripts, decoded, strict=True):
            problem = samples if isinstance(samples, str) else None
            if not isinstance(samples, str):
                seconds = len(samples) / config.audio.sample_rate
                problem = _text_problem(recording, transcript, seconds, config)
            if isinstance(samples, str) or problem is not None:
                rejected.append(_reject(recording, problem or ""))
                continue
            data = samples.astype("<i2").tobytes()
            audio_file.write(data)
            digest.update(data)
            rows.append(_row(recording, transcript, start, len(samples)))
            start += len(samples)
        _sync(audio_file.fileno())
    _write_lines(folder / "utterances.jsonl", rows)
    digest.update((folder / "utterances.jsonl").read_bytes())
    return rows, digest.hexdigest()


def _decode(paths: Sequence[Path], config: PrepareConfig) -> Iterator[NDArray[np.int16] | str]:
    """Samples of each path in order, or the reason why there are none."""
    from tqdm import tqdm

    work = partial(_decode_one, limits=config.audio)
    bar = tqdm(total=len(paths), unit="file", disable=not sys.stderr.isatty(), leave=False)
    pool = ProcessPoolExecutor(config.num_workers) if config.num_workers else nullcontext()
    with bar, pool as executor:
        for first in range(0, len(paths), SLICE):
            part = paths[first : first + SLICE]
            results = executor.map(work, part, chunksize=16) if executor else map(work, part)
            for samples in results:
                bar.update()
                yield samples


def _decode_one(path: Path, limits: AudioLimits) -> NDArray[np.int16] | str:
    try:
        return read_samples(path, limits)
    except AudioError as problem:
        return str(problem)


def _text_problem(
    recording: Recording, transcript: Transcript, seconds: float, config: PrepareConfig
) -> str | None:
    if len(transcript.text_ids) > config.max_ids_per_second * seconds:
        return f"text of {len(transcript.text_ids)} phonemes does not fit into {seconds:.2f} s"
    if not transcript.text_ids and len(recording.text) > config.max_characters_per_second * seconds:
        return f"text of {len(recording.text)} characters does not fit into {seconds:.2f} s"
    return None


def _row(
    recording: Recording, transcript: Transcript, start: int, num_samples: int
) -> dict[str, Any]:
    row: dict[str, Any] = {
        "id": recording.id,
        "audio": str(recording.audio),
        "source": recording.source,
        "speaker": recording.speaker,
        "language": recording.language,
        "text": recording.text,
        "phonemes": transcript.phonemes,
        "text_ids": list(transcript.text_ids),
        "split": split_of(recording.speaker, recording.split),
        "start_sample": start,
        "num_samples": num_samples,
    }
    if transcript.durations is not None:
        row["durations"] = list(transcript.durations)
    return row


def _reject(recording: Recording, reason: str) -> Rejected:
    return Rejected(where=recording.where, audio=str(recording.audio), reason=reason)


def _report(
    rows: Sequence[dict[str, Any]],
    rejected: Sequence[Rejected],
    config: PrepareConfig,
    seconds_taken: float,
) -> Report:
    by_source: Counter[str] = Counter()
    by_split: Counter[str] = Counter()
    for row in rows:
        by_source[row["source"]] += row["num_samples"]
        by_split[row["split"]] += row["num_samples"]
    hour = 3600 * config.audio.sample_rate
    return Report(
        utterances=len(rows),
        hours=round(sum(by_source.values()) / hour, 4),
        hours_by_source={name: round(total / hour, 4) for name, total in by_source.items()},
        hours_by_split={name: round(total / hour, 4) for name, total in by_split.items()},
        with_text=sum(bool(row["text_ids"]) for row in rows),
        rejected=len(rejected),
        reasons=_reasons(rejected),
        seconds_taken=round(seconds_taken, 2),
    )


def _reasons(rejected: Sequence[Rejected]) -> dict[str, int]:
    """Counts by kind: the reason without its numbers and details."""
    kinds = Counter(re.sub(r"\d[\d.]*", "N", each.reason.split(":")[0]) for each in rejected)
    return dict(kinds.most_common())


def _why(rejected: Sequence[Rejected]) -> str:
    return f"; rejected: {_reasons(rejected)}" if rejected else ""


# ---- files


def _write_header(path: Path, report: Report, config: PrepareConfig, sha: str) -> None:
    header = {
        "format": FORMAT,
        "sample_rate": config.audio.sample_rate,
        "hop_length": config.audio.hop_length,
        "sha": sha,
        **asdict(report),
    }
    with path.open("w", encoding="utf-8") as file:
        json.dump(header, file, indent=2, ensure_ascii=False)
        file.flush()
        _sync(file.fileno())


def _write_lines(path: Path, rows: Iterable[dict[str, Any]]) -> None:
    with path.open("w", encoding="utf-8", errors="replace") as file:
        for row in rows:
            file.write(json.dumps(row, ensure_ascii=False) + "\n")
        file.flush()
        _sync(file.fileno())


def _sync(descriptor: int) -> None:
    os.fsync(descriptor)


def _replace_folder(new: Path, out: Path) -> None:
    """Put `new` in the place of `out`."""
    if not out.exists():
        new.rename(out)
        return
    old = out.with_name(f".{out.name}.{os.getpid()}.old")
    out.rename(old)
    new.rename(out)
    shutil.rmtree(old)


# ---- command


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit code."""
    options = _parser().parse_args(arguments)
    try:
        report = prepare(_sources(options), options.out, _config(options))
    except MissingResource as problem:
        return _fail(problem, 2)
    except UserError as problem:
        return _fail(problem, 1)
    except EnvironmentProblem as problem:
        return _fail(problem, 3)
    except OSError as problem:
        return _fail(problem, 1)
    speed = report.hours * 3600 / max(report.seconds_taken, 1e-9)
    print(
        f"{options.out}: {report.utterances} utterances, {report.hours:.2f} h, "
        f"{report.with_text} with text ids, {report.rejected} rejected, {speed:.0f}x real time"
    )
    for name, hours in sorted(report.hours_by_source.items()):
        print(f"  {name:16} {hours:.2f} h")
    for reason, count in report.reasons.items():
        print(f"  rejected {count}: {reason}")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="uslm-prepare", description=__doc__.splitlines()[0])
    parser.add_argument(
        "--manifest",
        type=Path,
        action="append",
        default=[],
        metavar="JSONL",
        help="one JSON object a line: audio, speaker, text, language ...",
    )
    parser.add_argument(
        "--folder",
        type=Path,
        action="append",
        default=[],
        metavar="DIR",
        help="x.wav beside x.txt, or LJSpeech's metadata.csv; sub-folders are speakers",
    )
    parser.add_argument("--language", default="en", help="language of the texts in --folder")
    parser.add_argument("--out", type=Path, required=True, help="the corpus folder to write")
    parser.add_argument("--limit", type=int, help="at most so many utterances")
    parser.add_argument("--max-seconds", type=float, default=AudioLimits.max_seconds)
    parser.add_argument("--seed", type=int, default=0, help="draws the speakers that --limit keeps")
    parser.add_argument("--workers", type=int, default=min(4, os.cpu_count() or 1))
    return parser


def _config(options: argparse.Namespace) -> PrepareConfig:
    return PrepareConfig(
        audio=AudioLimits(max_seconds=options.max_seconds),
        limit=options.limit,
        seed=options.seed,
        num_workers=options.workers,
    )


def _sources(options: argparse.Namespace) -> Iterator[Found]:
    if not options.manifest and not options.folder:
        raise UserError("give at least one --manifest or --folder")
    for manifest in options.manifest:
        yield from read_manifest(manifest)
    for folder in options.folder:
        yield from read_folder(folder, options.language)


def _fail(problem: Exception, code: int) -> int:
    print(f"uslm-prepare: {problem}", file=sys.stderr)
    return code


if __name__ == "__main__":
    raise SystemExit(main())
