"""Word and character error rate: what a recogniser gave, against what should have been said."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from jaxtyping import Float
from torch import Tensor

from uslm_tokenizer.errors import EnvironmentProblem, TextError

Recognizer = Callable[[Sequence[Float[Tensor, " _"]]], list[str]]
"""Waveforms of 16 kHz -> what is said in each."""
Normalizer = Callable[[str], str]
"""Makes two ways of writing the same words equal."""


@dataclass(frozen=True, kw_only=True)
class WordErrors:
    """Both texts of one utterance, normalised, and how far they are apart."""

    reference: str
    """What should have been said."""
    hypothesis: str
    """What was heard."""
    word_errors: int
    """Words inserted, deleted or replaced."""
    words: int
    """Words of the reference."""
    character_errors: int
    """The same of characters."""
    characters: int
    """Characters of the reference."""

    @property
    def wer(self) -> float:
        """Word errors for each word of the reference; may exceed 1."""
        return self.word_errors / self.words


def count_errors(reference: str, hypothesis: str, normalize: Normalizer) -> WordErrors:
    """Compare one utterance. Raises TextError if the reference holds no words."""
    jiwer = _jiwer()
    wanted, recognized = normalize(reference), normalize(hypothesis)
    if not wanted.split():
        raise TextError(f"a reference must have words, but {reference!r} has none")
    by_word = jiwer.process_words(wanted, recognized)
    by_character = jiwer.process_characters(wanted, recognized)
    return WordErrors(
        reference=wanted,
        hypothesis=recognized,
        word_errors=_errors(by_word),
        words=_length(by_word),
        character_errors=_errors(by_character),
        characters=_length(by_character),
    )


def _errors(counts: Any) -> int:
    return int(counts.substitutions + counts.deletions + counts.insertions)


def _length(counts: Any) -> int:
    return int(counts.hits + counts.substitutions + counts.deletions)


def _jiwer() -> Any:
    try:
        import jiwer
    except ImportError as problem:
        raise EnvironmentProblem("error rates need jiwer: pip install 'uslm[eval]'") from problem
    return jiwer
