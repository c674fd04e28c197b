"""Speech enhancement: a noisy recording in, the same without its noise out."""

from os import PathLike

import torch

from uslm.conversion import VoiceConverter
from uslm.output.speech import Speech
from uslm.synthesis.protocols import Converter
from uslm.systems.loading import load_converter
from uslm_tokenizer.audio.given import AudioInput
from uslm_tokenizer.audio.read import Audio
from uslm_tokenizer.errors import UserError


class SpeechEnhancer:
    """Takes noise, rooms and damage away; the voice of the recording stays. Nothing in it changes
    after loading: one object may serve several threads."""

    def __init__(self, model: Converter) -> None:
        """UserError of a model that converts to a voice that it is told."""
        if model.needs_voice:
            raise UserError(
                f"model {model.settings.name!r} converts a recording to another voice, and takes "
                "no noise away; train one that does with train_gense"
            )
        self.model = model
        self._converter = VoiceConverter(model)

    @classmethod
    def from_pretrained(
        cls,
        name_or_path: str | PathLike[str],
        *,
        device: str | torch.device = "cpu",
        dtype: torch.dtype | str | None = None,
    ) -> "SpeechEnhancer":
        """A folder of `train_gense`."""
        return cls(load_converter(name_or_path, device=device, dtype=dtype))

    def enhance(
        self, audio: AudioInput, *, sample_rate: int | None = None, seed: int | None = None
    ) -> Speech:
        """The recording, given as to `ZeroShotTTS.create_voice`, without its noise and as long as
        it was; all that is drawn comes from `seed`. AudioError where nothing is to be heard."""
        return self._converter.convert(audio, sample_rate=sample_rate, seed=seed)

    def clean_prompt(self, audio: AudioInput, *, sample_rate: int | None = None) -> Audio:
        """The same for a voice to be made of it, always with seed 0."""
        speech = self.enhance(audio, sample_rate=sample_rate, seed=0)
        return Audio(speech.waveform, speech.sample_rate)
