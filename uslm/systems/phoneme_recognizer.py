"""The recogniser of systems that have none: that of the default model, for any speech."""

import functools

from jaxtyping import Float
from torch import Tensor

from uslm.models.folders import resolve_bundle
from uslm.text.frontend import TextFrontend
from uslm.voices.length import AlignedWord
from uslm.voices.phoneme_error_rate import PHONEMES, phoneme_error_rate
from uslm.voices.verification import VerificationResult, recognize_phonemes, recognizer
from uslm.voices.word_times import WordAligner
from uslm_tokenizer.audio.read import Audio
from uslm_tokenizer.base import AudioTokenizer
from uslm_tokenizer.registry import load_tokenizer


class PhonemeRecognizer:
    """Recognises phonemes, in our own symbols, whatever symbols the system reads.

    Raises UserError if the tokenizer cannot recognise phonemes.
    """

    def __init__(self, tokenizer: AudioTokenizer, language: str = "en-us") -> None:
        recognizer(tokenizer)
        self.tokenizer = tokenizer
        self._frontend = TextFrontend(language=language)

    def phoneme_ids(self, text: str) -> list[int]:
        """The phonemes of a text. Raises TextError where it has none."""
        return list(self._frontend(text).text_ids)

    def recognize(self, audio: Audio) -> list[int]:
        """The phonemes of a recording."""
        return recognize_phonemes(
            self.tokenizer, audio.resampled(self.tokenizer.sample_rate).waveform
        )

    def phonemes(self, audio: Audio) -> str:
        """The same, to be read."""
        return PHONEMES.decode(self.recognize(audio))

    def align(self, audio: Audio, text: str) -> list[AlignedWord]:
        """Aligned words of a text; empty where they cannot be found."""
        waveform = audio.resampled(self.tokenizer.sample_rate).waveform
        return WordAligner(self.tokenizer, self.phoneme_ids)(waveform, text)

    def verify(self, audio: Audio, text: str, stop_reason: str) -> VerificationResult:
        """The verification of a text."""
        error_rate = phoneme_error_rate(self.phoneme_ids(text), self.recognize(audio))
        return VerificationResult(error_rate=error_rate, stop_reason=stop_reason)

    def aligner(self, sample_rate: int) -> "_Aligner":
        """`align` for waveforms of one rate; the prompt preprocessing's `Align`."""
        return _Aligner(self, sample_rate)


class _Aligner:
    def __init__(self, recognizer: PhonemeRecognizer, sample_rate: int) -> None:
        self._recognizer, self._sample_rate = recognizer, sample_rate

    def __call__(self, waveform: Float[Tensor, "1 n"], text: str) -> list[AlignedWord]:
        return self._recognizer.align(Audio(waveform, self._sample_rate), text)


@functools.cache
def default_recognizer(language: str = "en-us") -> PhonemeRecognizer:
    """That of the model that comes with the package. Raises MissingResource if it does not."""
    return PhonemeRecognizer(load_tokenizer(resolve_bundle("default") / "tokenizer"), language)
