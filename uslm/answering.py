"""Spoken answers: a question in, spoken or written, and its answer in text and speech out."""

from dataclasses import asdict
from os import PathLike

import torch

from uslm.output.speech import Speech
from uslm.synthesis.protocols import Answerer, FrontEnd
from uslm.synthesis.seeds import resolve_seed
from uslm.synthesis.stock_voices import stock_voice_for
from uslm.synthesis.timer import StageTimer
from uslm.systems.loading import load_answerer
from uslm.voices.prompt import VoicePrompt
from uslm.voices.stock import DEFAULT_STOCK_VOICE
from uslm_tokenizer.audio.given import AudioInput, given_audio
from uslm_tokenizer.audio.read import Audio, read_audio
from uslm_tokenizer.errors import UserError


class SpeechAnswerer:
    """Answers questions. Nothing in it changes after loading: one object may serve several
    threads."""

    def __init__(self, model: Answerer, frontend: FrontEnd | None = None) -> None:
        self.model, self._frontend = model, frontend

    @classmethod
    def from_pretrained(
        cls,
        name_or_path: str | PathLike[str],
        *,
        device: str | torch.device = "cpu",
        dtype: torch.dtype | str | None = None,
    ) -> "SpeechAnswerer":
        """A folder of `train_dual_speech`. UserError of a model that answers nothing."""
        return cls(load_answerer(name_or_path, device=device, dtype=dtype))

    @property
    def frontend(self) -> FrontEnd:
        """Front end of the texts of voices."""
        if self._frontend is None:
            self._frontend = self.model.frontend()
        return self._frontend

    def create_voice(
        self,
        audio: AudioInput,
        text: str | None = None,
        *,
        sample_rate: int | None = None,
        name: str | None = None,
    ) -> VoicePrompt:
        """A voice from a recording, as of `ZeroShotTTS.create_voice`."""
        given = given_audio(audio, sample_rate)
        return self.model.create_voice(self.frontend, given, text, name=name)

    def stock_voice(self, name: str = DEFAULT_STOCK_VOICE) -> VoicePrompt:
        """A voice that comes with the package, as of `ZeroShotTTS.stock_voice`."""
        return stock_voice_for(self.model, self.frontend, name)

    def answer(
        self,
        audio: AudioInput | None = None,
        *,
        text: str | None = None,
        voice: VoicePrompt | None = None,
        sample_rate: int | None = None,
        speak: bool = True,
        seed: int | None = None,
    ) -> Speech:
        """The answer to a question that is spoken (`audio`, given as to `create_voice`) or written
        (`text`): `written` holds its text, the waveform its sound, unless `speak` is False.

        In the voice; without one, in that of whoever asks. AudioError of a recording in which
        nothing is to be heard; all that is drawn comes from `seed`.
        """
        if (audio is None) == (text is None):
            raise UserError("a question must be a recording or a text, and one of the two only")
        if text is not None and not text.strip():
            raise UserError("the question must have words, but is empty")
        question: Audio | str
        if text is not None:
            question = text
        else:
            given = given_audio(audio, sample_rate)
            question = given if isinstance(given, Audio) else read_audio(given)
        seed, timer = resolve_seed(seed), StageTimer()
        answer = self.model.answer(question, voice, seed, timer, speak=speak)
        settings = self.model.settings
        return Speech(
            waveform=answer.waveform,
            sample_rate=self.model.sample_rate,
            seed=seed,
            text=text or "",
            units=answer.units,
            codes=answer.codes,
            written=answer.text,
            timings=timer.timings(),
            model=settings.name,
            model_hash=self.model.hash,
            voice="" if voice is None else voice.name,
            settings={"speak": speak, **asdict(settings.sampling)},
        )
