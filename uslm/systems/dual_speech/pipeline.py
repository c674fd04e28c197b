"""DualSpeechLM, whole: it answers a question, spoken or written, in text and speech; and speaks.

    question -> units -> language model -> text of the answer -> its units -> decoder -> codec
                                                     voice's speaker vector ---^

The folder holds pretrained.json, tokenizer.json (the language model's text), and a sub-folder for
each part: units, codec, lm, decoder. The authors published no weights.
"""

from os import PathLike
from pathlib import Path

import torch

from uslm.generate.autoregressive import SpeakUnits
from uslm.generate.cascade import check_rates
from uslm.generate.continuation import go_on
from uslm.generate.sampling import Sampling
from uslm.models.spans import Span
from uslm.synthesis.audible import check_audible
from uslm.synthesis.protocols import Answer, SegmentSynthesizer
from uslm.synthesis.seeds import generator
from uslm.synthesis.timer import StageTimer
from uslm.systems.base import Encoded, PretrainedSynthesizer
from uslm.systems.dual_speech.decoder import DualDecoder, decoder_stage, kinds_of
from uslm.systems.dual_speech.model import DualLM
from uslm.systems.dual_speech.segment_synthesizer import DualSegmentSynthesizer, DualSpeaker
from uslm.systems.dual_speech.settings import VECTOR, DualSpeechSettings
from uslm.systems.dual_speech.speaker_vector import SPEAKER_DIM, speaker_vector
from uslm.systems.model_parts import Parts
from uslm.text.phonemize import EspeakPhonemizer, Phonemizer
from uslm.text.subwords import VOCAB_FILE, SubwordVocab
from uslm.text.vocab import TextVocab
from uslm.voices.prompt import VoicePrompt
from uslm_tokenizer.audio.read import Audio
from uslm_tokenizer.base import AudioTokenizer
from uslm_tokenizer.errors import ConfigError, UserError
from uslm_tokenizer.weight_hash import weight_hash

ALL = ("units", "codec", "lm", "decoder")


class DualSpeech(PretrainedSynthesizer):
    """The system, speaking and answering. One object may serve several threads."""

    settings: DualSpeechSettings

    def __init__(
        self, parts: Parts, vocab: TextVocab, settings: DualSpeechSettings | None = None
    ) -> None:
        """Raises ConfigError or UserError unless the parts fit together."""
        super().__init__(settings or DualSpeechSettings(), vocab, EspeakPhonemizer())
        self.hash, self.tokenizer_hash = parts.hash(*ALL), parts.hash("codec")
        self.units = parts.get("units", AudioTokenizer)  # type: ignore[type-abstract]
        self.codec = parts.get("codec", AudioTokenizer)  # type: ignore[type-abstract]
        self.lm, self.decoder = parts.get("lm", DualLM), parts.get("decoder", DualDecoder)
        self.stage = decoder_stage(self.decoder)
        self._check_parts()

    def _check_parts(self) -> None:
        units, codec, lm = self.units, self.codec, self.lm
        if codec.num_codebooks != 1:
            raise ConfigError(f"codec must give one code a frame, but gives {codec.num_codebooks}")
        if lm.codebook_size != units.codebook_size:
            raise ConfigError(
                f"lm knows {lm.codebook_size} units, but the tokenizer gives {units.codebook_size}"
            )
        lm.check_tokenizer(weight_hash(tokenizer=units))
        if self.vocab.size > lm.text_vocab_size:
            raise ConfigError(
                f"{VOCAB_FILE} has {self.vocab.size} subwords, but lm {lm.text_vocab_size}: they "
                "do not belong together"
            )
        wanted = kinds_of(
            speaker_dim=SPEAKER_DIM, num_units=units.codebook_size, unit_rate=units.frame_rate,
            num_codes=codec.codebook_size, code_rate=codec.frame_rate,
        )  # fmt: skip
        for found, kind in zip(self.decoder.config.kinds, wanted, strict=True):
            if found != kind:
                raise ConfigError(f"decoder was made for {found}, but the other parts give {kind}")
        check_rates([self.stage])

    @property
    def tokenizer(self) -> AudioTokenizer:
        """The codec of its codes."""
        return self.codec

    @property
    def sample_rate(self) -> int:
        """Samples per second of what it speaks, Hz."""
        return self.codec.sample_rate

    def encode(self, recording: Audio) -> Encoded:
        codes = self.codec.encode(recording.waveform[None].to(self.codec.device))[0].cpu()
        return Encoded(codes=codes, extras={VECTOR: speaker_vector(recording)[None]})

    def check_encoded(self, voice: VoicePrompt) -> None:
        self.codec.check_codes(voice.codes[None])
        found = voice.extras.get(VECTOR)
        if found is None or tuple(found.shape) != (1, SPEAKER_DIM):
            raise ConfigError(
                f"voice {voice.name!r} must hold a speaker vector of {SPEAKER_DIM} numbers, but "
                f"has {None if found is None else list(found.shape)}; create it again from its "
                "recording"
            )

    def segment_synthesizer(
        self, sampling: Sampling, timer: StageTimer, speak: SpeakUnits | None = None
    ) -> SegmentSynthesizer:
        """The synthesizer of segments; the sampling is that of units."""
        return DualSegmentSynthesizer(self._speaker(sampling, timer))

    @torch.no_grad()
    def answer(
        self,
        question: Audio | str,
        voice: VoicePrompt | None,
        seed: int,
        timer: StageTimer,
        *,
        speak: bool = True,
    ) -> Answer:
        """See `Answerer`. A question is read whole: UserError where it is longer than the language
        model reads."""
        if voice is not None:
            self.check_voice(voice)
        elif speak and isinstance(question, str):
            raise UserError("a written question has no voice to be answered in: give a voice")
        prompt = self._question(question)
        with timer.stage("semantic"):
            ids = go_on(
                self.lm, prompt, "text", max_tokens=self.settings.max_text_tokens,
                sampling=self.settings.text_sampling, generator=generator(seed, "text"),
            )  # fmt: skip
            text = self.vocab.decode(ids.tolist())
        if not speak:
            return Answer(text=text)
        if voice is not None:
            vector = voice.extras[VECTOR]
        else:
            assert isinstance(question, Audio)
            vector = speaker_vector(question)[None]
        speaker = self._speaker(self.settings.sampling, timer)
        spoken = speaker.speak([*prompt, Span("text", ids)], text, vector, seed)
        return Answer(
            text=text, waveform=spoken.waveform, units=spoken.units, codes=spoken.codes[None]
        )

    def _question(self, question: Audio | str) -> list[Span]:
        if isinstance(question, str):
            # The answer goes on from the line after it: text spans in a row are one.
            return [Span("text", torch.tensor(self.vocab.encode(f"{question.strip()}\n")))]
        recording = question.resampled(self.units.sample_rate)
        check_audible(recording, self.settings.silent_dbfs)
        units = self.units.encode(recording.waveform[None].to(self.units.device))[0, 0].cpu()
        return [Span("speech", units)]

    def _speaker(self, sampling: Sampling, timer: StageTimer) -> DualSpeaker:
        return DualSpeaker(self.lm, self.stage, self.codec, self.settings, sampling, timer)


def load_dual_speech(
    folder: str | PathLike[str],
    *,
    device: str | torch.device = "cpu",
    dtype: torch.dtype | str | None = None,
    outline: bool = False,
) -> DualSpeech:
    """From a folder. `dtype` is the precision of language model and decoder."""
    narrow = ("lm", "decoder")
    parts = Parts(folder=Path(folder), device=device, dtype=dtype, narrow=narrow, outline=outline)
    vocab, _ = dual_speech_text(Path(folder))
    return DualSpeech(parts, vocab)


def dual_speech_settings(folder: Path) -> DualSpeechSettings:
    """Settings of the model of a folder."""
    return DualSpeechSettings()


def dual_speech_text(folder: Path) -> tuple[TextVocab, Phonemizer]:
    """The front end of the model and its vocabulary."""
    return SubwordVocab.load(folder / VOCAB_FILE), EspeakPhonemizer()
