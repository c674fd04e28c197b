"""Acoustic BPE: exact, by hand, the most frequent pair first; mistakes."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from uslm_tokenizer.config import from_dict, to_dict
from uslm_tokenizer.errors import ConfigError, UserError
from uslm_tokenizer.sequence.bpe import AcousticBPE, AcousticBPEConfig


def learnt(vocab_size: int = 12) -> AcousticBPE:
    rows = [torch.tensor([4, 4, 9, 4, 4, 9, 7]), torch.tensor([4, 4, 9])]
    return AcousticBPE.learn(rows, 10, vocab_size)


def test_merges_by_hand() -> None:
    bpe = learnt()
    assert bpe.config.merges == ((4, 4), (10, 9)) and bpe.vocab_size == 12
    assert bpe.encode(torch.tensor([4, 4, 9, 4, 4, 9, 7])).tolist() == [11, 11, 7]
    assert bpe.encode(torch.tensor([4, 4, 4, 9])).tolist() == [10, 4, 9]
    assert bpe.decode(torch.tensor([11, 10, 7])).tolist() == [4, 4, 9, 4, 4, 7]


def test_it_ends_where_no_pair_comes_twice() -> None:
    """11 11 and 11 7 come once each: nothing more is to be learnt."""
    assert learnt(100).vocab_size == 12


def test_a_run_counts_as_often_as_it_can_be_merged() -> None:
    """1 1 1 1 holds two pairs, not three: 2 3 comes more often."""
    rows = [torch.tensor([1, 1, 1, 1]), torch.tensor([2, 3, 0, 2, 3, 5, 2, 3])]
    assert AcousticBPE.learn(rows, 6, 7).config.merges == ((2, 3),)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.integers(0, 9), max_size=60))
def test_nothing_is_lost(units: list[int]) -> None:
    bpe, row = learnt(), torch.tensor(units, dtype=torch.long)
    tokens = bpe.encode(row)
    assert torch.equal(bpe.decode(tokens), row) and len(tokens) <= len(row)


def test_its_config_can_be_saved() -> None:
    config = learnt().config
    assert from_dict(AcousticBPEConfig, to_dict(config)) == config


def test_mistakes_are_told() -> None:
    with pytest.raises(UserError, match="unit corpus to learn BPE from must not be empty"):
        AcousticBPE.learn([torch.zeros(0, dtype=torch.long)], 10, 12)
    with pytest.raises(UserError, match="vocab_size must be at least 10, the units, but is 9"):
        AcousticBPE.learn([torch.tensor([1])], 10, 9)
    with pytest.raises(UserError, match="units must be below 10, but reach 10"):
        AcousticBPE.learn([torch.tensor([10])], 10, 12)
    with pytest.raises(UserError, match=r"units must lie in \[0, 10\), but reach from 2 to 10"):
        learnt().encode(torch.tensor([2, 10]))
    with pytest.raises(UserError, match=r"tokens must lie in \[0, 12\)"):
        learnt().decode(torch.tensor([12]))
    with pytest.raises(ConfigError, match=r"merge 0 of \(3, 10\) is not below 10"):
        AcousticBPEConfig(num_units=10, merges=((3, 10),))
