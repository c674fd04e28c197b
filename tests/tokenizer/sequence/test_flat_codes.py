"""Codes of several codebooks as one sequence: each code in its place, and back."""

from __future__ import annotations

import pytest
import torch

from uslm_tokenizer.errors import UserError
from uslm_tokenizer.sequence.flat_codes import flatten_codes, unflatten_codes


def test_frames_stand_one_after_the_other_and_codebooks_have_ids_of_their_own() -> None:
    codes = torch.tensor([[0, 1, 2], [0, 3, 1]])
    tokens = flatten_codes(codes, 4)
    assert tokens.tolist() == [0, 4, 1, 7, 2, 5]
    assert torch.equal(unflatten_codes(tokens, 2, 4), codes)


@pytest.mark.parametrize("tokens", [[0, 4, 1], [0, 0], [4, 0], [0, 8], [-1, 4]])
def test_what_are_no_whole_frames_is_refused(tokens: list[int]) -> None:
    with pytest.raises(UserError, match=r"(whole frames of 2|2) codebooks"):
        unflatten_codes(torch.tensor(tokens), 2, 4)
