"""Finished speech, with everything that is needed to make it again."""

import base64
import dataclasses
import html
import io
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from os import PathLike
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from uslm.output.playing import find_player
from uslm.output.segment_report import SegmentReport as SegmentReport
from uslm.output.segment_report import Word as Word
from uslm.output.segment_report import rounded as rounded
from uslm_tokenizer.audio.write import write_audio

SIDECAR_FORMAT = 1


def no_codes() -> Int[Tensor, "0 0"]:
    """The codes of a system that speaks without."""
    return torch.zeros(0, 0, dtype=torch.long)


def first_codebook(codes: Int[Tensor, "k t"]) -> Int[Tensor, " u"]:
    """The units, which a system without codes has none of."""
    return codes[0] if len(codes) else codes.new_zeros(0)


@dataclass(frozen=True, kw_only=True)
class Timings:
    """Seconds of each stage."""

    frontend: float = 0.0
    """Text to phonemes."""
    semantic: float = 0.0
    """Stage 1: phonemes to units."""
    acoustic: float = 0.0
    """Stage 2: units to codes."""
    decode: float = 0.0
    """Codes to samples."""
    verify: float = 0.0
    """Verification of what was made."""
    total: float = 0.0
    """From the call to the last sample."""
    first_audio: float = 0.0
    """From the call to the first samples."""


@dataclass(frozen=True, kw_only=True)
class SpeechFacts:
    """Facts that it takes, beside voice and model, to make the same speech again."""

    seed: int
    """The seed it was made with, given or drawn."""
    text: str
    """What was asked for; empty for converted speech."""
    model: str
    """Name of the model that spoke."""
    model_hash: str
    """Tells this model's weights from others'."""
    voice: str
    """Name of the voice."""
    settings: Mapping[str, Any]
    """The arguments that shaped it: sampling, speed, verification."""


@dataclass(frozen=True, kw_only=True, eq=False)
class AudioChunk:
    """The next samples of a stream."""

    waveform: Float[Tensor, "1 n"]
    """May be empty where a segment ends without new samples."""
    sample_rate: int
    """Samples per second, Hz."""
    index: int
    """The segment of the text that is being spoken, from 0."""
    is_final: bool = False
    """Whether the stream ends here."""
    report: SegmentReport | None = None
    """Where a segment of the text is done: how it went."""
    codes: Int[Tensor, "k t"] | None = None
    """Where a segment of the text is done: all its codes."""
    latents: Float[Tensor, "d u"] | None = None
    """The same of a model that speaks in vectors."""
    written: str = ""
    """What a model that also writes has written since the chunk before."""
    timings: Timings | None = None
    """With the final chunk: where the time went."""
    facts: SpeechFacts | None = None
    """With the final chunk: what was asked, and of whom."""


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class Speech:
    """A finished utterance; in a notebook it is shown with a player."""

    waveform: Float[Tensor, "1 n"]
    """Samples in [-1, 1], on the CPU."""
    sample_rate: int
    """Samples per second, Hz."""
    seed: int
    """The seed it was made with, given or drawn."""
    text: str
    """What was asked for; empty for converted speech."""
    units: Int[Tensor, " s"]
    """What stage 1 said, all segments in a row."""
    codes: Int[Tensor, "k t"]
    """What stage 2 made of it; codebook 0 are the units, but of an answer, whose units have a rate
    of their own. None of a model without codes."""
    latents: Float[Tensor, "d u"] | None = None
    """What a model said that speaks in vectors."""
    written: str = ""
    """What a model that also writes has written with it."""
    timings: Timings = field(default_factory=Timings)
    """Where the time went."""
    segments: tuple[SegmentReport, ...] = ()
    """How each segment of the text went."""
    model: str = ""
    """Name of the model that spoke."""
    model_hash: str = ""
    """Tells this model's weights from others'."""
    voice: str = ""
    """Name of the voice."""
    settings: Mapping[str, Any] = field(default_factory=dict)
    """The arguments that shaped it: sampling, speed, verification."""

    @classmethod
    def joined(cls, chunks: Iterable[AudioChunk]) -> "Speech":
        """A stream that has come to its end, in one segment."""
        waveforms, written, reports = [], [], []
        codes, latents = [], []
        chunk = None
        for chunk in chunks:
            waveforms.append(chunk.waveform)
            written.append(chunk.written)
            if chunk.codes is not None:
                codes.append(chunk.codes)
            if chunk.latents is not None:
                latents.append(chunk.latents)
            if chunk.report is not None:
                reports.append(chunk.report)
        assert chunk is not None and chunk.facts is not None and chunk.timings is not None
        all_codes = torch.cat(codes, dim=1)
        return cls(
            waveform=torch.cat(waveforms, dim=1),
            sample_rate=chunk.sample_rate,
            units=first_codebook(all_codes),
            codes=all_codes,
            latents=torch.cat(latents, dim=1) if latents else None,
            written="".join(written),
            timings=chunk.timings,
            segments=tuple(reports),
            **vars(chunk.facts),
        )

    @property
    def words(self) -> tuple[Word, ...]:
        """Times of each word, if they were asked for."""
        return tuple(word for segment in self.segments for word in segment.words or ())

    @property
    def seconds(self) -> float:
        """Length of the waveform."""
        return self.waveform.shape[-1] / self.sample_rate

    def save(
        self,
        path: str | PathLike[str],
        force: bool = False,
        *,
        format: str | None = None,
        overwrite: bool = False,
    ) -> Path:
        """Write the waveform; the suffix decides the format unless `format` does.

        What exists is replaced only with `overwrite` (or `force`, the same); a half-written file
        never stays.
        """
        write_audio(path, self.waveform, self.sample_rate, format=format, force=force or overwrite)
        return Path(path)

    def play(self) -> None:
        """Play it on this machine, and return when it was heard.

        EnvironmentProblem where nothing here plays sound.
        """
        find_player()(self.waveform, self.sample_rate)

    def __repr__(self) -> str:
        said = self.text if len(self.text) <= 40 else self.text[:37] + "..."
        facts = f"{self.seconds:.2f} s, {self.sample_rate} Hz, seed={self.seed}"
        return f"Speech({said!r}, voice={self.voice!r}, {facts})"

    def _repr_html_(self) -> str:
        """HTML for notebooks: a player that holds the sound, and what is said."""
        file = io.BytesIO()
        write_audio(file, self.waveform, self.sample_rate, format="wav")
        sound = base64.b64encode(file.getvalue()).decode()
        return (
            f'<audio controls src="data:audio/wav;base64,{sound}"></audio>'
            f"<div>{html.escape(repr(self))}</div>"
        )

    def to_dict(self) -> dict[str, Any]:
        """All but the samples, as JSON values."""
        return {
            "format": SIDECAR_FORMAT,
            "model": self.model,
            "model_hash": self.model_hash,
            "voice": self.voice,
            "text": self.text,
            "seed": self.seed,
            "settings": dict(self.settings),
            "sample_rate": self.sample_rate,
            "seconds": round(self.seconds, 4),
            "timings": rounded(dataclasses.asdict(self.timings)),
            "segments": [rounded(dataclasses.asdict(segment)) for segment in self.segments],
            "units": " ".join(map(str, self.units.tolist())),
            **({"written": self.written} if self.written else {}),
        }

    def to_json(self) -> str:
        """The text of a sidecar file: what was asked, how it went, what is needed to repeat it."""
        return json.dumps(self.to_dict(), ensure_ascii=False, indent=2) + "\n"
