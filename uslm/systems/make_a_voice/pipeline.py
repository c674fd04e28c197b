"""Make-A-Voice, whole: a text, a recording or a score to units, those to codes, these to samples.

    text      -> semantic                           -> units
    recording -> units                              -> units
    score     -> semantic, stretched to the notes   -> units, pitch tokens
    units, pitch tokens and a prompt's codes        -> acoustic -> codes -> vocoder -> samples

The folder holds pretrained.json and a sub-folder for each part: units, pitch, codec, semantic,
acoustic, vocoder. The authors published no weights: what speaks here is trained here.
"""

from os import PathLike
from pathlib import Path

import torch

from uslm.generate.autoregressive import SpeakUnits
from uslm.generate.sampling import Sampling
from uslm.synthesis.protocols import Converted, FrontEnd, Imitate, SegmentSynthesizer
from uslm.synthesis.seeds import generator
from uslm.synthesis.timer import StageTimer
from uslm.systems.base import Encoded, PretrainedSynthesizer
from uslm.systems.make_a_voice.model import MakeAVoiceLM, acoustic_kinds, semantic_kinds, tasks
from uslm.systems.make_a_voice.segment_synthesizer import MakeAVoiceSegmentSynthesizer
from uslm.systems.make_a_voice.settings import MakeAVoiceSettings
from uslm.systems.make_a_voice.speaking import UnitsToSpeech, read_units
from uslm.systems.make_a_voice.sung import check_reach, sung_units
from uslm.systems.make_a_voice.vocoder import CodeVocoder
from uslm.systems.model_parts import Parts, check_equal
from uslm.text.phonemize import EspeakPhonemizer, Phonemizer
from uslm.text.score import Score
from uslm.text.vocab import PhonemeVocab, TextVocab
from uslm.voices.prompt import VoicePrompt
from uslm_tokenizer.audio.read import Audio
from uslm_tokenizer.base import AudioTokenizer
from uslm_tokenizer.codecs.pitch_tokens.model import PitchTokens
from uslm_tokenizer.errors import AudioError, ConfigError, UserError

ALL = ("units", "pitch", "codec", "semantic", "acoustic", "vocoder")


class VoiceCascade(PretrainedSynthesizer):
    """The system: it speaks, converts and sings. One object may serve several threads."""

    settings: MakeAVoiceSettings
    tokenizer: None = None
    imitates: tuple[Imitate, ...] = ("timbre",)

    def __init__(self, parts: Parts, settings: MakeAVoiceSettings | None = None) -> None:
        """Raises ConfigError unless the parts fit together."""
        super().__init__(settings or MakeAVoiceSettings(), PhonemeVocab(), None)
        self.hash, self.tokenizer_hash = parts.hash(*ALL), parts.hash("codec")
        self.units = parts.get("units", AudioTokenizer)  # type: ignore[type-abstract]
        self.codec = parts.get("codec", AudioTokenizer)  # type: ignore[type-abstract]
        self.pitch, self.vocoder = (
            parts.get("pitch", PitchTokens),
            parts.get("vocoder", CodeVocoder),
        )
        self.semantic = parts.get("semantic", MakeAVoiceLM)
        self.acoustic = parts.get("acoustic", MakeAVoiceLM)
        self._check_parts()
        stages = tasks(self.semantic, self.acoustic)
        self.stages = stages
        self._spoken = UnitsToSpeech(stages, self.vocoder, self.settings)

    @property
    def num_codebooks(self) -> int:
        """The codec's first codebooks, as many as are written."""
        return self.vocoder.config.num_codebooks

    @property
    def sample_rate(self) -> int:
        """Samples per second of what it speaks, Hz."""
        return self.vocoder.sample_rate

    def _check_parts(self) -> None:
        units, codec, vocoder = self.units, self.codec, self.vocoder
        if codec.num_codebooks < self.num_codebooks:
            raise ConfigError(
                f"vocoder decodes {self.num_codebooks} codebooks, but codec gives "
                f"{codec.num_codebooks}"
            )
        check_equal("vocoder", vocoder.config.codebook_size, codec.codebook_size, "codes")
        check_equal("vocoder", vocoder.hop_length, codec.hop_length, "samples a frame")
        check_equal("vocoder", vocoder.sample_rate, codec.sample_rate, "samples per second")
        if abs(self.pitch.frame_rate - units.frame_rate) > 1e-6 * units.frame_rate:
            raise ConfigError(
                f"there must be a pitch for each unit, but there are {self.pitch.frame_rate:g} "
                f"pitches and {units.frame_rate:g} units per second"
            )
        wanted = {
            "semantic": semantic_kinds(
                text_vocab_size=self.vocab.size, num_units=units.codebook_size,
                unit_rate=units.frame_rate,
            ),
            "acoustic": acoustic_kinds(
                num_units=units.codebook_size, unit_rate=units.frame_rate,
                num_pitches=self.pitch.codebook_size, num_codebooks=self.num_codebooks,
                codebook_size=codec.codebook_size, frame_rate=codec.frame_rate,
            ),
        }  # fmt: skip
        for name, model in (("semantic", self.semantic), ("acoustic", self.acoustic)):
            for kind in wanted[name]:
                found = model.kind(kind.name)
                if found != kind:
                    raise ConfigError(
                        f"{name} was made for {found.size} {found.name} of {found.rate:g} Hz, but "
                        f"the tokenizers give {kind.size} of {kind.rate:g} Hz"
                    )

    def encode(self, recording: Audio) -> Encoded:
        waveform = recording.waveform[None].to(self.codec.device)
        return Encoded(codes=self.codec.encode(waveform)[0, : self.num_codebooks].cpu())

    def check_encoded(self, voice: VoicePrompt) -> None:
        self.codec.check_codes(voice.codes[None], self.num_codebooks)

    def segment_synthesizer(
        self, sampling: Sampling, timer: StageTimer, speak: SpeakUnits | None = None
    ) -> SegmentSynthesizer:
        """The synthesizer of segments with this sampling."""
        return MakeAVoiceSegmentSynthesizer(
            self.stages["speak"], self._spoken, self.settings, sampling, timer
        )

    @torch.no_grad()
    def convert(
        self,
        source: Audio,
        voice: VoicePrompt,
        seed: int,
        timer: StageTimer,
        imitate: Imitate = "timbre",
    ) -> Converted:
        """The words of the recording, at their pace, in the voice. AudioError of an empty or a
        broken recording."""
        self.check_voice(voice)
        waveform = source.resampled(self.units.sample_rate).waveform
        if not waveform.shape[-1]:
            raise AudioError("the recording to convert is empty")
        if not bool(waveform.isfinite().all()):
            raise AudioError("the recording holds samples that are NaN or infinite; export it anew")
        with timer.stage("semantic"):
            units = self.units.encode(waveform[None].to(self.units.device))[0, 0].cpu()
        converted = self._spoken("convert", units, voice, generator(seed, "acoustic"), timer)
        length = source.resampled(self.sample_rate).waveform.shape[-1]
        return Converted(waveform=converted.waveform[:, :length], codes=converted.codes)

    @torch.no_grad()
    def sing(
        self,
        score: Score,
        voice: VoicePrompt,
        seed: int,
        timer: StageTimer,
        frontend: FrontEnd,
    ) -> Converted:
        """The words of the score to its notes, in the voice. UserError where the score's words are
        missing or its notes out of reach, TextError of a word that cannot be read."""
        self.check_voice(voice)
        if not score.seconds <= self.settings.max_song_seconds:
            raise UserError(
                f"a score must last at most {self.settings.max_song_seconds:g} s, but lasts "
                f"{score.seconds:.0f} s"
            )
        draws = generator(seed, "semantic")
        stages, length = self.stages["sing"], self.settings.length

        def said(word: str) -> torch.Tensor:
            text_ids = frontend(word).text_ids
            return read_units(stages, text_ids, length, self.settings.sampling, draws)

        with timer.stage("semantic"):
            check_reach(score, self.pitch.config.pitch)
            units, f0 = sung_units(score, self.units, said)
            pitch = self.pitch.of_f0(f0)
        return self._spoken("sing", units, voice, generator(seed, "acoustic"), timer, pitch)


def load_make_a_voice(
    folder: str | PathLike[str],
    *,
    device: str | torch.device = "cpu",
    dtype: torch.dtype | str | None = None,
    outline: bool = False,
) -> VoiceCascade:
    """From a folder. `dtype` is the precision of both language models."""
    narrow = ("semantic", "acoustic")
    parts = Parts(folder=Path(folder), device=device, dtype=dtype, narrow=narrow, outline=outline)
    return VoiceCascade(parts)


def make_a_voice_settings(folder: Path) -> MakeAVoiceSettings:
    """Settings of the model of a folder."""
    return MakeAVoiceSettings()


def make_a_voice_text(folder: Path) -> tuple[TextVocab, Phonemizer]:
    """The front end of the model and its vocabulary."""
    return PhonemeVocab(), EspeakPhonemizer()


def make_a_voice_imitates(folder: Path) -> tuple[Imitate, ...]:
    """Aspects of a voice that it can take: how it sounds."""
    return VoiceCascade.imitates
