"""Remarks on segments after speaking: each says what is known of it, and nothing else."""

from __future__ import annotations

from typing import Any

import pytest

from uslm.output.segment_report import SegmentReport
from uslm_app.actions.speaking import remark_on


@pytest.mark.parametrize(
    ("facts", "said"),
    [
        ({}, ""),
        ({"stop_reason": "silent"}, "was left out: it has nothing that can be spoken"),
        (
            {"attempts": 3, "phoneme_error_rate": 0.25},
            "was drawn 3 times; in the best 25% of its sounds are heard wrongly",
        ),
        ({"stop_reason": "length"}, "had to be stopped (length); listen to it"),
        # Nobody listened: the model itself has redrawn what repeated itself.
        (
            {"attempts": 2},
            "was drawn 2 times, as it repeated itself or did not end; listen to it",
        ),
        (
            {"attempts": 3, "stop_reason": "loop"},
            "had to be stopped (loop); it was drawn 3 times; listen to it",
        ),
    ],
)
def test_each_remark(facts: dict[str, Any], said: str) -> None:
    known: dict[str, Any] = {
        "index": 1, "text": "Hello.", "phonemes": "", "start_seconds": 0.0, "end_seconds": 1.0,
        "seed": 0, "stop_reason": "end",
    }  # fmt: skip
    remark = remark_on(SegmentReport(**(known | facts)))
    assert remark == (f"segment 2 ('Hello.') {said}" if said else "")
