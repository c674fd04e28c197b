"""A long text in work: each piece can be spoken, heard and spoken again, then all are joined."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float
from torch import Tensor

from uslm.output.joiner import Joiner
from uslm.output.speech import AudioChunk, ChunkReport, Speech
from uslm.synthesis.protocols import FrontEnd, Job, Sound, Speaker
from uslm.synthesis.seeds import derive_seed
from uslm.synthesis.session import Item, Request, Session, Unspeakable
from uslm.synthesis.timer import Clock
from uslm.text.chunking import Piece
from uslm_tokenizer.errors import UserError


@dataclass(frozen=True, kw_only=True)
class Line:
    """A piece of the text, and how far it is."""

    index: int
    """Place in the text, from 0."""
    text: str
    """As it was written."""
    voice: str
    """Name of the voice that speaks it; empty where there is nothing to say."""
    pause_seconds: float
    """Rest behind it."""
    report: ChunkReport | None
    """How it was spoken, its times counted from its own beginning; None where it was not yet."""

    @property
    def is_done(self) -> bool:
        """Whether nothing is left to do."""
        return self.report is not None or not self.voice


class Manuscript:
    """Made by `ZeroShotTTS.manuscript`. One thread may speak it while others look at it."""

    def __init__(self, speaker: Speaker, frontend: FrontEnd, request: Request) -> None:
        self._speaker, self._clock = speaker, Clock()
        self._session = Session(speaker, frontend, request, self._clock)
        self._items = self._session.items()
        self._jobs = {job.index: job for job in self._session.jobs()}
        self._sounds: dict[int, Sound] = {}
        self._waveforms: dict[int, Float[Tensor, "1 n"]] = {}
        self._draws: dict[int, int] = {}

    @property
    def lines(self) -> tuple[Line, ...]:
        """All pieces, in order."""
        return tuple(
            self._line(item, following)
            for item, following in zip(self._items, [*self._items[1:], None], strict=True)
            if isinstance(item, (Job, Unspeakable))
        )

    @property
    def missing(self) -> tuple[int, ...]:
        """The pieces that are still to be spoken."""
        return tuple(index for index in self._jobs if index not in self._sounds)

    def stream(self, indices: Sequence[int] | None = None) -> Iterator[AudioChunk]:
        """Speak the pieces that are missing, or these: what was spoken before is drawn anew.

        With each piece that is done comes its waveform, as it sounds alone, and its report;
        empty chunks without one say that there is more to do first. A piece counts as spoken when
        its chunk comes: closing the iterator loses nothing but the piece in work.
        """
        wanted = self.missing if indices is None else tuple(indices)
        for index in wanted:
            if index not in self._jobs:
                raise UserError(f"there is no piece {index} that can be spoken")
        return self._stream([self._job(index) for index in wanted])

    def waveform(self, index: int) -> Float[Tensor, "1 n"]:
        """A piece as it sounds alone. UserError if it was not spoken yet."""
        if index not in self._waveforms:
            raise UserError(f"piece {index} is not spoken yet")
        return self._waveforms[index]

    def speech(self) -> Speech:
        """All pieces, joined. UserError if some are not spoken yet."""
        if missing := self.missing:
            some = ", ".join(str(index + 1) for index in missing[:8])
            raise UserError(f"{len(missing)} pieces are not spoken yet: {some}")
        joined = Speech.joined(self._session.join(self._sounds[index] for index in self._jobs))
        # Between the pieces somebody listened and thought: that was no work.
        timings = replace(joined.timings, total=0.0, first_audio=0.0)
        return replace(joined, timings=replace(timings, total=sum(vars(timings).values())))

    def _job(self, index: int) -> Job:
        """The job as it was planned; another draw of it where it was spoken before."""
        draw = self._draws.get(index, 0) + (index in self._sounds)
        if not draw:
            return self._jobs[index]
        self._draws[index] = draw
        return replace(self._jobs[index], seed=derive_seed(self._jobs[index].seed, "again", draw))

    def _stream(self, jobs: Sequence[Job]) -> Iterator[AudioChunk]:
        for sound in self._session.speak(jobs):
            index, report, waveform = sound.job.index, None, sound.waveform[:, :0]
            if sound.take is not None:
                waveform = self._alone(sound)
                self._waveforms[index], self._sounds[index] = waveform, sound
                report = self._report(index)
            yield AudioChunk(
                waveform=waveform,
                sample_rate=self._speaker.sample_rate,
                index=index,
                report=report,
                codes=None if sound.take is None else sound.take.codes,
            )

    def _alone(self, sound: Sound) -> Float[Tensor, "1 n"]:
        joiner = Joiner(self._speaker.settings.join, self._speaker.sample_rate)
        return torch.cat([joiner.push(sound.waveform), joiner.end_piece(), joiner.finish()], dim=1)

    def _line(self, item: Job | Unspeakable, following: Item | None) -> Line:
        return Line(
            index=item.index,
            text=item.text if isinstance(item, Unspeakable) else item.text.text,
            voice="" if isinstance(item, Unspeakable) else item.voice.name,
            pause_seconds=following.pause_seconds if isinstance(following, Piece) else 0.0,
            report=self._report(item.index) if item.index in self._sounds else None,
        )

    def _report(self, index: int) -> ChunkReport:
        sound = self._sounds[index]
        length = self._waveforms[index].shape[1]
        return self._session.report(sound.job, sound.take, 0, length)
