"""Patches: every unit in one, in order; words and silences by hand; the curriculum's shares."""

import pytest
import torch

from uslm_tokenizer.errors import ConfigError, UserError
from uslm_tokenizer.sequence.patches import (
    PatchingConfig,
    aligned_patches,
    static_patches,
    word_starts,
)


def test_static_and_aligned_patches_by_hand() -> None:
    assert static_patches(8, 3).tolist() == [0, 0, 0, 1, 1, 1, 2, 2]
    assert aligned_patches([0, 2, 5], 8).tolist() == [0, 0, 1, 1, 1, 2, 2, 2]
    assert static_patches(3, 1).tolist() == [0, 1, 2]
    assert aligned_patches([], 0).tolist() == []


@pytest.mark.parametrize("starts", [[], [1, 3], [0, 3, 3], [0, 4, 2], [0, 8]])
def test_patches_that_do_not_cover_the_speech_are_refused(starts: list[int]) -> None:
    with pytest.raises(UserError, match="rise to below 8, the units of the speech, but begin at"):
        aligned_patches(starts, 8)


PAUSE, COMMA = 0, 1


@pytest.mark.parametrize(
    ("ids", "starts", "wanted"),
    [
        # silence, a word of two symbols, a short pause that goes with it, a word, a long pause
        ([5, 6, 0, 7, 0, 8], [3, 5, 8, 9, 12, 20], [0, 3, 9, 12, 20]),
        # comma and space make one silence; words without a pause between them are two
        ([5, 1, 0, 6, 0, 7], [0, 2, 3, 8, 10, 10], [0, 2, 8, 10]),
        # a silence at the end; a short one there belongs to the word
        ([5, 0], [0, 10], [0, 10]),
        ([5, 0], [0, 23], [0]),
        ([5], [2], [0, 2]),
    ],
)
def test_words_and_silences_by_hand(ids: list[int], starts: list[int], wanted: list[int]) -> None:
    found = word_starts(ids, starts, 25, pauses={PAUSE, COMMA}, min_silence=4)
    assert found == wanted
    assert len(aligned_patches(found, 25)) == 25


def test_starts_of_other_symbols_are_refused() -> None:
    with pytest.raises(UserError, match="one for each of 2 symbols, but are 1"):
        word_starts([5, 6], [0], 9, pauses=(), min_silence=4)


def test_the_curriculum_goes_from_aligned_to_static() -> None:
    config = PatchingConfig(way="curriculum", curriculum=(0.25, 0.75))
    shares = [config.share_aligned(f) for f in (0.0, 0.25, 0.5, 0.75, 1.0)]
    assert shares == pytest.approx([1, 1, 0.5, 0, 0])
    assert PatchingConfig(way="static").share_aligned(0.0) == 0
    assert PatchingConfig(way="aligned").share_aligned(1.0) == 1
    assert PatchingConfig(way="mixed").share_aligned(0.3) == 0.5


def test_bad_configs_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"patching\.size must be at least 1, but is 0"):
        PatchingConfig(size=0)
    with pytest.raises(ConfigError, match="two rising shares of the run, but is"):
        PatchingConfig(curriculum=(0.7, 0.2))


def test_a_patching_is_a_tensor_of_numbers() -> None:
    assert static_patches(4, 2).dtype == aligned_patches([0], 4).dtype == torch.long
