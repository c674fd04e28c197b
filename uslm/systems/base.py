"""Base of the pretrained systems that speak: their text, their voices and their
recogniser."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from uslm.generate.autoregressive import SpeakUnits
from uslm.generate.sampling import Sampling
from uslm.models.base import SemanticModel
from uslm.synthesis.protocols import FrontEnd, SegmentSynthesizer, SynthesizerSettings
from uslm.synthesis.timer import StageTimer
from uslm.systems.phoneme_recognizer import default_recognizer
from uslm.systems.recorded import record
from uslm.text.frontend import FrontendResult, TextFrontend
from uslm.text.lexicon import Lexicon
from uslm.text.phonemize import Phonemizer
from uslm.text.vocab import TextVocab
from uslm.voices.prompt import VoicePrompt
from uslm.voices.verification import VerificationResult
from uslm.voices.word_times import WordAligner
from uslm_tokenizer.audio.read import Audio, AudioSource
from uslm_tokenizer.errors import UserError


@dataclass(frozen=True, kw_only=True)
class PretrainedSettings(SynthesizerSettings):
    """Settings of a pretrained system."""

    prompt_seconds: float = 10.0
    """How much of a voice is used."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Encoded:
    """Codes and extras that a system keeps of a recording."""

    codes: Int[Tensor, "k t"]
    """Of a system without codes [0, t]."""
    latents: Float[Tensor, "d t"] | None = None
    """What a system keeps that speaks in vectors."""
    extras: Mapping[str, Tensor] = field(default_factory=dict)
    """What it needs beside codes, by name."""


class PretrainedSynthesizer(ABC):
    """A `Synthesizer` but for its models: they encode a recording, and speak, in each system's
    way."""

    settings: PretrainedSettings
    hash: str
    """Tells these weights from any others."""
    tokenizer_hash: str
    """The same of what a voice's codes depend on."""
    earlier_tokenizer_hash: str = ""
    """What voices of before are marked with, where that was another."""
    needs_voice: ClassVar[bool] = True
    min_symbols: ClassVar[int] = 0
    """How many symbols the text of a voice must have."""

    def __init__(
        self, settings: PretrainedSettings, vocab: TextVocab, phonemizer: Phonemizer | None
    ) -> None:
        """Without a phonemizer texts become our own phonemes."""
        self.settings, self.vocab, self._phonemizer = settings, vocab, phonemizer

    @property
    @abstractmethod
    def sample_rate(self) -> int:
        """Samples per second of what it speaks, Hz."""

    @abstractmethod
    def segment_synthesizer(
        self, sampling: Sampling, timer: StageTimer, speak: SpeakUnits | None = None
    ) -> SegmentSynthesizer:
        """The synthesizer of segments with this sampling; `speak` is never given."""

    @property
    def unit_model(self) -> SemanticModel | None:
        """None: each request goes its own way."""
        return None

    @property
    def networks(self) -> Mapping[str, nn.Module]:
        """Those that are modules of it, by name."""
        return {name: part for name, part in vars(self).items() if isinstance(part, nn.Module)}

    @property
    def folder(self) -> Path | None:
        """Converted models lie in folders of the cache, which are nobody's concern."""
        return None

    def word_aligner(self, frontend: FrontEnd) -> WordAligner | None:
        """None: the default model's recogniser finds the words."""
        return None

    def render_voice(self, voice: VoicePrompt) -> Float[Tensor, "1 n"]:
        """UserError: what a voice keeps is not enough to hear it."""
        raise UserError(
            f"a voice of {self.settings.name!r} cannot be heard: it does not keep its recording"
        )

    @abstractmethod
    def encode(self, recording: Audio) -> Encoded:
        """Codes and extras of a recording at `sample_rate`."""

    @abstractmethod
    def check_encoded(self, voice: VoicePrompt) -> None:
        """Raise UserError unless codes and extras are what `encode` gives."""

    def frontend(
        self, *, language: str | None = None, lexicon: Lexicon | None = None
    ) -> TextFrontend:
        """The front end for a language, the system's own unless given."""
        language = language or self.settings.language
        return TextFrontend(language, self.vocab, lexicon, phonemizer=self._phonemizer)

    @torch.no_grad()
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
            recognizer=default_recognizer(frontend.language),
            sample_rate=self.sample_rate,
            used_seconds=self.settings.prompt_seconds,
            max_seconds=max_seconds,
            name=name,
        )
        encoded = self.encode(recorded.audio)
        text_ids = recorded.text_ids
        if text_ids is None:
            text_ids = tuple(self.vocab.encode(recorded.phonemes))
        return VoicePrompt(
            name=recorded.name,
            codes=encoded.codes,
            latents=encoded.latents,
            text_ids=torch.tensor(text_ids, dtype=torch.long),
            num_spoken_frames=encoded.codes.shape[1],
            phonemes=recorded.phonemes,
            transcript=recorded.transcript,
            seconds=recorded.audio.seconds,
            tokenizer_hash=self.tokenizer_hash,
            model=self.settings.name,
            model_hash=self.hash,
            findings=recorded.findings,
            origin=recorded.origin,
            extras=encoded.extras,
        )

    def check_voice(self, voice: VoicePrompt) -> None:
        """Raise ConfigError if the voice was made for another model, UserError if it is damaged."""
        voice.check_fits(
            self.tokenizer_hash, self.settings.name, or_earlier=self.earlier_tokenizer_hash
        )
        self.check_encoded(voice)
        voice.check_readable(self.vocab.size, self.settings.name, min_symbols=self.min_symbols)

    def check_can_verify(self) -> None:
        """Raise MissingResource unless the default model is there, whose recogniser verifies."""
        default_recognizer(self.settings.language)

    def verify(
        self, waveform: Float[Tensor, "1 n"], text: FrontendResult, stop_reason: str
    ) -> VerificationResult:
        """The verification of a segment, by the default model's recogniser."""
        audio = Audio(waveform, self.sample_rate)
        return default_recognizer(self.settings.language).verify(audio, text.text, stop_reason)
