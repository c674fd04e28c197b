"""One text on its way to speech: cut, spoken segment by segment, checked, stretched, joined."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import chain

import torch

from uslm.generate.sampling import Sampling
from uslm.output.joiner import Joiner
from uslm.output.speech import AudioChunk, SegmentReport, SpeechFacts
from uslm.output.stretch import MAX_SPEED, MIN_SPEED, time_stretch
from uslm.synthesis.items import Item, Unspeakable, each_alone, in_groups, whole_audios
from uslm.synthesis.language import check_spoken_language, check_text_language
from uslm.synthesis.plan import PlanConfig, plan_text
from uslm.synthesis.plan_fragments import TextFragments, Waiting, plan_fragments
from uslm.synthesis.protocols import (
    FrontEnd,
    SegmentAudio,
    SegmentRequest,
    SegmentResult,
    Synthesizer,
)
from uslm.synthesis.seeds import derive_seed
from uslm.synthesis.timer import StageTimer
from uslm.text.language import MAX_CHARS
from uslm.text.segmentation import Segment
from uslm.voices.prompt import VoicePrompt
from uslm.voices.verification import VerificationResult, VerifyConfig
from uslm_tokenizer.errors import GenerationError, TextError

OnSegment = Callable[[SegmentReport, int], None]
"""Called with the report of each segment that is done, and the number of segments in all."""


@dataclass(frozen=True, kw_only=True)
class Request:
    """A request, with every choice made."""

    text: str | TextFragments
    """All of it, or as it comes."""
    voice: VoicePrompt
    seed: int
    sampling: Sampling
    verify: VerifyConfig | None
    """None: what is drawn first is kept."""
    speed: float
    on_segment: OnSegment | None = None
    voices: Mapping[str, VoicePrompt] | None = None
    """Who speaks after marks like [anna]; None: such marks mean nothing."""
    plan: PlanConfig | None = None
    """How the text is cut, and the rests; the model's own where it is None."""
    any_language: bool = False
    """Whether a text is spoken that is in no language of the model's."""


class Session:
    """A request, prepared. Raises TextError where nothing of the text can be said; of a text that
    comes in fragments it is raised by what reads them."""

    def __init__(
        self, synthesizer: Synthesizer, frontend: FrontEnd, request: Request, timer: StageTimer
    ) -> None:
        self._synthesizer, self._frontend = synthesizer, frontend
        self._request, self._timer = request, timer
        self._segment_synthesizer = synthesizer.segment_synthesizer(request.sampling, timer)
        self._items: Iterator[Item]
        plan = request.plan or synthesizer.settings.plan
        self._plan: Iterable[Segment | Waiting]
        self._num_segments = 0
        if isinstance(request.text, TextFragments):
            self._plan = plan_fragments(request.text, plan, request.voices)
            self._items = self._prepare()
            return
        self._plan = segments = plan_text(request.text, plan, request.voices)
        if not request.any_language:
            check_text_language(request.text, frontend, synthesizer.settings)
        self._num_segments = sum(not segment.is_pause for segment in segments)
        items = self._prepare()
        # Read on to the first segment, so that a text with nothing to say fails here and now.
        opening: list[Item] = []
        for item in items:
            opening.append(item)
            if isinstance(item, SegmentRequest):
                break
        else:
            frontend(request.text)  # says what is wrong with it
            raise TextError("text must have something to say")
        self._items = chain(opening, items)

    def stream(self) -> Iterator[AudioChunk]:
        """The speech, as it is made."""
        return self._join(
            (group, self._speak([item for item in group if isinstance(item, SegmentRequest)]))
            for group in self._groups()
        )

    def _groups(self) -> Iterator[list[Item]]:
        """Items to be spoken together; nobody waits for text that is still to come."""
        if isinstance(self._request.text, TextFragments):
            return each_alone(self._items)
        return in_groups(self._items, self._synthesizer.settings.batch_size)

    def items(self) -> list[Item]:
        """The whole text, in order."""
        items = list(self._items)
        self._items = iter(items)
        return items

    def segment_requests(self) -> list[SegmentRequest]:
        """All that is to be said, for a caller who speaks it and hands it to `finish`."""
        return [item for item in self.items() if isinstance(item, SegmentRequest)]

    def finish(self, audios: Iterable[SegmentAudio]) -> Iterator[AudioChunk]:
        """The speech, from the whole sounds of `segment_requests`, in order."""
        return self.join(self._settle(iter(audios)))

    def speak(self, requests: Sequence[SegmentRequest]) -> Iterator[SegmentAudio]:
        """The whole audio of each segment, ready for `join`; empty ones pass, see
        `SegmentSynthesizer`."""
        for group in in_groups(requests, self._synthesizer.settings.batch_size):
            yield from self._settle(
                self._segment_synthesizer.synthesize(
                    [request for request in group if isinstance(request, SegmentRequest)]
                )
            )

    def join(self, audios: Iterable[SegmentAudio]) -> Iterator[AudioChunk]:
        """The speech, from what `speak` made of all `segment_requests`, in order."""
        return self._join([(self.items(), iter(audios))])

    def _prepare(self) -> Iterator[Item]:
        texts, low_latency = 0, True
        said = ""
        for segment in self._plan:
            if isinstance(segment, Waiting) or segment.is_pause:
                yield segment
                continue
            if isinstance(self._request.text, TextFragments):
                self._num_segments += 1
                # No more than so many characters are judged.
                if not self._request.any_language and len(said) < MAX_CHARS:
                    said += f" {segment.text}"
                    check_spoken_language(said, self._frontend, self._synthesizer.settings)
            try:
                with self._timer.stage("frontend"):
                    result = self._frontend(segment.text)
            except TextError:
                yield Unspeakable(texts, segment.text)
            else:
                yield SegmentRequest(
                    index=texts,
                    text=result,
                    voice=(self._request.voices or {}).get(segment.voice, self._request.voice),
                    seed=derive_seed(self._request.seed, texts),
                    low_latency=low_latency,
                    speed=segment.speed,
                )
                low_latency = False
            texts += 1
        if low_latency and isinstance(self._request.text, TextFragments):
            raise TextError("text must have something to say")

    def _speak(self, requests: list[SegmentRequest]) -> Iterator[SegmentAudio]:
        audios = self._segment_synthesizer.synthesize(requests)
        speeds = {self._request.speed, *(request.speed for request in requests)}
        if self._request.verify is None and speeds == {1}:
            return audios
        return self._settle(audios)

    def _settle(self, audios: Iterator[SegmentAudio]) -> Iterator[SegmentAudio]:
        """Whole sounds, verified and stretched as far as it was asked for."""
        rate = self._synthesizer.sample_rate
        for audio in whole_audios(audios):
            for settled in self._verify(audio):
                speed = min(max(self._request.speed * audio.request.speed, MIN_SPEED), MAX_SPEED)
                stretched = time_stretch(settled.waveform, speed, rate)
                yield replace(settled, waveform=stretched)

    def _verify(self, audio: SegmentAudio) -> Iterator[SegmentAudio]:
        """The sound itself if it is good or nobody asked, else the best of the retries."""
        config = self._request.verify
        if config is None or audio.result is None:
            yield audio
            return
        best, verification, attempts = audio, self._check(audio), 1
        while not verification.passes(config) and attempts <= config.retries:
            again = replace(audio.request, seed=derive_seed(audio.request.seed, "retry", attempts))
            for other in whole_audios(self._segment_synthesizer.synthesize([again])):
                if other.result is None:
                    yield other
                elif (other_verification := self._check(other)).score < verification.score:
                    best, verification = other, other_verification
            attempts += 1
        assert best.result is not None
        result = replace(best.result, attempts=attempts, error_rate=verification.error_rate)
        yield replace(best, result=result)

    def _check(self, audio: SegmentAudio) -> VerificationResult:
        assert audio.result is not None
        with self._timer.stage("verify"):
            return self._synthesizer.verify(
                audio.waveform, audio.request.text, audio.result.stop_reason
            )

    def _join(
        self, groups: Iterable[tuple[list[Item], Iterator[SegmentAudio]]]
    ) -> Iterator[AudioChunk]:
        joiner = Joiner(self._synthesizer.settings.join, self._synthesizer.sample_rate)
        index, num_spoken, has_written = 0, 0, False
        for items, audios in groups:
            for item in items:
                if isinstance(item, Waiting):
                    yield self._chunk(torch.zeros(1, 0), index)
                    continue
                if isinstance(item, Segment):
                    yield self._chunk(joiner.pause(item.pause_seconds), index)
                    continue
                index, start = item.index, joiner.num_samples
                result = None
                if isinstance(item, SegmentRequest):
                    for audio in audios:
                        yield replace(
                            self._chunk(joiner.push(audio.waveform), index), written=audio.written
                        )
                        has_written |= bool(audio.written)
                        if (result := audio.result) is not None:
                            break
                last = joiner.end_segment()
                num_spoken += joiner.num_samples - start
                report = self.report(item, result, start, joiner.num_samples)
                yield self._chunk(last, index, report, result)
        if not num_spoken and not has_written:
            raise GenerationError("the model made nothing but silence; try another seed")
        ending = self._chunk(joiner.finish(), index)
        yield replace(ending, is_final=True, timings=self._timer.timings(), facts=self._facts())

    def _facts(self) -> SpeechFacts:
        request, synthesizer = self._request, self._synthesizer
        return SpeechFacts(
            seed=request.seed,
            text=request.text if isinstance(request.text, str) else request.text.text,
            model=synthesizer.settings.name,
            model_hash=synthesizer.hash,
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
        report: SegmentReport | None = None,
        result: SegmentResult | None = None,
    ) -> AudioChunk:
        if waveform.numel():
            self._timer.audio()
        if report is not None and self._request.on_segment is not None:
            self._request.on_segment(report, self._num_segments)
        return AudioChunk(
            waveform=waveform,
            sample_rate=self._synthesizer.sample_rate,
            index=index,
            report=report,
            codes=None if result is None else result.codes,
            latents=None if result is None else result.latents,
        )

    def report(
        self, item: SegmentRequest | Unspeakable, result: SegmentResult | None, start: int, end: int
    ) -> SegmentReport:
        """Report on a segment that reaches from sample `start` to `end`."""
        rate = self._synthesizer.sample_rate
        start_seconds, end_seconds = start / rate, end / rate
        if result is None or isinstance(item, Unspeakable):
            text = item.text if isinstance(item.text, str) else item.text.text
            return SegmentReport(
                index=item.index, text=text, phonemes="", start_seconds=start_seconds,
                end_seconds=end_seconds, seed=self._request.seed, stop_reason="silent",
            )  # fmt: skip
        return SegmentReport(
            index=item.index,
            text=item.text.text,
            phonemes=item.text.phonemes,
            start_seconds=start_seconds,
            end_seconds=end_seconds,
            seed=result.request.seed,
            attempts=result.attempts,
            phoneme_error_rate=result.error_rate,
            stop_reason=result.stop_reason,
            voice=item.voice.name if self._request.voices else "",
        )
