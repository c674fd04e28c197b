"""MeLoDy, whole: phonemes and a prompt to units, those to latents, and latents to samples.

    text, phonemes of the prompt, units of the prompt -> lm        -> units
    units, latents of the prompt, which are kept       -> diffusion -> latents -> codec

The folder holds pretrained.json and a sub-folder for each part: units, lm, diffusion, codec. Music
was published by its authors, no weights were: what speaks here is trained here.
"""

from os import PathLike
from pathlib import Path

import torch

from uslm.generate.autoregressive import SpeakUnits
from uslm.generate.sampling import Sampling
from uslm.synthesis.protocols import SegmentSynthesizer
from uslm.synthesis.timer import StageTimer
from uslm.systems.base import Encoded, PretrainedSynthesizer
from uslm.systems.melody.model import DualPath, MelodyLM
from uslm.systems.melody.segment_synthesizer import MelodySegmentSynthesizer
from uslm.systems.melody.settings import LATENTS, MelodySettings
from uslm.systems.model_parts import Parts, check_equal
from uslm.text.phonemize import EspeakPhonemizer, Phonemizer
from uslm.text.vocab import PhonemeVocab, TextVocab
from uslm.voices.prompt import VoicePrompt
from uslm_tokenizer.audio.read import Audio
from uslm_tokenizer.base import AudioTokenizer
from uslm_tokenizer.codecs.vae.model import VAECodec
from uslm_tokenizer.errors import ConfigError

ALL = ("units", "lm", "diffusion", "codec")


class Melody(PretrainedSynthesizer):
    """The system, speaking. One object may serve several threads."""

    settings: MelodySettings
    tokenizer: None = None

    def __init__(self, parts: Parts, settings: MelodySettings | None = None) -> None:
        """Raises ConfigError unless the parts fit together."""
        super().__init__(settings or MelodySettings(), PhonemeVocab(), None)
        self.hash, self.tokenizer_hash = parts.hash(*ALL), parts.hash("units", "codec")
        self.units = parts.get("units", AudioTokenizer)  # type: ignore[type-abstract]
        self.codec = parts.get("codec", VAECodec)
        self.lm, self.diffusion = parts.get("lm", MelodyLM), parts.get("diffusion", DualPath)
        check_equal("lm", self.lm.codebook_size, self.units.codebook_size, "units")
        check_equal("diffusion", self.diffusion.num_units, self.units.codebook_size, "units")
        check_equal("diffusion", self.diffusion.latent_dim, self.codec.latent_dim, "latents")
        rate = self.codec.frame_rate / self.units.frame_rate
        if abs(rate - self.diffusion.frames_per_unit) > 1e-6:
            raise ConfigError(
                f"diffusion makes {self.diffusion.frames_per_unit:g} frames of each unit, but "
                f"there are {rate:g}: {self.codec.frame_rate:g} of the codec and "
                f"{self.units.frame_rate:g} units per second"
            )

    @property
    def sample_rate(self) -> int:
        """Samples per second of what it speaks, Hz."""
        return self.codec.sample_rate

    def encode(self, recording: Audio) -> Encoded:
        resampled = recording.resampled(self.units.sample_rate).waveform
        codes = self.units.encode(resampled[None].to(self.units.device))[0, :1].cpu()
        waveform = recording.waveform[None].to(self.codec.device)
        latents = self.codec.encode_latents(waveform)[0].T.cpu()
        most = int(len(latents) / self.diffusion.frames_per_unit)
        codes = codes[:, : max(1, min(codes.shape[1], most))]
        frames = self.diffusion.num_frames(codes.shape[1])
        return Encoded(codes=codes, extras={LATENTS: latents[:frames]})

    def check_encoded(self, voice: VoicePrompt) -> None:
        self.units.check_codes(voice.codes[None], 1)
        latents, frames = voice.extras.get(LATENTS), self.diffusion.num_frames(voice.codes.shape[1])
        wanted = self.codec.latent_dim
        if (
            latents is None
            or latents.ndim != 2
            or latents.shape[1] != wanted
            or not (0 <= frames - len(latents) <= self.diffusion.frames_per_unit)
        ):
            raise ConfigError(
                f"voice {voice.name!r} must hold {frames} frames of {wanted} latents, those of "
                f"this model's codec, but has {None if latents is None else list(latents.shape)}; "
                "create it again from its recording"
            )

    def segment_synthesizer(
        self, sampling: Sampling, timer: StageTimer, speak: SpeakUnits | None = None
    ) -> SegmentSynthesizer:
        """The synthesizer of segments with this sampling."""
        return MelodySegmentSynthesizer(
            self.lm, self.diffusion, self.codec, self.settings, sampling, timer
        )


def load_melody(
    folder: str | PathLike[str],
    *,
    device: str | torch.device = "cpu",
    dtype: torch.dtype | str | None = None,
    outline: bool = False,
) -> Melody:
    """From a folder. `dtype` is the precision of both generators."""
    narrow = ("lm", "diffusion")
    parts = Parts(folder=Path(folder), device=device, dtype=dtype, narrow=narrow, outline=outline)
    return Melody(parts)


def melody_settings(folder: Path) -> MelodySettings:
    """Settings of the model of a folder."""
    return MelodySettings()


def melody_text(folder: Path) -> tuple[TextVocab, Phonemizer]:
    """The front end of the model and its vocabulary."""
    return PhonemeVocab(), EspeakPhonemizer()
