"""Comparing what was said with what was recognised: phonemes, without stress, length and
punctuation."""

from collections.abc import Sequence

from uslm.text.vocab import PHONEME_SYMBOLS, PhonemeVocab
from uslm_tokenizer.sequence.edit_distance import edit_distance

PHONEMES = PhonemeVocab()
"""The symbols that every recogniser of ours speaks."""

INAUDIBLE = frozenset(PHONEME_SYMBOLS.index(sign) + 1 for sign in " !,.:;?ˈˌː\u0329")
"""Ids of signs that no sound of their own belongs to."""


def audible(phoneme_ids: Sequence[int]) -> list[int]:
    """The ids that stand for sounds."""
    return [phoneme for phoneme in phoneme_ids if phoneme and phoneme not in INAUDIBLE]


def phoneme_error_rate(wanted: Sequence[int], recognized: Sequence[int]) -> float:
    """Edits that turn what was recognised into what was wanted, for each wanted sound."""
    wanted, recognized = audible(wanted), audible(recognized)
    if not wanted:
        return float(bool(recognized))
    return edit_distance(recognized, wanted) / len(wanted)
