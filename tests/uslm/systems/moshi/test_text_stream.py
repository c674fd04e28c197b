"""Words in time: what is written is what was said, and what does not fit is refused."""

from __future__ import annotations

import pytest
import torch

from uslm.systems.moshi.text_stream import Word, WordFeeder, spoken_tokens, text_stream
from uslm_tokenizer.errors import UserError

PAD, END = 3, 0


def written(words: list[Word], num_frames: int) -> list[int]:
    return text_stream(words, num_frames, 12.5, pad_id=PAD, end_pad_id=END).tolist()


def test_the_picture_of_the_docstring() -> None:
    words = [Word((12, 7), 2 / 12.5), Word((31,), 7 / 12.5)]
    assert written(words, 8) == [PAD, END, 12, 7, PAD, PAD, END, 31]


def test_a_word_without_room_follows_at_once() -> None:
    words = [Word((5, 6, 7), 0.0), Word((8,), 0.08), Word((9,), 5 / 12.5)]
    assert written(words, 6) == [5, 6, 7, 8, END, 9]


@pytest.mark.parametrize("seed", range(20))
def test_all_words_are_recovered_from_the_stream(seed: int) -> None:
    source = torch.Generator().manual_seed(seed)
    starts = (torch.rand(6, generator=source) * 4).sort().values.tolist()
    lengths = torch.randint(1, 5, (6,), generator=source).tolist()
    words = [
        Word(tuple(range(10 * i + 10, 10 * i + 10 + n)), start)
        for i, (n, start) in enumerate(zip(lengths, starts, strict=True))
    ]
    stream = text_stream(words, 80, 12.5, pad_id=PAD, end_pad_id=END)
    found = spoken_tokens(stream, pad_id=PAD, end_pad_id=END)
    assert [token for _, token in found] == [token for word in words for token in word.tokens]
    first = {token: frame for frame, token in found}
    for word in words:
        assert first[word.tokens[0]] >= int(word.start_seconds * 12.5)
    for frame in (stream == END).nonzero().flatten().tolist():
        assert int(stream[frame + 1]) not in (PAD, END)  # a word does follow


def test_what_does_not_fit_is_named() -> None:
    with pytest.raises(UserError, match=r"fit its 4 frames, but word 1.* 0.16 s, ends in frame 5"):
        written([Word((5,), 0.0), Word((6, 7, 8), 0.16)], 4)
    with pytest.raises(UserError, match=r"word 1 begins at 0.1 s, and one before it at 0.5 s"):
        written([Word((5,), 0.5), Word((6,), 0.1)], 20)
    with pytest.raises(UserError, match="word 0 must not hold padding, 3 or 0"):
        written([Word((5, 3), 0.0)], 20)


def test_words_are_fed_when_they_are_asked_for_and_at_last_unasked() -> None:
    feeder = WordFeeder([(5, 6), (7,), (8,)], PAD, END, max_padding=2, initial_padding=1)
    asked = [END, END, 9, END, END, PAD, END, PAD, PAD, PAD, PAD, PAD]
    found = [feeder.feed(wanted) for wanted in asked]
    #        waits  fed    ...  asked: fed    nobody asks: after two frames it is fed
    assert found == [PAD, END, 5, 6, END, 7, END, 8, PAD, PAD, PAD, PAD]
    feeder = WordFeeder([(5,), (6,)], PAD, END, max_padding=2, initial_padding=0)
    assert [feeder.feed(PAD) for _ in range(9)] == [PAD, PAD, END, 5, PAD, PAD, END, 6, PAD]
    assert feeder.is_over
