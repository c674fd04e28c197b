"""Makes a corpus folder out of recordings: 16 kHz samples in one file, texts, phonemes, splits.

uslm-prepare --manifest speech/manifest.jsonl --folder my_voice --out data/corpus
"""

from __future__ import annotations

import argparse
import hashlib
import itertools
import os
import random
import re
import sys
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import nullcontext
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from uslm_recipes.command import run_command
from uslm_recipes.data.audio_files import AudioLimits, read_samples
from uslm_recipes.data.corpus_format import Utterance
from uslm_recipes.data.corpus_writer import CorpusSummary, CorpusWriter
from uslm_recipes.data.recording import Found, Recording, Rejected
from uslm_recipes.data.sources.folder import read_folder
from uslm_recipes.data.sources.manifest import read_manifest
from uslm_recipes.data.transcripts import EnglishFrontEnd, FrontEnd, Transcript, transcribe
from uslm_tokenizer.errors import AudioError, EnvironmentProblem, UserError

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

    def __post_init__(self) -> None:
        if self.limit is not None and self.limit < 1:
            raise UserError(f"limit must be 1 or more, but is {self.limit}")
        if self.num_workers < 0:
            raise UserError(f"the number of workers must be 0 or more, but is {self.num_workers}")


@dataclass(frozen=True, kw_only=True)
class Report:
    """What a run of `prepare` did."""

    summary: CorpusSummary
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
    """Write the corpus folder `out`; a former one is replaced only when the new one is whole.

    Recordings that cannot be used are listed in rejected.jsonl and never end the run.
    """
    began = time.monotonic()
    recordings, rejected = _sort_out(found)
    recordings = _limited(recordings, config)
    transcripts = transcribe(recordings, front_end or EnglishFrontEnd()) if recordings else []
    audio = _decode([each.audio for each in recordings], config)
    with CorpusWriter(out, sample_rate=config.audio.sample_rate) as writer:
        for recording, transcript, samples in zip(recordings, transcripts, audio, strict=True):
            problem = _problem(recording, transcript, samples, config)
            if problem is None:
                assert not isinstance(samples, str)
                row = _utterance(recording, transcript, writer.next_sample, len(samples))
                writer.add(row, samples)
            else:
                rejected.append(_reject(recording, problem))
        if not len(writer):
            raise UserError(f"there is no usable recording in the sources: {_kinds(rejected)}")
        summary = writer.finish(rejected)
    seconds_taken = time.monotonic() - began
    return Report(summary=summary, reasons=_kinds(rejected), seconds_taken=seconds_taken)


def split_of(speaker: str, given: str | None = None) -> str:
    """The part of the corpus that a speaker belongs to: as given, or drawn by the name's hash."""
    listed = re.fullmatch(r"ls/(\d+)", speaker)
    if listed and int(listed[1]) % 5 == 0:  # LibriSpeech speakers that are kept for tests
        return "test"
    if given is not None:
        return given
    digest = hashlib.sha256(speaker.encode(errors="replace")).digest()
    return "test" if int.from_bytes(digest[:8], "big") < TEST_SHARE * 2**64 else "train"


# ---- which recordings


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


# ---- audio


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
            try:
                for samples in results:
                    bar.update()
                    yield samples
            except BrokenProcessPool as problem:
                raise EnvironmentProblem(
                    "a worker was killed, perhaps for want of memory; try --workers 0"
                ) from problem


def _decode_one(path: Path, limits: AudioLimits) -> NDArray[np.int16] | str:
    try:
        return read_samples(path, limits)
    except AudioError as problem:
        return str(problem)


# ---- one utterance


def _problem(
    recording: Recording,
    transcript: Transcript,
    samples: NDArray[np.int16] | str,
    config: PrepareConfig,
) -> str | None:
    """Why a recording cannot be used, if so."""
    if isinstance(samples, str):
        return samples
    seconds = len(samples) / config.audio.sample_rate
    symbols, characters = len(transcript.text_ids), len(recording.text)
    if symbols > config.max_ids_per_second * seconds:
        return f"text of {symbols} phonemes does not fit into {seconds:.2f} s"
    if not symbols and characters > config.max_characters_per_second * seconds:
        return f"text of {characters} characters does not fit into {seconds:.2f} s"
    return None


def _utterance(
    recording: Recording, transcript: Transcript, start: int, num_samples: int
) -> Utterance:
    return Utterance(
        id=recording.id,
        source=recording.source,
        audio=str(recording.audio),
        speaker=recording.speaker,
        language=recording.language,
        text=recording.text,
        phonemes=transcript.phonemes,
        text_ids=transcript.text_ids,
        split=split_of(recording.speaker, recording.split),
        start_sample=start,
        num_samples=num_samples,
        durations=transcript.durations,
    )


def _reject(recording: Recording, reason: str) -> Rejected:
    return Rejected(where=recording.where, audio=str(recording.audio), reason=reason)


def _kinds(rejected: Sequence[Rejected]) -> dict[str, int]:
    """How many of each kind: the reasons without their numbers and details."""
    kinds = Counter(re.sub(r"\d[\d.]*", "N", each.reason.split(":")[0]) for each in rejected)
    return dict(kinds.most_common())


# ---- command


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit code."""
    options = _parser().parse_args(arguments)
    return run_command("uslm-prepare", lambda: _run(options))


def _run(options: argparse.Namespace) -> None:
    config = PrepareConfig(
        audio=AudioLimits(max_seconds=options.max_seconds),
        limit=options.limit,
        seed=options.seed,
        num_workers=options.workers,
    )
    report = prepare(_sources(options), options.out, config)
    summary = report.summary
    speed = summary.hours * 3600 / max(report.seconds_taken, 1e-9)
    print(
        f"{options.out}: {summary.utterances} utterances of {summary.speakers} speakers, "
        f"{summary.hours:.2f} h, {summary.with_text} with text ids; {speed:.0f}x real time"
    )
    for name, hours in (summary.hours_by_source | summary.hours_by_split).items():
        print(f"  {name:16} {hours:6.2f} h")
    for reason, count in report.reasons.items():
        print(f"  rejected {count:7} {reason}")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="uslm-prepare", description=__doc__.splitlines()[0])
    add = parser.add_argument
    add("--manifest", type=Path, action="append", default=[], metavar="FILE.jsonl",
        help="one JSON object a line: audio, speaker, text, language ...")  # fmt: skip
    add("--folder", type=Path, action="append", default=[], metavar="DIR",
        help="x.wav beside x.txt, or metadata.csv; sub-folders are speakers")  # fmt: skip
    add("--language", default="en", help="language of the texts in --folder (en)")
    add("--out", type=Path, required=True, help="the corpus folder to write")
    add("--limit", type=int, help="at most so many utterances")
    add("--max-seconds", type=float, default=20.0, help="longest utterance (20)")
    add("--seed", type=int, default=0, help="draws the speakers that --limit keeps")
    workers = min(4, os.cpu_count() or 1)
    add("--workers", type=int, default=workers, help=f"processes that decode ({workers})")
    return parser


def _sources(options: argparse.Namespace) -> Iterator[Found]:
    if not options.manifest and not options.folder:
        raise UserError("give at least one --manifest or --folder")
    for manifest in options.manifest:
        yield from read_manifest(manifest)
    for folder in options.folder:
        yield from read_folder(folder, options.language)


if __name__ == "__main__":
    raise SystemExit(main())
