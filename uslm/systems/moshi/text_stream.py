"""Words and their times as a stream of text beside the codes: Moshi's inner monologue.

    frame     0    1    2    3    4    5    6    7
    words               |hello (2 tokens)     |you
    stream    PAD  EPAD  12   7   PAD  PAD  EPAD  31

A word's tokens stand from its first frame on, padding elsewhere, and the end of padding in the
frame before a word, where that is free (Defossez et al. 2024, section 3.4.4).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Int
from torch import Tensor

from uslm_tokenizer.errors import UserError


@dataclass(frozen=True)
class Word:
    """A word as a text tokenizer writes it, and when it begins."""

    tokens: tuple[int, ...]
    start_seconds: float


def text_stream(
    words: Sequence[Word],
    num_frames: int,
    frame_rate: float,
    *,
    pad_id: int,
    end_pad_id: int,
) -> Int[Tensor, " t"]:
    """The stream of so many frames.

    A word that begins before the tokens of the one before are over follows them at once. Raises
    UserError for words out of order, for tokens that are padding, and for text that does not end
    within the frames.
    """
    stream = torch.full((num_frames,), pad_id, dtype=torch.long)
    free, latest = 0, 0.0
    for number, word in enumerate(words):
        if word.start_seconds < latest:
            raise UserError(
                f"words must be in the order of their times, but word {number} begins at "
                f"{word.start_seconds:g} s, and one before it at {latest:g} s"
            )
        latest = word.start_seconds
        if {pad_id, end_pad_id} & {*word.tokens}:
            raise UserError(
                f"word {number} must not hold padding, {pad_id} or {end_pad_id}, but is "
                f"{list(word.tokens)}"
            )
        start = max(free, int(word.start_seconds * frame_rate))
        end = start + len(word.tokens)
        if end > num_frames:
            raise UserError(
                f"the text must fit its {num_frames} frames, but word {number}, which begins at "
                f"{word.start_seconds:g} s, ends in frame {end}"
            )
        if start > free:
            stream[start - 1] = end_pad_id
        stream[start:end] = torch.tensor(word.tokens, dtype=torch.long)
        free = end
    return stream


def spoken_tokens(
    stream: Int[Tensor, " t"], *, pad_id: int, end_pad_id: int
) -> list[tuple[int, int]]:
    """Frame and id of every token of a stream that is no padding."""
    is_text = (stream != pad_id) & (stream != end_pad_id)
    frames = is_text.nonzero().flatten().tolist()
    return [(frame, int(stream[frame])) for frame in frames]


@dataclass
class WordFeeder:
    """Gives a model the words to speak, each when the model asks for it.

    The model's text stream says only whether a word begins (end of padding) or not; what is
    written into the stream is then the word's tokens. So text is spoken without times
    (Zeghidour et al. 2025, Delayed Streams Modeling).
    """

    words: list[tuple[int, ...]]
    """What is still to be fed, as tokens."""
    pad_id: int
    end_pad_id: int
    max_padding: int = 6
    """Frames of padding in a row after which a word is fed unasked."""
    initial_padding: int = 2
    """Frames of padding before the first word."""
    tokens_left: list[int] | None = None
    """Tokens of the word that is being fed."""
    padded: int = 0
    """Frames of padding since the last token."""
    steps: int = 0
    """Frames fed so far."""

    @property
    def is_over(self) -> bool:
        """Whether all words have been fed."""
        return not self.words and not self.tokens_left

    def feed(self, wanted: int) -> int:
        """The token to write into the text stream; `wanted` is what the model drew there."""
        self.steps += 1
        if self.tokens_left:
            self.padded = 0
            return self.tokens_left.pop(0)
        waits = self.steps <= self.initial_padding
        asks = wanted == self.end_pad_id or self.padded >= self.max_padding
        if self.words and asks and not waits:
            self.tokens_left = list(self.words.pop(0))
            self.padded = 0
            return self.end_pad_id
        self.padded += 1
        return self.pad_id
