"""Voice conversion: the words of one recording in the voice of another."""

from os import PathLike

import torch

from uslm.output.speech import Speech, first_codebook
from uslm.synthesis.protocols import Converter, FrontEnd, Imitate
from uslm.synthesis.seeds import resolve_seed
from uslm.synthesis.stock_voices import stock_voice_for
from uslm.synthesis.timer import StageTimer
from uslm.systems.loading import load_converter
from uslm.voices.prompt import NO_VOICE, VoicePrompt
from uslm.voices.stock import DEFAULT_STOCK_VOICE
from uslm_tokenizer.audio.given import AudioInput, given_audio
from uslm_tokenizer.audio.read import Audio, read_audio
from uslm_tokenizer.errors import UserError


class VoiceConverter:
    """Speaks what a recording says, at its pace, in another voice. No text is involved."""

    def __init__(self, converter: Converter, frontend: FrontEnd | None = None) -> None:
        self.converter, self._frontend = converter, frontend

    @property
    def frontend(self) -> FrontEnd:
        """Front end of the texts of voices; UserError of a model that reads none."""
        if self._frontend is None:
            self._frontend = self.converter.frontend()
        return self._frontend

    @classmethod
    def from_pretrained(
        cls,
        name_or_path: str | PathLike[str] = "default",
        *,
        device: str | torch.device = "cpu",
        dtype: torch.dtype | str | None = None,
        revision: str | None = None,
        local_files_only: bool = False,
    ) -> "VoiceConverter":
        """Load a model as `ZeroShotTTS.from_pretrained` does; UserError if it only speaks."""
        return cls(
            load_converter(
                name_or_path,
                device=device,
                dtype=dtype,
                revision=revision,
                local_files_only=local_files_only,
            )
        )

    def create_voice(
        self,
        audio: AudioInput,
        text: str | None = None,
        *,
        sample_rate: int | None = None,
        name: str | None = None,
        max_seconds: float | None = None,
    ) -> VoicePrompt:
        """A voice from a recording, as of `ZeroShotTTS.create_voice`."""
        return self.converter.create_voice(
            self.frontend, given_audio(audio, sample_rate), text, name=name, max_seconds=max_seconds
        )

    def stock_voice(self, name: str = DEFAULT_STOCK_VOICE) -> VoicePrompt:
        """A voice that comes with the package, as of `ZeroShotTTS.stock_voice`."""
        return stock_voice_for(self.converter, self.frontend, name)

    def convert(
        self,
        audio: AudioInput,
        voice: VoicePrompt | None = None,
        *,
        sample_rate: int | None = None,
        imitate: Imitate = "timbre",
        seed: int | None = None,
    ) -> Speech:
        """The content of `audio`, in the voice; it is given as to `create_voice`. A model that is
        not told whose voice, as one that takes noise away, is given none.

        `imitate` is what is taken from the voice. With "timbre" the pace stays that of the
        recording; a model may be able to take the manner of speaking, "style", or "both".
        """
        if voice is None:
            if self.converter.needs_voice:
                raise UserError(f"model {self.converter.settings.name!r} must be given a voice")
            voice = NO_VOICE
        self.converter.check_voice(voice)
        if imitate not in self.converter.imitates:
            raise UserError(
                f"imitate must be one of {list(self.converter.imitates)} for model "
                f"{self.converter.settings.name!r}, but is {imitate!r}"
            )
        seed, timer = resolve_seed(seed), StageTimer()
        given = given_audio(audio, sample_rate)
        source = given if isinstance(given, Audio) else read_audio(given)
        converted = self.converter.convert(source, voice, seed, timer, imitate)
        return Speech(
            waveform=converted.waveform,
            sample_rate=self.converter.sample_rate,
            seed=seed,
            text="",
            units=first_codebook(converted.codes),
            codes=converted.codes,
            latents=converted.latents,
            written=converted.written,
            timings=timer.timings(),
            model=self.converter.settings.name,
            model_hash=self.converter.hash,
            voice=voice.name,
            settings={"imitate": imitate},
        )
