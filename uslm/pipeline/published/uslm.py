"""USLM, whole: phonemes, SpeechTokenizer's codes of the prompt, both stages of VALL-E, decoder.

Beside the published way it has guards that the published code lacks: speech has a least length,
does not stick to one unit and does not run in circles.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from os import PathLike
from pathlib import Path

import torch
from jaxtyping import Float, Int
from torch import Tensor

from uslm.generate.autoregressive import StopRule, UnitRow, speak_units
from uslm.generate.levels import fill_levels
from uslm.generate.sampling import Sampling
from uslm.generate.valle import published_row
from uslm.models.valle import Valle
from uslm.pipeline.bundle_config import LengthConfig
from uslm.pipeline.clock import Clock
from uslm.pipeline.parts import fingerprint, move, read_dtype
from uslm.pipeline.prompt import VoicePrompt
from uslm.pipeline.published.ear import default_ear
from uslm.pipeline.published.recorded import record
from uslm.pipeline.seeds import generator
from uslm.pipeline.speaker import FrontEnd, Job, JobReader, Sound, SpeakerSettings, Take
from uslm.pipeline.verification import Verdict
from uslm.text.frontend import FrontendResult, TextFrontend
from uslm.text.lexicon import Lexicon
from uslm.text.valle import WORD, VallePhonemizer, ValleVocab
from uslm_tokenizer.audio import Audio, AudioSource
from uslm_tokenizer.base import AudioTokenizer
from uslm_tokenizer.errors import ConfigError, GenerationError
from uslm_tokenizer.registry import load_tokenizer

SYMBOLS_FILE = "symbols.k2symbols"


@dataclass(frozen=True, kw_only=True)
class UslmSettings(SpeakerSettings):
    """How USLM is used."""

    name: str = "uslm"
    """What the model is called."""
    sampling: Sampling = field(
        default_factory=lambda: Sampling(temperature=1.0, top_k=0, top_p=1.0)
    )
    """How stage 1 draws; as published, from the whole distribution."""
    length: LengthConfig = field(
        default_factory=lambda: LengthConfig(min_frames_per_symbol=1.0, max_frames_per_symbol=16.0)
    )
    """Limits of stage 1. The published code has no least length, and counts the prompt's symbols
    towards the longest."""
    prompt_seconds: float = 10.0
    """How much of a voice is used."""


class Uslm:
    """The system, speaking. One object may serve several threads."""

    def __init__(
        self,
        tokenizer: AudioTokenizer,
        model: Valle,
        vocab: ValleVocab | None = None,
        settings: UslmSettings | None = None,
    ) -> None:
        """Raises ConfigError unless the parts fit together."""
        self.tokenizer, self.model = tokenizer, model
        self.vocab = ValleVocab() if vocab is None else vocab
        self.settings = UslmSettings() if settings is None else settings
        stage2, stage1 = model.config.nar, model.config.ar
        found = (tokenizer.num_codebooks, tokenizer.codebook_size)
        if found != (stage2.num_codebooks, stage2.codebook_size):
            raise ConfigError(
                f"the tokenizer has {found[0]} codebooks of {found[1]} codes, but the model was "
                f"made for {stage2.num_codebooks} of {stage2.codebook_size}"
            )
        if self.vocab.size > stage1.text_vocab_size:
            raise ConfigError(
                f"the table has {self.vocab.size} symbols, but the model reads "
                f"{stage1.text_vocab_size}"
            )
        self.tokenizer_hash = fingerprint(tokenizer=tokenizer)
        self.hash = fingerprint(tokenizer=tokenizer, model=model)

    @property
    def sample_rate(self) -> int:
        """Samples a second of what it makes, Hz."""
        return self.tokenizer.sample_rate

    def frontend(
        self, *, language: str | None = None, lexicon: Lexicon | None = None
    ) -> TextFrontend:
        """The front end for a language, English unless given."""
        return _frontend(self.vocab, language or self.settings.language, lexicon)

    def create_voice(
        self,
        frontend: FrontEnd,
        audio: Audio | AudioSource,
        text: str | None = None,
        *,
        name: str | None = None,
        max_seconds: float | None = None,
    ) -> VoicePrompt:
        """See `ZeroShotTTS.create_voice`."""
        recorded = record(
            audio,
            text,
            frontend=frontend,
            ear=default_ear(frontend.language),
            sample_rate=self.sample_rate,
            most_seconds=self.settings.prompt_seconds,
            max_seconds=max_seconds,
            name=name,
        )
        codes = self.tokenizer.encode(recorded.waveform[None].to(self.tokenizer.device))[0].cpu()
        text_ids = recorded.text_ids or tuple(self.vocab.encode(recorded.phonemes))
        return VoicePrompt(
            name=recorded.name,
            codes=codes,
            text_ids=torch.tensor(text_ids, dtype=torch.long),
            num_spoken_frames=codes.shape[1],
            phonemes=recorded.phonemes,
            transcript=recorded.transcript,
            seconds=recorded.seconds,
            tokenizer_hash=self.tokenizer_hash,
            model=self.settings.name,
            model_hash=self.hash,
            findings=recorded.findings,
            origin=recorded.origin,
        )

    def check_voice(self, voice: VoicePrompt) -> None:
        """Raise ConfigError if the voice was made for another model, UserError if it is damaged."""
        voice.check_fits(self.tokenizer_hash, self.settings.name)
        self.tokenizer.check_codes(voice.codes[None])
        ids = voice.text_ids.tolist()
        if len(ids) < 2 or not all(0 <= place < self.vocab.size for place in ids):
            raise ConfigError(
                f"voice {voice.name!r} holds text that model {self.settings.name!r} cannot read; "
                "create it again from its recording"
            )

    def reader(self, sampling: Sampling, clock: Clock) -> JobReader:
        """Who speaks jobs, drawing so."""
        return UslmReader(self, sampling, clock)

    def check_hears(self) -> None:
        """Raise MissingResource unless the default model is there, whose ear listens."""
        default_ear(self.settings.language)

    def listen(
        self, waveform: Float[Tensor, "1 n"], text: FrontendResult, stop_reason: str
    ) -> Verdict:
        """How well a piece was spoken, by the default model's ear."""
        heard = Audio(waveform, self.sample_rate)
        return default_ear(self.settings.language).judge(heard, text.text, stop_reason)


def load_uslm(
    folder: str | PathLike[str],
    *,
    device: str | torch.device = "cpu",
    dtype: torch.dtype | str | None = None,
) -> Uslm:
    """From a converted folder. `dtype` is the precision of the language model."""
    folder = Path(folder)
    tokenizer, model = load_tokenizer(folder / "codec"), Valle.from_pretrained(folder / "lm")
    speaker = Uslm(tokenizer, model, _vocab(folder))
    move((tokenizer, model), device)
    if dtype is not None:
        model.to(read_dtype(dtype))
    return speaker


def uslm_settings(folder: Path) -> UslmSettings:
    """What the model says of itself, without loading any weights."""
    return UslmSettings()


def uslm_frontend(
    folder: Path, *, language: str | None = None, lexicon: Lexicon | None = None
) -> TextFrontend:
    """The front end for a language, without loading any weights."""
    return _frontend(_vocab(folder), language or UslmSettings().language, lexicon)


def _vocab(folder: Path) -> ValleVocab:
    path = folder / SYMBOLS_FILE
    return ValleVocab.load(path) if path.is_file() else ValleVocab()


def _frontend(vocab: ValleVocab, language: str, lexicon: Lexicon | None) -> TextFrontend:
    return TextFrontend(language, vocab, lexicon, phonemizer=VallePhonemizer())


class UslmReader:
    """Speaks jobs: stage 1 side by side, then each whole piece as soon as it is its turn."""

    def __init__(self, speaker: Uslm, sampling: Sampling, clock: Clock) -> None:
        self._speaker, self._sampling, self._clock = speaker, sampling, clock

    def read(self, jobs: Sequence[Job]) -> Iterator[Sound]:
        current = 0
        for rows in self._clock.each("semantic", self._speak(jobs)):
            while current < len(jobs) and rows[current].stop_reason:
                yield self._sound(jobs[current], rows[current])
                current += 1

    def read_batch(self, jobs: Sequence[Job]) -> list[Sound]:
        return list(self.read(jobs))

    def _speak(self, jobs: Sequence[Job]) -> Iterator[list[UnitRow]]:
        speak = torch.inference_mode()(speak_units)  # as in Reader
        return speak(
            self._speaker.model.ar,
            [self._text(job) for job in jobs],
            [job.voice.codes[0] for job in jobs],
            [self._stop_rule(job) for job in jobs],
            sampling=self._sampling,
            generators=[generator(job.seed, "semantic") for job in jobs],
        )

    def _text(self, job: Job) -> Int[Tensor, " s"]:
        """Prompt and text, read as one; where the prompt ends in a punctuation mark, they are what
        the published code gets of both as one string."""
        prompt = job.voice.text_ids.tolist()
        between = self._speaker.vocab.encode(WORD)[1:-1] if len(prompt) > 2 else []
        return torch.tensor([*prompt[:-1], *between, *job.text.text_ids[1:]])

    def _stop_rule(self, job: Job) -> StopRule:
        num_symbols, limits = len(job.text.text_ids), self._speaker.settings.length
        most = limits.max_frames_per_symbol * num_symbols + limits.margin_frames
        return StopRule(
            min_frames=max(1, int(limits.min_frames_per_symbol * num_symbols)),
            max_frames=int(most),
            end_if_likeliest=True,
        )

    @torch.no_grad()
    def _sound(self, job: Job, row: UnitRow) -> Sound:
        speaker, voice = self._speaker, job.voice
        with self._clock.stage("acoustic"):
            filled = published_row(
                speaker.model.config,
                self._text(job),
                len(voice.text_ids),
                voice.codes,
                row.tensor(),
            )
            [codes] = fill_levels(speaker.model.nar, [filled])
        with self._clock.stage("decode"):
            device = speaker.tokenizer.device
            waveform = speaker.tokenizer.decode(codes[None].to(device))[0].float().cpu()
        if not bool(waveform.isfinite().all()):
            raise GenerationError(f"the samples of {job.text.text!r} are not finite numbers")
        assert row.stop_reason is not None
        take = Take(job=job, codes=codes.cpu(), stop_reason=row.stop_reason)
        return Sound(job=job, waveform=waveform.clamp(-1, 1), take=take)
