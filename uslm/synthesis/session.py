"""One text on its way to speech: cut, spoken piece by piece, checked, stretched, joined."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import chain

import torch

from uslm.generate.sampling import Sampling
from uslm.output.joiner import Joiner
from uslm.output.speech import AudioChunk, ChunkReport, SpeechFacts
from uslm.output.stretch import time_stretch
from uslm.synthesis.language import check_text_language
from uslm.synthesis.plan import PlanConfig, plan_text
from uslm.synthesis.protocols import FrontEnd, Job, Sound, Speaker, Take
from uslm.synthesis.seeds import derive_seed
from uslm.synthesis.timer import Clock
from uslm.text.chunking import Piece
from uslm.voices.prompt import VoicePrompt
from uslm.voices.verification import Verdict, VerifyConfig
from uslm_tokenizer.errors import GenerationError, TextError

OnChunk = Callable[[ChunkReport, int], None]
"""Called with the report of each piece that is done, and the number of pieces in all."""


@dataclass(frozen=True, kw_only=True)
class Request:
    """What is asked for, with every choice made."""

    text: str
    voice: VoicePrompt
    seed: int
    sampling: Sampling
    verify: VerifyConfig | None
    """None: what is drawn first is kept."""
    speed: float
    on_chunk: OnChunk | None = None
    voices: Mapping[str, VoicePrompt] | None = None
    """Who speaks behind marks like [anna]; None: such marks mean nothing."""
    plan: PlanConfig | None = None
    """How the text is cut, and the rests; the model's own where it is None."""
    any_language: bool = False
    """Whether a text is spoken that is in no language of the model's."""


@dataclass(frozen=True)
class Unspeakable:
    """A piece of the text that holds nothing to say."""

    index: int
    text: str


Item = Job | Piece | Unspeakable
"""In the order of the text: something to say, a pause, something that cannot be said."""


class Session:
    """A request, prepared. Raises TextError where nothing of the text can be said."""

    def __init__(
        self, speaker: Speaker, frontend: FrontEnd, request: Request, clock: Clock
    ) -> None:
        self._speaker, self._frontend = speaker, frontend
        self._request, self._clock = request, clock
        self._reader = speaker.reader(request.sampling, clock)
        plan = request.plan or speaker.settings.plan
        self._plan = plan_text(request.text, plan, request.voices)
        if not request.any_language:
            check_text_language(request.text, frontend, speaker.settings)
        self._num_pieces = sum(not piece.is_pause for piece in self._plan)
        items = self._prepare()
        # Read on to the first piece, so that a text with nothing to say fails here and now.
        opening: list[Item] = []
        for item in items:
            opening.append(item)
            if isinstance(item, Job):
                break
        else:
            frontend(request.text)  # says what is wrong with it
            raise TextError("text must have something to say")
        self._items: Iterator[Item] = chain(opening, items)

    def stream(self) -> Iterator[AudioChunk]:
        """The speech, as it is made."""
        return self._join(
            (group, self._speak([item for item in group if isinstance(item, Job)]))
            for group in _groups(self._items, self._speaker.settings.batch_size)
        )

    def items(self) -> list[Item]:
        """The whole text, in order."""
        items = list(self._items)
        self._items = iter(items)
        return items

    def jobs(self) -> list[Job]:
        """All that is to be said, for a caller who speaks it and hands it to `finish`."""
        return [item for item in self.items() if isinstance(item, Job)]

    def finish(self, sounds: Iterable[Sound]) -> Iterator[AudioChunk]:
        """The speech, from the whole sounds of `jobs`, in order."""
        return self.join(self._settle(iter(sounds)))

    def speak(self, jobs: Sequence[Job]) -> Iterator[Sound]:
        """The whole sound of each job, ready for `join`; empty ones pass, see `JobReader`."""
        for group in _groups(jobs, self._speaker.settings.batch_size):
            yield from self._settle(
                self._reader.read([job for job in group if isinstance(job, Job)])
            )

    def join(self, sounds: Iterable[Sound]) -> Iterator[AudioChunk]:
        """The speech, from what `speak` made of all `jobs`, in order."""
        return self._join([(self.items(), iter(sounds))])

    def _prepare(self) -> Iterator[Item]:
        texts, hurry = 0, True
        for piece in self._plan:
            if piece.is_pause:
                yield piece
                continue
            try:
                with self._clock.stage("frontend"):
                    result = self._frontend(piece.text)
            except TextError:
                yield Unspeakable(texts, piece.text)
            else:
                yield Job(
                    index=texts,
                    text=result,
                    voice=(self._request.voices or {}).get(piece.voice, self._request.voice),
                    seed=derive_seed(self._request.seed, texts),
                    hurry=hurry,
                )
                hurry = False
            texts += 1

    def _speak(self, jobs: list[Job]) -> Iterator[Sound]:
        sounds = self._reader.read(jobs)
        if self._request.verify is None and self._request.speed == 1:
            return sounds
        return self._settle(sounds)

    def _settle(self, sounds: Iterator[Sound]) -> Iterator[Sound]:
        """Whole sounds, verified and stretched as far as it was asked for."""
        rate = self._speaker.sample_rate
        for sound in _whole(sounds):
            for settled in self._verify(sound):
                stretched = time_stretch(settled.waveform, self._request.speed, rate)
                yield replace(settled, waveform=stretched)

    def _verify(self, sound: Sound) -> Iterator[Sound]:
        """The sound itself if it is good or nobody asked, else the best of the retries."""
        config = self._request.verify
        if config is None or sound.take is None:
            yield sound
            return
        best, verdict, attempts = sound, self._listen(sound), 1
        while not verdict.passes(config) and attempts <= config.retries:
            again = replace(sound.job, seed=derive_seed(sound.job.seed, "retry", attempts))
            for other in _whole(self._reader.read([again])):
                if other.take is None:
                    yield other
                elif (other_verdict := self._listen(other)).badness < verdict.badness:
                    best, verdict = other, other_verdict
            attempts += 1
        assert best.take is not None
        take = replace(best.take, attempts=attempts, error_rate=verdict.error_rate)
        yield replace(best, take=take)

    def _listen(self, sound: Sound) -> Verdict:
        assert sound.take is not None
        with self._clock.stage("verify"):
            return self._speaker.listen(sound.waveform, sound.job.text, sound.take.stop_reason)

    def _join(self, groups: Iterable[tuple[list[Item], Iterator[Sound]]]) -> Iterator[AudioChunk]:
        joiner = Joiner(self._speaker.settings.join, self._speaker.sample_rate)
        index, heard = 0, 0
        for items, sounds in groups:
            for item in items:
                if isinstance(item, Piece):
                    yield self._chunk(joiner.pause(item.pause_seconds), index)
                    continue
                index, start = item.index, joiner.num_samples
                take = None
                if isinstance(item, Job):
                    for sound in sounds:
                        yield self._chunk(joiner.push(sound.waveform), index)
                        if (take := sound.take) is not None:
                            break
                last = joiner.end_piece()
                heard += joiner.num_samples - start
                report = self.report(item, take, start, joiner.num_samples)
                yield self._chunk(last, index, report, take)
        if not heard:
            raise GenerationError("the model made nothing but silence; try another seed")
        ending = self._chunk(joiner.finish(), index)
        yield replace(ending, is_final=True, timings=self._clock.timings(), facts=self._facts())

    def _facts(self) -> SpeechFacts:
        request, speaker = self._request, self._speaker
        return SpeechFacts(
            seed=request.seed,
            text=request.text,
            model=speaker.settings.name,
            model_hash=speaker.hash,
            voice=request.voice.name,
            settings={
                **asdict(request.sampling),
                "speed": request.speed,
                "verify": request.verify is not None,
                "retries": request.verify.retries if request.verify else 0,
                "language": self._frontend.language,
                **({"plan": asdict(request.plan)} if request.plan else {}),
            },
        )

    def _chunk(
        self,
        waveform: torch.Tensor,
        index: int,
        report: ChunkReport | None = None,
        take: Take | None = None,
    ) -> AudioChunk:
        if waveform.numel():
            self._clock.audio()
        if report is not None and self._request.on_chunk is not None:
            self._request.on_chunk(report, self._num_pieces)
        return AudioChunk(
            waveform=waveform,
            sample_rate=self._speaker.sample_rate,
            index=index,
            report=report,
            codes=None if take is None else take.codes,
        )

    def report(
        self, item: Job | Unspeakable, take: Take | None, start: int, end: int
    ) -> ChunkReport:
        """How a piece that reaches from sample `start` to `end` was spoken."""
        rate = self._speaker.sample_rate
        start_seconds, end_seconds = start / rate, end / rate
        if take is None or isinstance(item, Unspeakable):
            text = item.text if isinstance(item.text, str) else item.text.text
            return ChunkReport(
                index=item.index, text=text, phonemes="", start_seconds=start_seconds,
                end_seconds=end_seconds, seed=self._request.seed, stop_reason="silent",
            )  # fmt: skip
        return ChunkReport(
            index=item.index,
            text=item.text.text,
            phonemes=item.text.phonemes,
            start_seconds=start_seconds,
            end_seconds=end_seconds,
            seed=take.job.seed,
            attempts=take.attempts,
            phoneme_error_rate=take.error_rate,
            stop_reason=take.stop_reason,
            voice=item.voice.name if self._request.voices else "",
        )


def _groups(items: Iterable[Item], batch_size: int) -> Iterator[list[Item]]:
    """Items to be spoken together: the first job alone, for a quick start, then several."""
    group: list[Item] = []
    jobs, limit = 0, 1
    for item in items:
        if isinstance(item, Job) and jobs == limit:
            yield group
            group, jobs, limit = [], 0, batch_size
        group.append(item)
        jobs += isinstance(item, Job)
    yield group


def _whole(sounds: Iterator[Sound]) -> Iterator[Sound]:
    """One sound for each job, when it is done; empty ones pass, see `JobReader`."""
    waveforms: list[torch.Tensor] = []
    for sound in sounds:
        waveforms.append(sound.waveform)
        if sound.take is not None:
            yield replace(sound, waveform=torch.cat(waveforms, dim=1))
            waveforms = []
        elif not sound.waveform.numel():
            yield sound
