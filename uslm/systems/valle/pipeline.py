"""USLM, whole: phonemes, SpeechTokenizer's codes of the prompt, both stages of VALL-E, decoder.

Beside the published way it has guards that the published code lacks: speech has a least length,
does not stick to one unit and does not run in circles.
"""

from os import PathLike
from pathlib import Path
from typing import ClassVar

import torch

from uslm.generate.autoregressive import SpeakUnits
from uslm.generate.sampling import Sampling
from uslm.models.device import move, read_dtype
from uslm.synthesis.protocols import SegmentSynthesizer
from uslm.synthesis.timer import StageTimer
from uslm.systems.base import Encoded, PretrainedSynthesizer
from uslm.systems.valle.model import Valle
from uslm.systems.valle.segment_synthesizer import UslmSegmentSynthesizer
from uslm.systems.valle.settings import UslmSettings
from uslm.systems.valle.text import VallePhonemizer, ValleVocab
from uslm.text.phonemize import Phonemizer
from uslm.text.vocab import TextVocab
from uslm.voices.prompt import VoicePrompt
from uslm_tokenizer.audio.read import Audio
from uslm_tokenizer.base import AudioTokenizer
from uslm_tokenizer.errors import ConfigError
from uslm_tokenizer.registry import load_tokenizer, outline_tokenizer
from uslm_tokenizer.weight_hash import weight_hash

SYMBOLS_FILE = "symbols.k2symbols"


class Uslm(PretrainedSynthesizer):
    """The system, speaking. One object may serve several threads."""

    settings: UslmSettings
    min_symbols: ClassVar[int] = 2  # the marks at both ends

    def __init__(
        self,
        tokenizer: AudioTokenizer,
        model: Valle,
        vocab: ValleVocab | None = None,
        settings: UslmSettings | None = None,
    ) -> None:
        """Raises ConfigError unless the parts fit together."""
        super().__init__(settings or UslmSettings(), vocab or ValleVocab(), VallePhonemizer())
        self.tokenizer, self.model = tokenizer, model
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
        self.tokenizer_hash = weight_hash(tokenizer=tokenizer)
        self.hash = weight_hash(tokenizer=tokenizer, model=model)

    @property
    def sample_rate(self) -> int:
        """Samples per second of what it makes, Hz."""
        return self.tokenizer.sample_rate

    def encode(self, recording: Audio) -> Encoded:
        waveform = recording.waveform[None].to(self.tokenizer.device)
        return Encoded(codes=self.tokenizer.encode(waveform)[0].cpu())

    def check_encoded(self, voice: VoicePrompt) -> None:
        self.tokenizer.check_codes(voice.codes[None])

    def segment_synthesizer(
        self, sampling: Sampling, timer: StageTimer, speak: SpeakUnits | None = None
    ) -> SegmentSynthesizer:
        """The synthesizer of segments with this sampling."""
        return UslmSegmentSynthesizer(
            self.tokenizer, self.model, self.vocab, self.settings.length, sampling, timer
        )


def load_uslm(
    folder: str | PathLike[str],
    *,
    device: str | torch.device = "cpu",
    dtype: torch.dtype | str | None = None,
    outline: bool = False,
) -> Uslm:
    """From a converted folder. `dtype` is the precision of the language model."""
    folder = Path(folder)
    if outline:
        codec, lm = outline_tokenizer(folder / "codec"), Valle.outline(folder / "lm")
        return Uslm(codec, lm, _vocab(folder))
    tokenizer, model = load_tokenizer(folder / "codec"), Valle.from_pretrained(folder / "lm")
    synthesizer = Uslm(tokenizer, model, _vocab(folder))
    move((tokenizer, model), device)
    if dtype is not None:
        model.to(read_dtype(dtype))
    return synthesizer


def uslm_settings(folder: Path) -> UslmSettings:
    """Settings of the model of a folder."""
    return UslmSettings()


def uslm_text(folder: Path) -> tuple[TextVocab, Phonemizer]:
    """The front end of the model and its vocabulary."""
    return _vocab(folder), VallePhonemizer()


def _vocab(folder: Path) -> ValleVocab:
    path = folder / SYMBOLS_FILE
    return ValleVocab.load(path) if path.is_file() else ValleVocab()
