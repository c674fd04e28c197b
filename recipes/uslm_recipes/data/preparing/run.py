"""A corpus is made of recordings; a run that was stopped goes on where it was."""

from __future__ import annotations

import hashlib
import itertools
import random
import re
import sys
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from uslm.text.vocab import SentencePieceVocab
from uslm_recipes.data.corpus_format import PHONEMES, TextIds, Utterance
from uslm_recipes.data.corpus_writer import CorpusSummary, CorpusWriter, Done
from uslm_recipes.data.examine import ExamineConfig, Examiner, Good
from uslm_recipes.data.labels import labels_of_voice
from uslm_recipes.data.recording import Found, Recording, Rejected
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
    found = iter(found if config.limit is None else limited(found, config))
    examiner = Examiner(config, front_end or EnglishFrontEnd(), split_of)
    sample_rate = config.audio.sample_rate
    with (
        CorpusWriter(
            out, sample_rate=sample_rate, key=run_key(config), vocab=config.vocab
        ) as writer,
        progress_bar() as bar,
    ):
        _go_on(writer, examiner, found)
        bar.update(examiner.num_found)
        before = writer.next_sample
        for part in examiner.slices(found):
            for good in part.good:
                writer.add(utterance_of(good, writer.next_sample), good.samples)
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
        examiner.sounds.know(samples, utterance.id)
    pass_over(examiner, found, writer.done, writer.folder)


def pass_over(examiner: Examiner, found: Iterator[Found], done: Done, folder: Path) -> None:
    """Find again what an interrupted run of `folder` has done; UserError if it is not the same."""
    examiner.skip(found, done.num_found)
    if done.num_found and examiner.mark != done.mark:
        raise UserError(
            f"the sources are not those that an interrupted run of {folder} began with; "
            "its beginning is given up, start again"
        )


def run_key(config: PrepareConfig) -> str:
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


def limited(found: Iterable[Found], config: PrepareConfig) -> list[Found]:
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


def utterance_of(good: Good, start: int) -> Utterance:
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
