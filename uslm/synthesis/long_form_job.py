"""A long text in work: each segment can be spoken, heard and spoken again, then all are joined."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float
from torch import Tensor

from uslm.output.joiner import Joiner
from uslm.output.speech import AudioChunk, SegmentReport, Speech
from uslm.synthesis.items import Item, Unspeakable
from uslm.synthesis.protocols import FrontEnd, SegmentAudio, SegmentRequest, Synthesizer
from uslm.synthesis.seeds import derive_seed
from uslm.synthesis.session import Request, Session
from uslm.synthesis.timer import StageTimer
from uslm.text.segmentation import Segment
from uslm_tokenizer.errors import UserError


@dataclass(frozen=True, kw_only=True)
class Line:
    """A segment of the text, and how far it is."""

    index: int
    """Place in the text, from 0."""
    text: str
    """As it was written."""
    voice: str
    """Name of the voice that speaks it; empty where there is nothing to say."""
    pause_seconds: float
    """Rest after it."""
    report: SegmentReport | None
    """How it was spoken, its times counted from its own beginning; None where it was not yet."""

    @property
    def is_done(self) -> bool:
        """Whether nothing is left to do."""
        return self.report is not None or not self.voice


class LongFormJob:
    """Made by `ZeroShotTTS.long_form_job`. One thread may speak it while others look at it."""

    def __init__(self, synthesizer: Synthesizer, frontend: FrontEnd, request: Request) -> None:
        self._synthesizer, self._timer = synthesizer, StageTimer()
        self._session = Session(synthesizer, frontend, request, self._timer)
        self._items = self._session.items()
        self._segment_requests = {
            request.index: request for request in self._session.segment_requests()
        }
        self._segment_audios: dict[int, SegmentAudio] = {}
        self._waveforms: dict[int, Float[Tensor, "1 n"]] = {}
        self._draws: dict[int, int] = {}

    @property
    def lines(self) -> tuple[Line, ...]:
        """All segments, in order."""
        return tuple(
            self._line(item, following)
            for item, following in zip(self._items, [*self._items[1:], None], strict=True)
            if isinstance(item, (SegmentRequest, Unspeakable))
        )

    @property
    def missing(self) -> tuple[int, ...]:
        """The segments that are still to be spoken."""
        return tuple(index for index in self._segment_requests if index not in self._segment_audios)

    def stream(self, indices: Sequence[int] | None = None) -> Iterator[AudioChunk]:
        """Speak the segments that are missing, or these: what was spoken before is drawn anew.

        With each segment that is done comes its waveform, as it sounds alone, and its report;
        empty chunks without one say that there is more to do first. A segment counts as spoken when
        its chunk comes: closing the iterator loses nothing but the segment in work.
        """
        wanted = self.missing if indices is None else tuple(indices)
        for index in wanted:
            if index not in self._segment_requests:
                raise UserError(f"there is no segment {index} that can be spoken")
        return self._stream([self._segment_request(index) for index in wanted])

    def waveform(self, index: int) -> Float[Tensor, "1 n"]:
        """A segment as it sounds alone. UserError if it was not spoken yet."""
        if index not in self._waveforms:
            raise UserError(f"segment {index} is not spoken yet")
        return self._waveforms[index]

    def speech(self) -> Speech:
        """All segments, joined. UserError if some are not spoken yet."""
        if missing := self.missing:
            some = ", ".join(str(index + 1) for index in missing[:8])
            raise UserError(f"{len(missing)} segments are not spoken yet: {some}")
        joined = Speech.joined(
            self._session.join(self._segment_audios[index] for index in self._segment_requests)
        )
        # Between the segments somebody listened and thought: that was no work.
        timings = replace(joined.timings, total=0.0, first_audio=0.0)
        return replace(joined, timings=replace(timings, total=sum(vars(timings).values())))

    def _segment_request(self, index: int) -> SegmentRequest:
        """The segment as it was planned; another draw of it where it was spoken before."""
        draw = self._draws.get(index, 0) + (index in self._segment_audios)
        if not draw:
            return self._segment_requests[index]
        self._draws[index] = draw
        return replace(
            self._segment_requests[index],
            seed=derive_seed(self._segment_requests[index].seed, "again", draw),
        )

    def _stream(self, requests: Sequence[SegmentRequest]) -> Iterator[AudioChunk]:
        for audio in self._session.speak(requests):
            index, report, waveform = audio.request.index, None, audio.waveform[:, :0]
            if audio.result is not None:
                waveform = self._alone(audio)
                self._waveforms[index], self._segment_audios[index] = waveform, audio
                report = self._report(index)
            yield AudioChunk(
                waveform=waveform,
                sample_rate=self._synthesizer.sample_rate,
                index=index,
                report=report,
                codes=None if audio.result is None else audio.result.codes,
                latents=None if audio.result is None else audio.result.latents,
                written="" if audio.result is None else audio.written,
            )

    def _alone(self, audio: SegmentAudio) -> Float[Tensor, "1 n"]:
        joiner = Joiner(self._synthesizer.settings.join, self._synthesizer.sample_rate)
        return torch.cat(
            [joiner.push(audio.waveform), joiner.end_segment(), joiner.finish()], dim=1
        )

    def _line(self, item: SegmentRequest | Unspeakable, following: Item | None) -> Line:
        return Line(
            index=item.index,
            text=item.text if isinstance(item, Unspeakable) else item.text.text,
            voice="" if isinstance(item, Unspeakable) else item.voice.name,
            pause_seconds=following.pause_seconds if isinstance(following, Segment) else 0.0,
            report=self._report(item.index) if item.index in self._segment_audios else None,
        )

    def _report(self, index: int) -> SegmentReport:
        audio = self._segment_audios[index]
        length = self._waveforms[index].shape[1]
        return self._session.report(audio.request, audio.result, 0, length)
