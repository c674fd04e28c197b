"""The list of segments: every digit of a seed, no HTML of others."""

from __future__ import annotations

from uslm.output.speech import SegmentReport
from uslm.synthesis.long_form_job import Line
from uslm_demo.widgets.segments import NOTHING, progress, report

SEGMENT = SegmentReport(
    index=1,
    text="<script>",
    phonemes="",
    start_seconds=0.5,
    end_seconds=1.25,
    seed=9007199254740993,
    attempts=2,
    phoneme_error_rate=0.125,
    stop_reason="loop",
)


def test_a_report_says_how_it_went() -> None:
    html = report([SEGMENT], 3)
    for words in (
        "1 of 3 segments done",
        'aria-valuemax="3" aria-valuenow="1"',
        "&lt;script&gt;",
        "0.50 to 1.25 s · phoneme error rate 12% · drawn 2 times",
        "stopped: it repeated itself",
    ):
        assert words in html, words
    assert "<script" not in html
    assert "<button" not in html
    assert report([]) == NOTHING


def test_progress_says_how_far_it_is() -> None:
    waiting = Line(index=0, text="a", voice="v<", pause_seconds=0.5, report=None)
    done = Line(index=1, text="b", voice="w", pause_seconds=0.0, report=SEGMENT)
    silent = Line(index=2, text="***", voice="", pause_seconds=0.0, report=None)
    html = progress([waiting, done, silent], [0])
    assert "2 of 3 segments done" in html
    assert "speaking … · rest 0.5 s" in html
    assert html.count("<button") == 2
    assert 'data-action="redo" data-index="1"' in html
    assert "v&lt;" in html
    again = progress([done], [1])
    assert "speaking again" in again
    assert "<button" not in again
    assert "w</b>" not in again  # it is the only voice
