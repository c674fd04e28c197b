"""VoxCPM, whole: text and a prompt's latents to latents, and those to samples.

The folder holds pretrained.json, a sub-folder for each part, and tokenizer.json where the model
reads subwords of text; without it, it reads phonemes, as ours do. What differs from the published
way stands in `settings`.
"""

from os import PathLike
from pathlib import Path

import torch
import torch.nn.functional as F

from uslm.generate.autoregressive import SpeakUnits
from uslm.generate.sampling import Sampling
from uslm.synthesis.protocols import FrontEnd, SegmentSynthesizer
from uslm.synthesis.timer import StageTimer
from uslm.systems.base import Encoded, PretrainedSynthesizer
from uslm.systems.model_parts import Parts, check_equal
from uslm.systems.voxcpm.model import VoxCPM
from uslm.systems.voxcpm.segment_synthesizer import VoxCPMSegmentSynthesizer
from uslm.systems.voxcpm.settings import VoxCPMSettings
from uslm.text.phonemize import EspeakPhonemizer, Phonemizer
from uslm.text.subwords import VOCAB_FILE, SubwordVocab
from uslm.text.vocab import PhonemeVocab, TextVocab
from uslm.voices.prompt import VoicePrompt
from uslm_tokenizer.audio.read import Audio, AudioSource
from uslm_tokenizer.codecs.vae.model import VAECodec
from uslm_tokenizer.errors import ConfigError, UserError


class VoxCPMSynthesizer(PretrainedSynthesizer):
    """The system, speaking. One object may serve several threads."""

    settings: VoxCPMSettings

    def __init__(
        self,
        parts: Parts,
        vocab: TextVocab | None = None,
        settings: VoxCPMSettings | None = None,
        phonemizer: Phonemizer | None = None,
    ) -> None:
        """Raises ConfigError unless the parts fit together."""
        super().__init__(settings or VoxCPMSettings(), vocab or PhonemeVocab(), phonemizer)
        self.hash, self.tokenizer_hash = parts.hash("codec", "lm"), parts.hash("codec")
        self.model, self.codec = parts.get("lm", VoxCPM), parts.get("codec", VAECodec)
        check_equal("lm", self.model.config.latent_dim, self.codec.latent_dim, "latents")
        if self.vocab.size > self.model.config.start_id and self.vocab.reads == "phonemes":
            raise ConfigError(
                f"the table has {self.vocab.size} symbols, but the id {self.model.config.start_id} "
                "of the model begins speech"
            )

    @property
    def tokenizer(self) -> VAECodec:
        """Latents to samples and back; its codes are the latents, rounded."""
        return self.codec

    @property
    def sample_rate(self) -> int:
        """Samples per second of what it speaks, Hz."""
        return self.codec.sample_rate

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
        if text is None and self.vocab.reads == "text":
            raise UserError(
                f"{self.settings.name} reads text, which nobody recognises in a recording: give "
                "the transcript of the prompt"
            )
        return super().create_voice(frontend, audio, text, name=name, max_seconds=max_seconds)

    def encode(self, recording: Audio) -> Encoded:
        """Latents of whole patches; what is missing is filled up at the beginning, so that speech
        goes on from true sound."""
        hop = self.codec.hop_length * self.model.config.patch_size
        waveform = F.pad(recording.waveform, (-recording.waveform.shape[1] % hop, 0))
        latents = self.codec.encode_latents(waveform[None].to(self.codec.device))[0].cpu()
        return Encoded(codes=self.codec.round_latents(latents[None])[0], latents=latents)

    def check_encoded(self, voice: VoicePrompt) -> None:
        self.codec.check_codes(voice.codes[None])
        wanted = self.codec.latent_dim
        if voice.latents is None or voice.latents.shape[0] != wanted:
            found = None if voice.latents is None else voice.latents.shape[0]
            raise ConfigError(
                f"voice {voice.name!r} must hold {wanted} latents of each frame, those of this "
                f"model's codec, but holds {found}; create it again from its recording"
            )

    def segment_synthesizer(
        self, sampling: Sampling, timer: StageTimer, speak: SpeakUnits | None = None
    ) -> SegmentSynthesizer:
        """The synthesizer of segments with this sampling, of which only temperature matters."""
        return VoxCPMSegmentSynthesizer(self.model, self.codec, self.settings, sampling, timer)


def load_voxcpm(
    folder: str | PathLike[str],
    *,
    device: str | torch.device = "cpu",
    dtype: torch.dtype | str | None = None,
    outline: bool = False,
) -> VoxCPMSynthesizer:
    """From a folder. `dtype` is the precision of the language model, not of the codec."""
    parts = Parts(folder=Path(folder), device=device, dtype=dtype, narrow=("lm",), outline=outline)
    vocab, phonemizer = voxcpm_text(Path(folder))
    return VoxCPMSynthesizer(parts, vocab, phonemizer=phonemizer)


def voxcpm_settings(folder: Path) -> VoxCPMSettings:
    """Settings of the model of a folder."""
    return VoxCPMSettings()


def voxcpm_text(folder: Path) -> tuple[TextVocab, Phonemizer]:
    """The front end of the model and its vocabulary."""
    if (folder / VOCAB_FILE).is_file():
        return SubwordVocab.load(folder / VOCAB_FILE), EspeakPhonemizer()
    return PhonemeVocab(), EspeakPhonemizer()
