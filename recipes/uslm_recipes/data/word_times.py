"""Times of an utterance's words: from the durations that a corpus has, else from a recogniser."""

from __future__ import annotations

from collections.abc import Sequence

from uslm.text.frontend import TextFrontend
from uslm.text.vocab import PhonemeVocab
from uslm.voices.length import AlignedWord
from uslm.voices.verification import find_recognizer
from uslm.voices.word_times import WordAligner
from uslm_recipes.data.corpus import Corpus
from uslm_recipes.data.corpus_format import Utterance
from uslm_recipes.data.transcripts import ids_of_symbol
from uslm_tokenizer.errors import ConfigError
from uslm_tokenizer.registry import load_tokenizer

Span = tuple[float, float]
"""Beginning and end, seconds."""


def load_aligner(recognizer: str) -> WordAligner:
    """A codec that recognises phonemes, as one that finds words. ConfigError for any other."""
    front_end, tokenizer = TextFrontend(), load_tokenizer(recognizer)
    if find_recognizer(tokenizer) is None:
        raise ConfigError(
            f"language.recognizer must name a codec that recognises phonemes, but {recognizer} is "
            f"a {tokenizer.model_type}"
        )
    return WordAligner(tokenizer, lambda word: list(front_end(word).text_ids))


def words_of(corpus: Corpus, index: int, aligner: WordAligner | None) -> list[AlignedWord]:
    """Each word of the text with the seconds in which it is said; none where it has no text, or
    where the text does not fit the speech. ConfigError where a recogniser is needed."""
    row = corpus.utterances[index]
    if not row.text.strip():
        return []
    if row.durations is not None:
        return on_groups(row.text.split(), spoken_groups(row))
    if aligner is None:
        raise ConfigError(
            f"language.recognizer must name a codec that recognises phonemes: {row.id} has no "
            "durations"
        )
    rate = aligner.tokenizer.sample_rate
    if rate != corpus.sample_rate:
        raise ConfigError(
            f"language.recognizer must have {corpus.sample_rate} Hz, but has {rate} Hz"
        )
    return aligner(corpus.waveform(index)[None], row.text)


def spoken_groups(row: Utterance) -> list[tuple[int, Span]]:
    """Phonemes that stand between two spaces: how many they are, and when they sound.

    The durations are those of the text ids, some of which (spaces, punctuation) a corpus leaves
    out and gives their time to the phoneme before.
    """
    assert row.durations is not None
    encode, groups = PhonemeVocab().encode, list[tuple[int, Span]]()
    time, place, size, start = row.durations[0], 0, 0, row.durations[0]
    for symbol in [*row.phonemes, " "]:
        ids = tuple(ids_of_symbol(symbol, encode))
        if symbol.isspace() and size:
            groups.append((size, (start, time)))
        if ids and ids == row.text_ids[place : place + len(ids)]:
            time += sum(row.durations[place + 1 : place + 1 + len(ids)])
            place += len(ids)
        if symbol.isspace():
            size, start = 0, time
        else:
            size += len(ids) > 0
    return groups


def on_groups(words: Sequence[str], groups: Sequence[tuple[int, Span]]) -> list[AlignedWord]:
    """Words on groups of phonemes, in order: one on each where they are as many.

    Else ('of the' is said as one, '1990' as several) a word lies in the group where its middle
    falls, counted in letters there and in phonemes here; words that share a group share its time.
    """
    if not groups:
        return []
    if len(words) == len(groups):
        return [(word, *span) for word, (_, span) in zip(words, groups, strict=True)]
    ends = _shares([size for size, _ in groups])
    letters = _shares([len(word) for word in words])
    middles = [(a + b) / 2 for a, b in zip([0.0, *letters], letters, strict=False)]
    homes = [min(sum(end < middle for end in ends), len(groups) - 1) for middle in middles]
    found = []
    for number, (word, home) in enumerate(zip(words, homes, strict=True)):
        beside = [n for n, other in enumerate(homes) if other == home]
        begin, end = groups[home][1]
        step = (end - begin) / len(beside)
        first = begin + step * beside.index(number)
        found.append((word, first, first + step))
    return found


def _shares(sizes: Sequence[int]) -> list[float]:
    """The end of each, the whole being 1."""
    total, whole, ends = 0, max(1, sum(sizes)), []
    for size in sizes:
        total += size
        ends.append(total / whole)
    return ends
