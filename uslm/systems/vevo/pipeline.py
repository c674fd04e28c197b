"""Vevo (Zhang et al. 2025): texts, or other people's words, in a voice and in its manner.

    text, phonemes of the prompt, units of the prompt -> phone_lm   -> units
    words of a recording, as content units            -> content_lm -> units
    units, units of the prompt, frames of the prompt  -> flow -> frames -> vocoder

The folder holds pretrained.json, vocab.json and a sub-folder for each part. Apart from the
published way, a prompt's frames are cut to its units, where the published code has a frame more and
loses the unit after it; speech may be short; each segment is guided by itself; no codebook is
changed at the end.
"""

from os import PathLike
from pathlib import Path

import torch

from uslm.generate.autoregressive import SpeakUnits
from uslm.generate.sampling import Sampling
from uslm.synthesis.protocols import Converted, Imitate, SegmentSynthesizer
from uslm.synthesis.timer import StageTimer
from uslm.systems.base import Encoded, PretrainedSynthesizer
from uslm.systems.model_parts import Parts
from uslm.systems.vevo.conversion import convert
from uslm.systems.vevo.segment_synthesizer import VevoSegmentSynthesizer
from uslm.systems.vevo.settings import CONTENT, MEL, TIMBRE_UNITS, VevoSettings
from uslm.systems.vevo.steps import ALL, GENERATORS, VevoParts
from uslm.systems.vevo.voices import mix, timbre_units
from uslm.text.maskgct import VOCAB_FILE, MaskGCTPhonemizer, MaskGCTVocab
from uslm.text.phonemize import Phonemizer
from uslm.text.vocab import TextVocab
from uslm.voices.prompt import VoicePrompt
from uslm_tokenizer.audio.read import Audio
from uslm_tokenizer.errors import ConfigError


class Vevo(PretrainedSynthesizer):
    """The system, speaking and converting. One object may serve several threads."""

    settings: VevoSettings
    tokenizer: None = None

    def __init__(
        self,
        parts: Parts,
        vocab: TextVocab,
        settings: VevoSettings | None = None,
        phonemizer: Phonemizer | None = None,
    ) -> None:
        """Raises ConfigError unless parts and vocabulary fit together."""
        super().__init__(settings or VevoSettings(), vocab, phonemizer)
        self.parts = VevoParts(parts)
        self.hash = parts.hash(*ALL)
        self.tokenizer_hash = parts.hash("style")
        self.earlier_tokenizer_hash = parts.earlier_hash("style")

    @property
    def sample_rate(self) -> int:
        """Samples per second of what it makes, Hz."""
        return self.parts.vocoder.config.sample_rate

    @property
    def imitates(self) -> tuple[Imitate, ...]:
        """Aspects of a voice that it can imitate."""
        return _imitates(self.parts.parts)

    def encode(self, recording: Audio) -> Encoded:
        units = self.parts.units(recording)
        # A frame has 80 samples more than a hop: of the last hop there are no units, so no frame.
        mel = self.parts.mel(recording)[: len(units.style)]
        extras = {MEL: mel}
        if units.content is not None:
            extras[CONTENT] = units.content
        return Encoded(codes=units.style[None, : len(mel)], extras=extras)

    def check_encoded(self, voice: VoicePrompt) -> None:
        self.parts.style.check_codes(voice.codes[None])
        mel, bands = voice.extras.get(MEL), self.parts.flow.config.frame_dim
        units = timbre_units(voice)
        if TIMBRE_UNITS in voice.extras:
            self.parts.style.check_codes(units[None, None])
        if mel is None or list(mel.shape) != [len(units), bands]:
            raise ConfigError(
                f"voice {voice.name!r} must hold {len(units)} frames of {bands} mel "
                f"bands, but has {None if mel is None else list(mel.shape)}; create it again from "
                "its recording"
            )

    def mixed_voice(self, manner: VoicePrompt, timbre: VoicePrompt) -> VoicePrompt:
        """See `VoiceMixer`."""
        for voice in (manner, timbre):
            self.check_voice(voice)
        return mix(manner, timbre)

    def segment_synthesizer(
        self, sampling: Sampling, timer: StageTimer, speak: SpeakUnits | None = None
    ) -> SegmentSynthesizer:
        """The synthesizer of segments with this sampling."""
        known = self.parts.phone_lm.config.text_vocab_size
        if self.vocab.size > known:
            raise ConfigError(
                f"the table has {self.vocab.size} symbols, but phone_lm knows {known}"
            )
        return VevoSegmentSynthesizer(self.parts, self.settings, sampling, timer)

    def convert(
        self,
        source: Audio,
        voice: VoicePrompt,
        seed: int,
        timer: StageTimer,
        imitate: Imitate = "timbre",
    ) -> Converted:
        """See `VoiceConverter.convert`."""
        return convert(self.parts, self.settings, source, voice, seed, timer, imitate)


def load_vevo(
    folder: str | PathLike[str],
    *,
    device: str | torch.device = "cpu",
    dtype: torch.dtype | str | None = None,
    outline: bool = False,
) -> Vevo:
    """From a converted folder. `dtype` is the precision of the language models and of the flow."""
    parts = Parts(
        folder=Path(folder), device=device, dtype=dtype, narrow=GENERATORS, outline=outline
    )
    vocab, phonemizer = vevo_text(Path(folder))
    return Vevo(parts, vocab, phonemizer=phonemizer)


def vevo_settings(folder: Path) -> VevoSettings:
    """Settings of the model of a folder."""
    return VevoSettings()


def vevo_imitates(folder: Path) -> tuple[Imitate, ...]:
    """Aspects of a voice that the model of a folder can imitate."""
    return _imitates(Parts(folder=folder))


def vevo_text(folder: Path) -> tuple[TextVocab, Phonemizer]:
    """The front end of the model and its vocabulary."""
    return MaskGCTVocab.load(folder / VOCAB_FILE), MaskGCTPhonemizer()


def _imitates(parts: Parts) -> tuple[Imitate, ...]:
    converts = "content_lm" in parts and "content" in parts
    return ("timbre", "style", "both") if converts else ("timbre",)
