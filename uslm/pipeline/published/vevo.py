"""Vevo (Zhang et al. 2025): texts, or other people's words, in a voice and in its manner.

    text, phonemes of the prompt, units of the prompt -> phone_lm   -> units
    words of a recording, as content units            -> content_lm -> units
    units, units of the prompt, frames of the prompt  -> flow -> frames -> vocoder

The folder holds published.json, vocab.json and a sub-folder for each part. Apart from the published
way, a prompt's frames are cut to its units, where the published code has a frame more and loses the
unit behind it; speech may be short; each piece is guided by itself; no level is changed at the end.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from os import PathLike
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

from uslm.generate.flow import FlowSteps
from uslm.generate.sampling import Sampling
from uslm.pipeline.bundle_config import LengthConfig
from uslm.pipeline.clock import Clock
from uslm.pipeline.parts import read_dtype
from uslm.pipeline.prompt import VoicePrompt
from uslm.pipeline.published.ear import default_ear
from uslm.pipeline.published.parts import Parts
from uslm.pipeline.published.recorded import record
from uslm.pipeline.published.vevo_parts import ALL, VevoParts
from uslm.pipeline.speaker import Converted, FrontEnd, Imitate, JobReader, SpeakerSettings
from uslm.pipeline.verification import Verdict
from uslm.text.frontend import FrontendResult, TextFrontend
from uslm.text.lexicon import Lexicon
from uslm.text.maskgct import MaskGCTPhonemizer, MaskGCTVocab
from uslm.text.phonemize import Phonemizer
from uslm.text.vocab import TextVocab
from uslm_tokenizer.audio import Audio, AudioSource
from uslm_tokenizer.errors import ConfigError

VOCAB_FILE = "vocab.json"
MEL, CONTENT = "mel", "content"
"""What a voice keeps beside its units: its mel frames, and its content units."""


@dataclass(frozen=True, kw_only=True)
class VevoSettings(SpeakerSettings):
    """How Vevo is used; the published values where there are any."""

    name: str = "vevo"
    """What the model is called."""
    sampling: Sampling = field(
        default_factory=lambda: Sampling(temperature=0.8, top_k=50, top_p=0.9)
    )
    """How the language models draw."""
    flow: FlowSteps = field(default_factory=FlowSteps)
    """How units become frames."""
    length: LengthConfig = field(
        default_factory=lambda: LengthConfig(min_frames_per_symbol=1.0, max_frames_per_symbol=10.0)
    )
    """How long speech may be for its phonemes. The published code asks for 50 units at least, which
    makes a model babble on behind a single word, and stops at 2,000 tokens."""
    prompt_seconds: float = 10.0
    """How much of a voice is used."""
    piece_seconds: float = 12.0
    """Longer recordings are cut into pieces for the language model, at pauses."""
    pace: tuple[float, float] = (0.5, 2.0)
    """Shortest and longest that speech may become by imitation of a manner, to what it was."""


class Vevo:
    """The system, speaking and converting. One object may serve several threads."""

    tokenizer: None = None

    def __init__(
        self,
        parts: Parts,
        vocab: TextVocab,
        settings: VevoSettings | None = None,
        phonemizer: Phonemizer | None = None,
    ) -> None:
        """Raises ConfigError unless parts and vocabulary fit together."""
        self.parts = VevoParts(parts)
        self.settings = settings or VevoSettings()
        self.vocab, self._phonemizer = vocab, phonemizer
        self.hash = parts.hash(*ALL)
        self.tokenizer_hash = parts.hash("style")

    @property
    def sample_rate(self) -> int:
        """Samples a second of what it makes, Hz."""
        return self.parts.vocoder.config.sample_rate

    @property
    def imitates(self) -> tuple[Imitate, ...]:
        """What it can take from a voice."""
        converts = "content_lm" in self.parts.parts and "content" in self.parts.parts
        return ("timbre", "style", "both") if converts else ("timbre",)

    def frontend(
        self, *, language: str | None = None, lexicon: Lexicon | None = None
    ) -> TextFrontend:
        """The front end for a language, English unless given."""
        language = language or self.settings.language
        return TextFrontend(language, self.vocab, lexicon, phonemizer=self._phonemizer)

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
        units = self.parts.units(recorded.audio)
        # A frame has 80 samples more than a hop: of the last hop there are no units, so no frame.
        mel = self.parts.mel(recorded.audio)[: len(units.style)]
        text_ids = recorded.text_ids
        if text_ids is None:
            text_ids = tuple(self.vocab.encode(recorded.phonemes))
        extras = {MEL: mel}
        if units.content is not None:
            extras[CONTENT] = units.content
        return VoicePrompt(
            name=recorded.name,
            codes=units.style[None, : len(mel)],
            text_ids=torch.tensor(text_ids, dtype=torch.long),
            num_spoken_frames=len(mel),
            phonemes=recorded.phonemes,
            transcript=recorded.transcript,
            seconds=recorded.seconds,
            tokenizer_hash=self.tokenizer_hash,
            model=self.settings.name,
            model_hash=self.hash,
            findings=recorded.findings,
            origin=recorded.origin,
            extras=extras,
        )

    def check_voice(self, voice: VoicePrompt) -> None:
        """Raise ConfigError if the voice was made for another model, UserError if it is damaged."""
        voice.check_fits(self.tokenizer_hash, self.settings.name)
        self.parts.style.check_codes(voice.codes[None])
        mel, bands = voice.extras.get(MEL), self.parts.flow.config.frame_dim
        if mel is None or list(mel.shape) != [voice.codes.shape[1], bands]:
            raise ConfigError(
                f"voice {voice.name!r} must hold {voice.codes.shape[1]} frames of {bands} mel "
                f"bands, but has {None if mel is None else list(mel.shape)}; create it again from "
                "its recording"
            )
        if len(voice.text_ids) and not 0 <= int(voice.text_ids.max()) < self.vocab.size:
            raise ConfigError(
                f"voice {voice.name!r} holds text that model {self.settings.name!r} cannot read; "
                "create it again from its recording"
            )

    # These two work on the whole system: imported above, the files would need each other.

    def reader(self, sampling: Sampling, clock: Clock) -> JobReader:
        """Who speaks jobs, drawing so."""
        from uslm.pipeline.published.vevo_reader import VevoReader

        known = self.parts.phone_lm.config.text_vocab_size
        if self.vocab.size > known:
            raise ConfigError(
                f"the table has {self.vocab.size} symbols, but phone_lm knows {known}"
            )
        return VevoReader(self, sampling, clock)

    def convert(
        self,
        source: Audio,
        voice: VoicePrompt,
        seed: int,
        clock: Clock,
        imitate: Imitate = "timbre",
    ) -> Converted:
        """See `VoiceConverter.convert`."""
        from uslm.pipeline.published.vevo_conversion import convert

        return convert(self, source, voice, seed, clock, imitate)

    def check_hears(self) -> None:
        """Raise MissingResource unless the default model is there, whose ear listens."""
        default_ear(self.settings.language)

    def listen(
        self, waveform: Float[Tensor, "1 n"], text: FrontendResult, stop_reason: str
    ) -> Verdict:
        """How well a piece was spoken, by the default model's ear."""
        heard = Audio(waveform, self.sample_rate)
        return default_ear(self.settings.language).judge(heard, text.text, stop_reason)


def load_vevo(
    folder: str | PathLike[str],
    *,
    device: str | torch.device = "cpu",
    dtype: torch.dtype | str | None = None,
) -> Vevo:
    """From a converted folder. `dtype` is the precision of the language models and of the flow."""
    folder, dtypes = Path(folder), _dtypes(dtype)
    return Vevo(
        Parts(folder=folder, device=device, dtypes=dtypes),
        MaskGCTVocab.load(folder / VOCAB_FILE),
        phonemizer=MaskGCTPhonemizer(),
    )


def vevo_settings(folder: Path) -> VevoSettings:
    """How the model of a folder is used."""
    return VevoSettings()


def vevo_frontend(
    folder: Path, *, language: str | None = None, lexicon: Lexicon | None = None
) -> FrontEnd:
    """The front end of a folder's model, without reading any weights."""
    vocab, language = MaskGCTVocab.load(folder / VOCAB_FILE), language or VevoSettings().language
    return TextFrontend(language, vocab, lexicon, phonemizer=MaskGCTPhonemizer())


def _dtypes(dtype: torch.dtype | str | None) -> Mapping[str, torch.dtype]:
    if dtype is None:
        return {}
    return dict.fromkeys(("phone_lm", "content_lm", "flow"), read_dtype(dtype))
