"""Times of a text's words in a recording of it, by the recogniser of a tokenizer of ours."""

from collections.abc import Callable

from jaxtyping import Float
from torch import Tensor

from uslm.voices.alignment import align_ctc
from uslm.voices.length import AlignedWord
from uslm.voices.verification import find_recognizer
from uslm_tokenizer.base import AudioTokenizer
from uslm_tokenizer.errors import TextError

PhonemeIds = Callable[[str], list[int]]
"""The phonemes of a text, in the ids that the recogniser speaks; TextError where it has none."""


class WordAligner:
    """Finds the words of a text in a waveform of the tokenizer's rate; the `Align` of prompt
    preprocessing."""

    def __init__(self, tokenizer: AudioTokenizer, phoneme_ids: PhonemeIds) -> None:
        self.tokenizer, self._phoneme_ids = tokenizer, phoneme_ids

    def __call__(self, waveform: Float[Tensor, "1 n"], text: str) -> list[AlignedWord]:
        """Each word with the beginnings of its first and after its last phoneme, in seconds.

        Empty where the tokenizer has no recogniser, and where the text does not fit into the
        waveform.
        """
        listener, tokenizer = find_recognizer(self.tokenizer), self.tokenizer
        words = [(word, self._ids(word)) for word in text.split()]
        ids = [phoneme for _, word_ids in words for phoneme in word_ids]
        if listener is None or not ids or not waveform.shape[-1]:
            return []
        units = listener.encode(waveform[None].to(tokenizer.device))[:, 0]
        starts = align_ctc(listener.phoneme_logits(units)[0], ids)
        if not starts:
            return []
        aligned: list[AlignedWord] = []
        place = 0
        for word, word_ids in words:
            first, place = place, place + len(word_ids)
            last = max(first, place - 1)
            # A phoneme's end is not known; the beginning of a word's last one is near enough.
            begin, end = (starts[min(i, len(starts) - 1)] for i in (first, last))
            aligned.append((word, begin / tokenizer.frame_rate, (end + 1) / tokenizer.frame_rate))
        return aligned

    def _ids(self, word: str) -> list[int]:
        try:
            return self._phoneme_ids(word)
        except TextError:  # a lone sign
            return []
