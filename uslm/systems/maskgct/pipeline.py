"""MaskGCT, whole (Wang et al. 2025): a text and a voice to speech, without a word by word order.

    phonemes of prompt and text, units of the prompt -> t2s       -> units
    units, codebook 0 of the prompt's codes             -> s2a_first -> codebook 0
    units, all codes of the prompt, codebook 0          -> s2a_rest  -> all codebooks -> decoder

The folder holds pretrained.json, vocab.json and a sub-folder for each part. The published way is
kept where the models depend on it. Apart from it, units and codes of a prompt are cut to one
length, of which the published code makes an early or late beginning; and each segment of a text is
guided by itself.
"""

from os import PathLike
from pathlib import Path

import torch

from uslm.generate.autoregressive import SpeakUnits
from uslm.generate.sampling import Sampling
from uslm.synthesis.protocols import SegmentSynthesizer
from uslm.synthesis.timer import StageTimer
from uslm.systems.base import Encoded, PretrainedSynthesizer
from uslm.systems.maskgct.segment_synthesizer import MaskGCTSegmentSynthesizer
from uslm.systems.maskgct.stages import CODECS, STAGES, UNITS, MaskGCTSettings, MaskGCTStages
from uslm.systems.model_parts import Parts, check_equal
from uslm.text.maskgct import VOCAB_FILE, MaskGCTPhonemizer, MaskGCTVocab
from uslm.text.phonemize import Phonemizer
from uslm.text.vocab import TextVocab
from uslm.voices.prompt import VoicePrompt
from uslm_tokenizer.audio.read import Audio
from uslm_tokenizer.codecs.maskgct.model import MaskGCTCodec
from uslm_tokenizer.codecs.ssl_units.model import SSLUnits
from uslm_tokenizer.errors import ConfigError, UserError


class MaskGCT(PretrainedSynthesizer):
    """The system, speaking. One object may serve several threads."""

    settings: MaskGCTSettings

    def __init__(
        self,
        parts: Parts,
        vocab: TextVocab,
        settings: MaskGCTSettings | None = None,
        phonemizer: Phonemizer | None = None,
    ) -> None:
        """Raises ConfigError unless parts and vocabulary fit together."""
        super().__init__(settings or MaskGCTSettings(), vocab, phonemizer)
        # First of all, from the files: so a voice fits whichever precision is used.
        self.hash = parts.hash(*CODECS, *STAGES)
        self.tokenizer_hash = parts.hash(*CODECS)
        self.earlier_tokenizer_hash = parts.earlier_hash(*CODECS)
        self.parts, self.stages = parts, MaskGCTStages(parts)
        if vocab.size > self.stages.t2s.config.num_phones:
            raise ConfigError(
                f"the table has {vocab.size} symbols, but t2s knows "
                f"{self.stages.t2s.config.num_phones}"
            )

    @property
    def tokenizer(self) -> MaskGCTCodec:
        """Codes to samples and back."""
        return self.stages.codec

    @property
    def units(self) -> SSLUnits:
        """Recordings to units; large, and only of use where a voice is made."""
        units = self.parts.get("semantic", SSLUnits)
        check_equal("semantic", units.codebook_size, self.stages.num_units, "units")
        rates = (units.frame_rate, self.tokenizer.frame_rate)
        if rates[0] != rates[1]:
            raise ConfigError(f"units and codes must be of one frame rate, but are of {rates} Hz")
        return units

    @property
    def sample_rate(self) -> int:
        """Samples per second of what it speaks, Hz."""
        return self.tokenizer.sample_rate

    def encode(self, recording: Audio) -> Encoded:
        semantic, acoustic = self.units, self.tokenizer
        resampled = recording.resampled(semantic.sample_rate).waveform
        units = semantic.encode(resampled[None].to(semantic.device))[0, 0].cpu()
        codes = acoustic.encode(recording.waveform[None].to(acoustic.device))[0].cpu()
        num_frames = min(len(units), codes.shape[1])
        return Encoded(codes=codes[:, :num_frames], extras={UNITS: units[:num_frames]})

    def check_encoded(self, voice: VoicePrompt) -> None:
        self.tokenizer.check_codes(voice.codes[None])
        units, count = voice.extras.get(UNITS), self.stages.num_units
        if (
            units is None
            or units.is_floating_point()
            or list(units.shape) != [voice.codes.shape[1]]
            or not 0 <= int(units.min()) <= int(units.max()) < count
        ):
            raise ConfigError(
                f"voice {voice.name!r} must hold a unit from 0 to {count - 1} for each of "
                f"{voice.codes.shape[1]} frames; create it again from its recording"
            )

    def segment_synthesizer(
        self, sampling: Sampling, timer: StageTimer, speak: SpeakUnits | None = None
    ) -> SegmentSynthesizer:
        """The synthesizer of segments with this sampling; of `sampling` only temperature and top_k
        matter."""
        if sampling.top_p < 1:
            raise UserError(f"top_p must be 1 for {self.settings.name}, but is {sampling.top_p}")
        return MaskGCTSegmentSynthesizer(self.stages, self.settings, sampling, timer)


def load_maskgct(
    folder: str | PathLike[str],
    *,
    device: str | torch.device = "cpu",
    dtype: torch.dtype | str | None = None,
    outline: bool = False,
) -> MaskGCT:
    """From a converted folder. `dtype` is the precision of the stages, not of the codecs."""
    parts = Parts(folder=Path(folder), device=device, dtype=dtype, narrow=STAGES, outline=outline)
    vocab, phonemizer = maskgct_text(Path(folder))
    return MaskGCT(parts, vocab, phonemizer=phonemizer)


def maskgct_settings(folder: Path) -> MaskGCTSettings:
    """Settings of the model of a folder."""
    return MaskGCTSettings()


def maskgct_text(folder: Path) -> tuple[TextVocab, Phonemizer]:
    """The front end of the model and its vocabulary."""
    return MaskGCTVocab.load(folder / VOCAB_FILE), MaskGCTPhonemizer()
