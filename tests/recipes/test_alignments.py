"""Alignments of a corpus: by the recogniser's recogniser or the corpus's durations, found once."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from uslm.voices.alignment import align_ctc
from uslm_recipes.data.alignments import Alignments, align
from uslm_tokenizer.codecs.unit_tokenizer.model import UnitTokenizer

TEXTS = [[3, 4, 4], [5, 6], list(range(1, 31))]
"""The last does not fit its frames."""


def units(index: int) -> Tensor:
    return torch.randint(32, (12,), generator=torch.Generator().manual_seed(index))


def made_up(durations: list[float] | None = None) -> tuple[Any, Any]:
    """A corpus of three utterances of 12 frames, and its tokens; the first may know durations."""
    corpus = SimpleNamespace(
        headers=[{"sha": "c"}],
        check_phonemes=lambda *_: None,
        sample_rate=16_000,
        text_ids=[np.array(text) for text in TEXTS],
        utterances=[SimpleNamespace(durations=durations if n == 0 else None) for n in range(3)],
    )
    header = SimpleNamespace(tokenizer="t", hop_length=320)
    tokens = SimpleNamespace(header=header, codes=lambda index: units(index)[None])
    return corpus, tokens


def found(folder: Path, recognizer: Any, durations: list[float] | None = None) -> Alignments:
    return align(*made_up(durations), recognizer, np.arange(3), folder)


@pytest.fixture
def recognizer() -> UnitTokenizer:
    return UnitTokenizer(UnitTokenizer.tiny_config()).eval()


def test_each_symbol_begins_where_the_recogniser_finds_it(
    recognizer: UnitTokenizer, tmp_path: Path
) -> None:
    alignments = found(tmp_path, recognizer)
    assert 2 not in alignments
    for index in (0, 1):
        with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
            logits = recognizer.phoneme_logits(units(index)[None])[0]
        assert alignments[index].tolist() == align_ctc(logits, TEXTS[index])


def test_durations_of_the_corpus_are_taken_where_it_has_them(
    recognizer: UnitTokenizer, tmp_path: Path
) -> None:
    # Silence, three symbols, and what is after them.
    alignments = found(tmp_path, recognizer, [0.04, 0.1, 0.02, 0.05, 0.03])
    assert alignments[0].tolist() == [2, 7, 8]


def test_they_are_found_once(recognizer: UnitTokenizer, tmp_path: Path) -> None:
    first = found(tmp_path, recognizer)
    again = found(tmp_path, None)
    assert [again[index].tolist() for index in (0, 1)] == [first[i].tolist() for i in (0, 1)]


def test_the_recogniser_may_lie_on_another_device(
    recognizer: UnitTokenizer, tmp_path: Path, fake_device: torch.device
) -> None:
    here = found(tmp_path / "here", recognizer)
    there = found(tmp_path / "there", recognizer.to(fake_device))
    assert [there[index].tolist() for index in (0, 1)] == [here[i].tolist() for i in (0, 1)]
