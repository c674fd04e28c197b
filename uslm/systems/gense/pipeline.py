"""GenSE, whole: a noisy recording to units and codes, those to clean ones, and these to samples.

    recording -> units -> cleaner                          -> clean units
              -> codec -> speaker, after units of both kinds -> clean codes -> codec -> samples

The folder holds pretrained.json and a sub-folder for each part: units, codec, cleaner, speaker. The
authors published no weights: what cleans here is trained here.
"""

from collections.abc import Mapping
from os import PathLike
from pathlib import Path

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from uslm.generate.cascade import check_rates, run_stages
from uslm.synthesis.audible import check_audible
from uslm.synthesis.protocols import Converted, FrontEnd, Imitate
from uslm.synthesis.seeds import generator
from uslm.synthesis.timer import StageTimer
from uslm.systems.gense.model import (
    CLEAN_CODES,
    CLEAN_UNITS,
    NOISY_CODES,
    NOISY_UNITS,
    GenseLM,
    first_stage,
    kinds_of,
    second_stage,
)
from uslm.systems.gense.settings import GenseSettings
from uslm.systems.model_parts import Parts
from uslm.text.lexicon import Lexicon
from uslm.voices.prompt import NO_VOICE, VoicePrompt
from uslm_tokenizer.audio.read import Audio, AudioSource
from uslm_tokenizer.base import AudioTokenizer
from uslm_tokenizer.errors import ConfigError, UserError

ALL = ("units", "codec", "cleaner", "speaker")


class Gense:
    """The system: a `Converter` that is told no voice, as it keeps that of the recording."""

    needs_voice = False
    imitates: tuple[Imitate, ...] = ("timbre",)

    def __init__(self, parts: Parts, settings: GenseSettings | None = None) -> None:
        """Raises ConfigError unless the parts fit together."""
        self.settings = settings or GenseSettings()
        self.hash = parts.hash(*ALL)
        self.units = parts.get("units", AudioTokenizer)  # type: ignore[type-abstract]
        self.codec = parts.get("codec", AudioTokenizer)  # type: ignore[type-abstract]
        cleaner, speaker = parts.get("cleaner", GenseLM), parts.get("speaker", GenseLM)
        if self.codec.num_codebooks != 1:
            raise ConfigError(
                f"codec must give one code a frame, but gives {self.codec.num_codebooks}; "
                "see uslm_tokenizer.quantize.pairs"
            )
        units, codec = self.units, self.codec
        wanted = kinds_of(
            num_units=units.codebook_size, unit_rate=units.frame_rate,
            num_codes=codec.codebook_size, code_rate=codec.frame_rate,
        )  # fmt: skip
        for name, model in (("cleaner", cleaner), ("speaker", speaker)):
            for kind in model.config.kinds:
                if kind not in wanted:
                    raise ConfigError(
                        f"{name} was made for {kind.size} {kind.name} of {kind.rate:g} Hz, but the "
                        f"tokenizers give {[f'{k.size} {k.name} of {k.rate:g} Hz' for k in wanted]}"
                    )
        self.stages = (first_stage(cleaner), second_stage(speaker))
        check_rates(self.stages)
        self.networks: Mapping[str, nn.Module] = {
            "units": units, "codec": codec, "cleaner": cleaner, "speaker": speaker
        }  # fmt: skip

    @property
    def sample_rate(self) -> int:
        """Samples per second of what it makes, Hz."""
        return self.codec.sample_rate

    @property
    def tokenizer(self) -> AudioTokenizer:
        """The codec of its codes."""
        return self.codec

    @property
    def folder(self) -> Path | None:
        """None: what can be said of it, its parts say."""
        return None

    def frontend(self, *, language: str | None = None, lexicon: Lexicon | None = None) -> FrontEnd:
        """UserError: it reads no text."""
        raise UserError(f"model {self.settings.name!r} reads no text")

    def create_voice(
        self,
        frontend: FrontEnd,
        audio: Audio | AudioSource,
        text: str | None = None,
        *,
        name: str | None = None,
        max_seconds: float | None = None,
    ) -> VoicePrompt:
        """UserError: the recording's own voice is kept."""
        raise UserError(
            f"model {self.settings.name!r} makes no voices: a recording keeps the voice it has"
        )

    def check_voice(self, voice: VoicePrompt) -> None:
        """UserError for any voice."""
        if voice is not NO_VOICE:
            raise UserError(
                f"model {self.settings.name!r} takes no voice: a recording keeps the one it has"
            )

    def render_voice(self, voice: VoicePrompt) -> Float[Tensor, "1 n"]:
        """UserError: it has none."""
        raise UserError(f"model {self.settings.name!r} has no voices to hear")

    @torch.no_grad()
    def convert(
        self,
        source: Audio,
        voice: VoicePrompt,
        seed: int,
        timer: StageTimer,
        imitate: Imitate = "timbre",
    ) -> Converted:
        """The same without its noise, as long as it was; all that is drawn comes from `seed`.

        AudioError of a silent recording.
        """
        self.check_voice(voice)
        recording = source.resampled(self.sample_rate)
        check_audible(recording, self.settings.silent_dbfs)
        length = recording.waveform.shape[-1]
        window = max(1, round(self.settings.window_seconds * self.sample_rate))
        codes: list[Tensor] = []
        draws = generator(seed, "enhance")
        # The last window takes the rest with it: a few frames say nothing.
        starts = range(0, max(1, length - window // 2), window)
        for number, start in enumerate(starts):
            stop = length if number == len(starts) - 1 else start + window
            part = Audio(recording.waveform[:, start:stop], self.sample_rate)
            codes.append(self.clean_codes(part, draws, timer))
        joined = torch.cat(codes)[None]
        with timer.stage("decode"):
            made = self.codec.decode(joined[None].to(self.codec.device))[0].float().cpu()
        timer.audio()
        return Converted(waveform=made[:, :length].clamp(-1, 1), codes=joined)

    def clean_codes(
        self, noisy: Audio, draws: torch.Generator, timer: StageTimer
    ) -> Int[Tensor, " t"]:
        """Codes of a window without its noise: as many as the codec's of it."""
        with timer.stage("semantic"):
            units = _first_codes(self.units, noisy)
            given = {NOISY_UNITS: units}
            clean = run_stages(
                self.stages[:1], given, sampling=self.settings.sampling, generator=draws
            )
        with timer.stage("acoustic"):
            given[CLEAN_UNITS], codes = clean[CLEAN_UNITS], _first_codes(self.codec, noisy)
            if self.settings.prompted:
                given[NOISY_CODES] = codes
            written = run_stages(
                self.stages[1:], given, sampling=self.settings.sampling, generator=draws
            )
        wanted, found = len(codes), written[CLEAN_CODES]
        # Both count frames up to the end: rates that do not divide may differ by a frame.
        return torch.cat([found, found[-1:].expand(max(0, wanted - len(found)))])[:wanted]


def _first_codes(tokenizer: AudioTokenizer, audio: Audio) -> Int[Tensor, " t"]:
    waveform = audio.resampled(tokenizer.sample_rate).waveform
    return tokenizer.encode(waveform[None].to(tokenizer.device))[0, 0].cpu()


def load_gense(
    folder: str | PathLike[str],
    *,
    device: str | torch.device = "cpu",
    dtype: torch.dtype | str | None = None,
    outline: bool = False,
) -> Gense:
    """From a folder. `dtype` is the precision of both language models."""
    narrow = ("cleaner", "speaker")
    parts = Parts(folder=Path(folder), device=device, dtype=dtype, narrow=narrow, outline=outline)
    return Gense(parts)


def gense_settings(folder: Path) -> GenseSettings:
    """Settings of the model of a folder."""
    return GenseSettings()


def gense_imitates(folder: Path) -> tuple[Imitate, ...]:
    """Aspects of a voice that it can take: the timbre, and nobody is asked whose."""
    return Gense.imitates
