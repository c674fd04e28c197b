"""Goes through recordings: what is good comes with its samples, what is not with the reason."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from uslm_recipes.data.audio_files import AudioLimits
from uslm_recipes.data.augment.perturb import Perturbation
from uslm_recipes.data.checks import WINDOW, TextRules, order_problem, text_problem
from uslm_recipes.data.decoding import Decoded, Decoders, Task
from uslm_recipes.data.recording import Found, Recording, Rejected, reject
from uslm_recipes.data.shard import WHOLE, Shard
from uslm_recipes.data.transcripts import FrontEnd, PieceFrontEnd, Transcript, transcribe

SLICE = 4 * WINDOW  # recordings in memory at a time


@dataclass(frozen=True, kw_only=True)
class ExamineConfig:
    """Limits of what counts as good, and how much of the machine may look for it."""

    audio: AudioLimits = field(default_factory=AudioLimits)
    """Rate, length and level of the utterances."""
    rules: TextRules = field(default_factory=TextRules)
    """Which texts fit."""
    copies: tuple[Perturbation, ...] = ()
    """Copies to make of each recording that is trained on."""
    num_workers: int = 2
    """Processes that decode audio; 0 decodes in this one."""


@dataclass(frozen=True)
class Good:
    """A recording that can be used."""

    recording: Recording
    transcript: Transcript
    samples: NDArray[np.int16]
    copy: Perturbation | None = None
    """What was done to the samples, if anything; names and durations are those of the copy."""


@dataclass(frozen=True)
class Slice:
    """Some recordings in a row."""

    number: int
    """Of slices, from 0."""
    examined: list[Good | Rejected]
    """First what needed no look at its sound, then the others in the order in which they were
    found."""
    num_found: int
    """What was found up to the end of this slice, good or not."""
    mark: str
    """Of all that was found so far: another source has another."""

    @property
    def good(self) -> list[Good]:
        return [each for each in self.examined if isinstance(each, Good)]

    @property
    def rejected(self) -> list[Rejected]:
        return [each for each in self.examined if isinstance(each, Rejected)]


class Sounds:
    """Remembers samples, so that no sound is taken twice."""

    def __init__(self) -> None:
        self._first: dict[bytes, str] = {}

    def know(self, samples: NDArray[np.int16], name: str) -> None:
        """These samples are in the corpus, under the name that they had first."""
        self._first.setdefault(_digest(samples), name)

    def problem(self, samples: NDArray[np.int16]) -> str | None:
        """Reason why they are left out, if they are there already."""
        earlier = self._first.get(_digest(samples))
        return None if earlier is None else f"duplicate: the same sound as {earlier}"


class SplitOf(Protocol):
    """The part of the corpus that a speaker belongs to."""

    def __call__(self, speaker: str, given: str | None = None) -> str: ...


class Examiner:
    """Remembers what it saw, so that nothing is taken twice."""

    def __init__(
        self, config: ExamineConfig, front_end: FrontEnd | PieceFrontEnd, split_of: SplitOf
    ) -> None:
        self.config = config
        self.front_end = front_end
        self.split_of = split_of
        self.num_found = 0
        self._mark = hashlib.sha256()
        self._ids: set[str] = set()
        self.sounds = Sounds()

    @property
    def mark(self) -> str:
        """Of all that was found so far."""
        return self._mark.hexdigest()

    def skip(self, found: Iterator[Found], number: int) -> None:
        """Pass over what an earlier run has done."""
        for _ in self._new(itertools.islice(found, number)):
            pass

    def slices(self, found: Iterator[Found], shard: Shard = WHOLE) -> Iterator[Slice]:
        """All that is found, a slice at a time; of a shard, only its slices.

        A slice depends on no other but for sounds that are there twice. Of these a shard keeps all,
        as the first may be in another one.
        """
        with Decoders(self.config.num_workers, self.config.audio) as decoders:
            while part := list(itertools.islice(found, SLICE)):
                number = self.num_found // SLICE
                new = list(self._new(part))
                if not shard.has(number):
                    continue
                recordings = [each for each in new if isinstance(each, Recording)]
                rejected = [each for each in new if isinstance(each, Rejected)]
                tasks = [self._task(each) for each in recordings]
                begun = decoders.begin(tasks)  # texts become phonemes meanwhile
                transcripts = transcribe(recordings, self.front_end) if recordings else []
                decoded = list(decoders.decode(tasks, begun))
                sounds = self.sounds if shard == WHOLE else None
                examined = self._sort(recordings, transcripts, decoded, sounds)
                yield Slice(number, [*rejected, *examined], self.num_found, self.mark)

    def _new(self, found: Iterable[Found]) -> Iterator[Found]:
        for each in found:
            self.num_found += 1
            if isinstance(each, Rejected):
                self._mark.update(repr(each).encode(errors="replace"))
                yield each
                continue
            self._mark.update(repr((each.id, each.speaker, each.text)).encode(errors="replace"))
            if each.id in self._ids:
                yield reject(each, "duplicate: an earlier recording has the same path")
            else:
                self._ids.add(each.id)
                yield each

    def _task(self, recording: Recording) -> Task:
        trained_on = self.split_of(recording.speaker, recording.split) == "train"
        return Task(recording.audio, recording.segment, self.config.copies if trained_on else ())

    def _sort(
        self,
        recordings: Sequence[Recording],
        transcripts: Sequence[Transcript],
        decoded: Sequence[Decoded],
        sounds: Sounds | None,
    ) -> Iterator[Good | Rejected]:
        disorder = self._disorder(recordings, decoded)
        for recording, transcript, each, disordered in zip(
            recordings, transcripts, decoded, disorder, strict=True
        ):
            problem = transcript.problem or disordered
            if isinstance(each, str):
                problem = each
            elif problem is None:
                problem = self._problem(recording, transcript, each[0], sounds)
            if problem is not None:
                yield reject(recording, problem)
                continue
            assert not isinstance(each, str)
            samples, *copies = each
            if sounds is not None:
                sounds.know(samples, recording.where)
            yield Good(recording, transcript, samples)
            # Of recordings that are not trained on there are no copies.
            for copy, changed in zip(self.config.copies, copies, strict=False):
                yield _copy(recording, transcript, changed, copy)

    def _problem(
        self,
        recording: Recording,
        transcript: Transcript,
        samples: NDArray[np.int16],
        sounds: Sounds | None,
    ) -> str | None:
        num_ids = len(transcript.text_ids)
        seconds = len(samples) / self.config.audio.sample_rate
        problem = text_problem(recording.text, num_ids, seconds, self.config.rules)
        return problem if problem is not None or sounds is None else sounds.problem(samples)

    def _disorder(
        self, recordings: Sequence[Recording], decoded: Sequence[Decoded]
    ) -> list[str | None]:
        """For each recording, whether those around it have the texts of others."""
        problems: list[str | None] = []
        rate = self.config.audio.sample_rate
        seconds = [np.nan if isinstance(d, str) else len(d[0]) / rate for d in decoded]
        rows = zip(recordings, seconds, strict=True)
        for _, group in itertools.groupby(rows, key=lambda row: row[0].source):
            collection = list(group)
            for first in range(0, len(collection), WINDOW):
                window = collection[first : first + WINDOW]
                problem = order_problem([len(r.text) for r, _ in window], [s for _, s in window])
                problems += [problem] * len(window)
        return problems


def _copy(
    recording: Recording, transcript: Transcript, samples: NDArray[np.int16], copy: Perturbation
) -> Good:
    named = replace(
        recording, id=recording.id + copy.mark, speaker=recording.speaker + copy.mark, split="train"
    )
    if transcript.durations is not None:
        durations = tuple(round(each / copy.speed, 4) for each in transcript.durations)
        transcript = replace(transcript, durations=durations)
    return Good(named, transcript, samples, copy)


def _digest(samples: NDArray[np.int16]) -> bytes:
    return hashlib.blake2b(samples.tobytes(), digest_size=16).digest()
