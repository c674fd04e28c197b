"""One model that speaks texts, converts recordings and sings scores, in a voice that is given."""

from os import PathLike

import torch

from uslm.conversion import VoiceConverter
from uslm.output.speech import Speech, first_codebook
from uslm.synthesis.protocols import Singer, Synthesizer
from uslm.synthesis.seeds import resolve_seed
from uslm.synthesis.timer import StageTimer
from uslm.systems.loading import as_converter, load_synthesizer
from uslm.text.score import Score
from uslm.text.score_files import read_score
from uslm.tts import ZeroShotTTS
from uslm.voices.prompt import VoicePrompt
from uslm.voices.stock import DEFAULT_STOCK_VOICE
from uslm_tokenizer.audio.given import AudioInput
from uslm_tokenizer.errors import UserError


class MakeAVoice:
    """The same weights in all three. Nothing in it changes after loading: one object may serve
    several threads."""

    def __init__(self, model: Synthesizer) -> None:
        """UserError unless the model converts and sings as well."""
        if not isinstance(model, Singer):
            raise UserError(
                f"model {model.settings.name!r} does not sing; train one that does with "
                "train_make_a_voice"
            )
        self.model: Synthesizer = model
        self._singer: Singer = model
        self._tts = ZeroShotTTS(model)
        self._converter = VoiceConverter(as_converter(model), self._tts.frontend)

    @classmethod
    def from_pretrained(
        cls,
        name_or_path: str | PathLike[str],
        *,
        device: str | torch.device = "cpu",
        dtype: torch.dtype | str | None = None,
    ) -> "MakeAVoice":
        """A folder of `train_make_a_voice`."""
        return cls(load_synthesizer(name_or_path, device=device, dtype=dtype))

    def create_voice(
        self,
        audio: AudioInput,
        text: str | None = None,
        *,
        sample_rate: int | None = None,
        name: str | None = None,
    ) -> VoicePrompt:
        """A voice from a recording, as of `ZeroShotTTS.create_voice`."""
        return self._tts.create_voice(audio, text, sample_rate=sample_rate, name=name)

    def stock_voice(self, name: str = DEFAULT_STOCK_VOICE) -> VoicePrompt:
        """A voice that comes with the package, as of `ZeroShotTTS.stock_voice`."""
        return self._tts.stock_voice(name)

    def speak(self, text: str, voice: VoicePrompt, *, seed: int | None = None) -> Speech:
        """The text in the voice."""
        return self._tts.generate(text, voice, seed=seed)

    def convert(
        self,
        audio: AudioInput,
        voice: VoicePrompt,
        *,
        sample_rate: int | None = None,
        seed: int | None = None,
    ) -> Speech:
        """The words of a recording, at its pace, in the voice."""
        return self._converter.convert(audio, voice, sample_rate=sample_rate, seed=seed)

    def sing(
        self,
        score: Score | str | PathLike[str],
        voice: VoicePrompt,
        *,
        lyrics: str | None = None,
        transpose: float = 0.0,
        seed: int | None = None,
    ) -> Speech:
        """The score, or that of a MIDI or MusicXML file, in the voice.

        `lyrics` take the place of the score's own, a syllable for each note: `Twin-kle lit-tle
        star`, and `_` for a note that holds the syllable before. `transpose` moves all notes by
        half-tones.
        """
        score = score if isinstance(score, Score) else read_score(score)
        score = score if lyrics is None else score.with_lyrics(lyrics)
        score = score.transposed(transpose) if transpose else score
        seed, timer = resolve_seed(seed), StageTimer()
        sung = self._singer.sing(score, voice, seed, timer, self._tts.frontend)
        return Speech(
            waveform=sung.waveform,
            sample_rate=self.model.sample_rate,
            seed=seed,
            text=score.lyrics,
            units=first_codebook(sung.codes),
            codes=sung.codes,
            timings=timer.timings(),
            model=self.model.settings.name,
            model_hash=self.model.hash,
            voice=voice.name,
            settings={"transpose": transpose},
        )
