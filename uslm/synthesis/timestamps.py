"""Times of words: a stream of speech is processed, segment by segment, as it goes by.

Each segment's place in the whole is a count of samples, and its words are looked for inside it: so
times do not drift, however long the text is.
"""

from collections.abc import Iterable, Iterator
from dataclasses import replace

import torch
from jaxtyping import Float
from torch import Tensor

from uslm.models.folders import resolve_bundle
from uslm.output.speech import AudioChunk, SegmentReport, Word
from uslm.synthesis.protocols import FrontEnd, Synthesizer
from uslm.text.frontend import TextFrontend
from uslm.voices.verification import find_recognizer
from uslm.voices.word_times import WordAligner
from uslm_tokenizer.audio.read import resample
from uslm_tokenizer.registry import load_tokenizer

LEAD_SECONDS = 0.05
"""The default model's recogniser finds a phoneme so much before it begins (median over 294 words
whose times are known; half of them within 13 ms of it)."""


def word_aligner(synthesizer: Synthesizer, frontend: FrontEnd) -> WordAligner:
    """The model's own; for another system's speech, that of the default model."""
    own = synthesizer.word_aligner(frontend)
    if own is not None:
        return own
    tokenizer = synthesizer.tokenizer
    if tokenizer is None or find_recognizer(tokenizer) is None:
        tokenizer = load_tokenizer(resolve_bundle("default") / "tokenizer")
    words = TextFrontend(language=frontend.language)
    return WordAligner(tokenizer, lambda word: list(words(word).text_ids))


def timed(chunks: Iterable[AudioChunk], align: WordAligner) -> Iterator[AudioChunk]:
    """The same stream; the report of each segment says when its words are said.

    Where the words cannot be found, as in a segment that had to be stopped, there are none.
    """
    held, start = torch.zeros(1, 0), 0  # samples since the end of the last segment, and its place
    for chunk in chunks:
        held = torch.cat([held, chunk.waveform], dim=1)
        if chunk.report is None:
            yield chunk
            continue
        rate = chunk.sample_rate
        first, end = (
            round(seconds * rate) - start
            for seconds in (chunk.report.start_seconds, chunk.report.end_seconds)
        )
        words = _words(held[:, first:end], rate, chunk.report, align)
        yield replace(chunk, report=replace(chunk.report, words=words))
        held, start = held[:, end:], start + end


def _words(
    waveform: Float[Tensor, "1 n"], sample_rate: int, report: SegmentReport, align: WordAligner
) -> tuple[Word, ...]:
    if report.stop_reason == "silent":
        return ()
    resampled = resample(waveform, sample_rate, align.tokenizer.sample_rate)
    aligned = align(resampled, report.text)
    if not aligned:
        return ()
    seconds = report.end_seconds - report.start_seconds
    begins = [min(begin + LEAD_SECONDS, seconds) for _, begin, _ in aligned]
    words: list[Word] = []
    for (text, _, end), begin, following in zip(
        aligned, begins, [*begins[1:], seconds], strict=True
    ):
        end = max(begin, min(end + LEAD_SECONDS, following))
        word = Word(
            text=text,
            start_seconds=report.start_seconds + begin,
            end_seconds=report.start_seconds + end,
        )
        words.append(word)
    return tuple(words)
