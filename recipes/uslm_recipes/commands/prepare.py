"""Makes a corpus folder out of recordings: 16 kHz samples in one file, texts, phonemes, splits.

uslm-prepare LibriTTS/train-clean-100 speech/manifest.jsonl my_voice --out data/corpus
uslm-prepare 'hf:openslr/librispeech_asr?config=clean&split=train.100' --out data/corpus
uslm-prepare VCTK-Corpus-0.92 --speed 0.9 1.1 --out data/corpus

A run that was interrupted goes on where it stopped, when it is started again.
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
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from uslm.text.vocab import SentencePieceVocab
from uslm_recipes.command import run_command
from uslm_recipes.data.audio_files import AudioLimits
from uslm_recipes.data.checks import TextRules
from uslm_recipes.data.corpus_format import PHONEMES, TextIds, Utterance
from uslm_recipes.data.corpus_writer import CorpusSummary, CorpusWriter, Done
from uslm_recipes.data.examine import ExamineConfig, Examiner, Good
from uslm_recipes.data.labels import labels_of_voice
from uslm_recipes.data.perturb import Perturbation
from uslm_recipes.data.recording import Found, Recording, Rejected
from uslm_recipes.data.sources.folder import read_folder
from uslm_recipes.data.sources.manifest import read_manifest
from uslm_recipes.data.sources.registry import SOURCES, open_source
from uslm_recipes.data.splits import split_of
from uslm_recipes.data.transcripts import EnglishFrontEnd, FrontEnd, PieceFrontEnd
from uslm_tokenizer.errors import UserError


@dataclass(frozen=True, kw_only=True)
class PrepareConfig(ExamineConfig):
    """Settings of a corpus: what may enter it, and how it is made."""

    limit: int | None = None
    """At most so many utterances, whole speakers as far as possible."""
    seed: int = 0
    """Draws the speakers that `limit` keeps."""
    vocab: TextIds = PHONEMES
    """The vocabulary that the text ids are of."""

    def __post_init__(self) -> None:
        if self.limit is not None and self.limit < 1:
            raise UserError(f"limit must be 1 or more, but is {self.limit}")
        if self.num_workers < 0:
            raise UserError(f"the number of workers must be 0 or more, but is {self.num_workers}")


@dataclass(frozen=True, kw_only=True)
class Report:
    """Report on a run of `prepare`."""

    summary: CorpusSummary
    reasons: dict[str, int]
    """How often each kind of problem was met."""
    seconds_taken: float
    hours_done: float
    """Hours that entered the corpus in this time; less than all after an interruption."""


def prepare(
    found: Iterable[Found],
    out: Path,
    config: PrepareConfig,
    *,
    front_end: FrontEnd | PieceFrontEnd | None = None,
) -> Report:
    """Write the corpus folder `out`; a former one is replaced only when the new one is whole.

    Recordings that cannot be used are listed in rejected.jsonl and never end the run. An
    interrupted run goes on where it stopped, if `config` and what is found are the same.
    """
    began = time.monotonic()
    found = iter(found if config.limit is None else _limited(found, config))
    examiner = Examiner(config, front_end or EnglishFrontEnd(), split_of)
    sample_rate = config.audio.sample_rate
    with (
        CorpusWriter(out, sample_rate=sample_rate, key=_key(config), vocab=config.vocab) as writer,
        progress_bar() as bar,
    ):
        _go_on(writer, examiner, found)
        bar.update(examiner.num_found)
        before = writer.next_sample
        for part in examiner.slices(found):
            for good in part.good:
                writer.add(_utterance(good, writer.next_sample), good.samples)
            writer.commit(part.rejected, Done(num_found=part.num_found, mark=part.mark))
            bar.update(part.num_found - bar.n)
        reasons = kinds(writer.rejected)
        if not len(writer):
            raise UserError(f"there is no usable recording in the sources: {reasons}")
        summary = writer.finish()
    return Report(
        summary=summary,
        reasons=reasons,
        seconds_taken=time.monotonic() - began,
        hours_done=(writer.next_sample - before) / sample_rate / 3600,
    )


def _go_on(writer: CorpusWriter, examiner: Examiner, found: Iterator[Found]) -> None:
    """Pass over what an interrupted run has done."""
    for utterance, samples in writer.earlier():
        examiner.know_sound(samples, utterance.id)
    examiner.skip(found, writer.done.num_found)
    if writer.done.num_found and examiner.mark != writer.done.mark:
        raise UserError(
            f"the sources are not those that an interrupted run of {writer.folder} began with; "
            "its beginning is given up, start again"
        )


def _key(config: PrepareConfig) -> str:
    """Of all that decides what is written."""
    decides = replace(config, num_workers=0)
    return hashlib.sha256(repr(decides).encode()).hexdigest()


def ids_of(vocab: SentencePieceVocab) -> TextIds:
    """Vocabulary, as the header of a corpus names it."""
    return TextIds(vocab=f"sentencepiece:{vocab.hash}", size=vocab.size)


def progress_bar() -> Any:
    """Recordings done, on a terminal."""
    from tqdm import tqdm

    return tqdm(unit="file", disable=not sys.stderr.isatty(), leave=False)


def _limited(found: Iterable[Found], config: PrepareConfig) -> list[Found]:
    """Everything that was rejected, and the recordings of some speakers."""
    assert config.limit is not None
    every = list(found)
    count = Counter(each.speaker for each in every if isinstance(each, Recording))
    speakers = sorted(count)
    random.Random(config.seed).shuffle(speakers)
    before = itertools.accumulate((count[speaker] for speaker in speakers), initial=0)
    chosen = {s for s, total in zip(speakers, before, strict=False) if total < config.limit}
    room = itertools.count(config.limit, -1)
    return [
        each
        for each in every
        if isinstance(each, Rejected) or (each.speaker in chosen and next(room) > 0)
    ]


def _utterance(good: Good, start: int) -> Utterance:
    recording, transcript = good.recording, good.transcript
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
        num_samples=len(good.samples),
        durations=transcript.durations,
        labels={**labels_of_voice(recording.speaker), **recording.labels},
    )


def kinds(rejected: Iterable[Rejected]) -> dict[str, int]:
    """Count of each kind of reason, without numbers and details."""
    counted = Counter(re.sub(r"\d[\d.]*", "N", each.reason.split(":")[0]) for each in rejected)
    return dict(counted.most_common())


# ---- command


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit code."""
    options = _parser().parse_args(arguments)
    return run_command("uslm-prepare", lambda: _run(options))


def _run(options: argparse.Namespace) -> None:
    config = PrepareConfig(
        audio=AudioLimits(max_seconds=options.max_seconds),
        rules=TextRules(needs_text=options.needs_text),
        copies=(
            *(Perturbation(speed=speed) for speed in options.speed),
            *(Perturbation(semitones=semitones) for semitones in options.pitch),
        ),
        limit=options.limit,
        seed=options.seed,
        num_workers=options.workers,
    )
    front_end = None
    if options.vocab is not None:
        vocab = SentencePieceVocab.load(options.vocab)
        front_end, config = PieceFrontEnd(vocab), replace(config, vocab=ids_of(vocab))
    report = prepare(sources_of(options), options.out, config, front_end=front_end)
    summary = report.summary
    speed = report.hours_done * 3600 / max(report.seconds_taken, 1e-9)
    print(
        f"{options.out}: {summary.utterances} utterances of {summary.speakers} speakers, "
        f"{summary.hours:.2f} h, {summary.with_text} with text ids; {speed:.0f}x real time"
    )
    for name, hours in (summary.hours_by_source | summary.hours_by_split).items():
        print(f"  {name:16} {hours:6.2f} h")
    for reason, count in report.reasons.items():
        print(f"  rejected {count:7} {reason}")


def _parser() -> argparse.ArgumentParser:
    assert __doc__ is not None
    parser = argparse.ArgumentParser(
        prog="uslm-prepare",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add_source_arguments(parser)
    add("--out", type=Path, required=True, help="the corpus folder to write")
    add("--speed", type=float, nargs="+", default=[], metavar="FACTOR",
        help="training speakers once more, as of a tape that runs so fast")  # fmt: skip
    add("--pitch", type=float, nargs="+", default=[], metavar="SEMITONES",
        help="training speakers once more, so much higher at their tempo")  # fmt: skip
    add("--needs-text", action="store_true", help="leave out recordings without text")
    add("--seed", type=int, default=0, help="draws the speakers that --limit keeps")
    add("--vocab", type=Path, metavar="FILE.model",
        help="text ids are subwords of it (see uslm_recipes.vocab), not phonemes")  # fmt: skip
    return parser


def add_source_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of every command that goes through recordings."""
    add_place_arguments(parser)
    add = parser.add_argument
    add("--max-seconds", type=float, default=20.0, help="longest utterance (20)")
    add("--limit", type=int, help="at most so many utterances; the first ones of hf:NAME")
    workers = min(4, os.cpu_count() or 1)
    add("--workers", type=int, default=workers, help=f"processes that decode ({workers})")


def add_place_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of where recordings are looked for."""
    add = parser.add_argument
    add("places", nargs="*", metavar="PLACE",
        help="folder, manifest, JSON, tar or hf:NAME; the layout is told by the files")  # fmt: skip
    add("--source", choices=SOURCES, metavar="NAME",
        help=f"the layout of every PLACE: {', '.join(SOURCES)}")  # fmt: skip
    add("--manifest", type=Path, action="append", default=[], metavar="FILE.jsonl",
        help="one JSON object a line: audio, speaker, text, language ...")  # fmt: skip
    add("--folder", type=Path, action="append", default=[], metavar="DIR",
        help="x.wav beside x.txt, or metadata.csv; sub-folders are speakers")  # fmt: skip
    add("--language", default="en", help="language of texts whose source names none (en)")


def sources_of(options: argparse.Namespace) -> Iterator[Found]:
    """All that the arguments name, one place after another."""
    if not (options.places or options.manifest or options.folder):
        raise UserError("give at least one place, --manifest or --folder")
    for place in options.places:
        found = open_source(place, name=options.source, language=options.language)
        # A stream cannot be read to its end before the first is taken.
        yield from itertools.islice(found, options.limit) if place.startswith("hf:") else found
    for manifest in options.manifest:
        yield from read_manifest(manifest, options.language)
    for folder in options.folder:
        yield from read_folder(folder, options.language)


if __name__ == "__main__":
    raise SystemExit(main())
