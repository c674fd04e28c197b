"""Imitation of voices in all its ways: of timbre, of manner, of both; of a recording or of a text.

source      manner     timbre     the way
recording   -          a voice    timbre: conversion of the voice
recording   a voice    -          style: its accent, pace and mood; whoever speaks stays
recording   a voice    a voice    voice: both, from one voice or from two
text        a voice    a voice    text to speech, likewise
"""

from os import PathLike

import torch

from uslm.conversion import VoiceConverter
from uslm.output.speech import Speech
from uslm.synthesis.protocols import Converter, Imitate, Synthesizer, VoiceMaker, VoiceMixer
from uslm.systems.loading import as_converter, load_synthesizer
from uslm.tts import ZeroShotTTS
from uslm.voices.prompt import VoicePrompt
from uslm_tokenizer.audio.given import AudioInput
from uslm_tokenizer.errors import UserError


class VoiceImitation:
    """One model that speaks and converts. Nothing in it changes after loading."""

    def __init__(self, model: Synthesizer) -> None:
        """UserError unless it converts as well."""
        converter: Converter = as_converter(model)
        self.model, self._tts = model, ZeroShotTTS(model)
        self._converter = VoiceConverter(converter, self._tts.frontend)

    @classmethod
    def from_pretrained(
        cls,
        name_or_path: str | PathLike[str] = "vevo",
        *,
        device: str | torch.device = "cpu",
        dtype: torch.dtype | str | None = None,
    ) -> "VoiceImitation":
        """Load a model as `ZeroShotTTS.from_pretrained` does."""
        return cls(load_synthesizer(name_or_path, device=device, dtype=dtype))

    def create_voice(
        self, audio: AudioInput, text: str | None = None, *, sample_rate: int | None = None
    ) -> VoicePrompt:
        """A voice from a recording, as of `ZeroShotTTS.create_voice`."""
        return self._tts.create_voice(audio, text, sample_rate=sample_rate)

    def imitate(
        self,
        *,
        text: str | None = None,
        audio: AudioInput | None = None,
        manner: VoicePrompt | None = None,
        timbre: VoicePrompt | None = None,
        sample_rate: int | None = None,
        seed: int | None = None,
    ) -> Speech:
        """Speech of `text`, or of what `audio` says, in the manner of one voice and with the
        timbre of another, or of the same; what is not given stays that of the recording.

        UserError unless there is one source and a voice at least, or if the model can mix none.
        """
        if (text is None) == (audio is None):
            raise UserError("give a text or a recording, and not both")
        voice = self._voice(manner, timbre)
        if text is not None:
            return self._tts.generate(text, voice, seed=seed)
        way: Imitate = "both" if manner and timbre else "style" if manner else "timbre"
        assert audio is not None
        return self._converter.convert(
            audio, voice, sample_rate=sample_rate, imitate=way, seed=seed
        )

    def _voice(self, manner: VoicePrompt | None, timbre: VoicePrompt | None) -> VoicePrompt:
        if manner is None or timbre is None or manner is timbre:
            voice = manner or timbre
            if voice is None:
                raise UserError("give a voice whose manner or timbre is imitated")
            return voice
        return mixed_voice(self.model, manner, timbre)


def mixed_voice(model: VoiceMaker, manner: VoicePrompt, timbre: VoicePrompt) -> VoicePrompt:
    """A voice with the manner of one and the timbre of another; UserError if the model mixes
    none."""
    return check_can_mix(model).mixed_voice(manner, timbre)


def check_can_mix(model: VoiceMaker) -> VoiceMixer:
    """The same model, mixing. Raises UserError if it takes manner and timbre from one voice."""
    if not isinstance(model, VoiceMixer):
        raise UserError(
            f"model {model.settings.name!r} takes manner and timbre from one voice: give the same "
            "for both"
        )
    return model
