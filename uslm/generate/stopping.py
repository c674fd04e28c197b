"""Rules of when stage 1 may end, and when it must; no PyTorch is needed."""

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, kw_only=True)
class StopRule:
    """Limits between which a row may end, and after which it must."""

    min_frames: int
    """The EOS token is not drawn before this many units."""
    max_frames: int
    """The row is cut here."""
    max_run: int = 25
    """A unit is not repeated more often than this in a row (silence that does not end)."""
    loop_length: int = 40
    """The row is cut when its last so many units repeat the so many before them."""
    end_if_likeliest: bool = False
    """Whether the EOS token need not be drawn: it is enough that nothing is likelier."""


@dataclass(eq=False)
class SpokenUnits:
    """Units that stage 1 has said so far of one text."""

    units: list[int] = field(default_factory=list)
    text_positions: list[int] = field(default_factory=list)
    """Index of the symbol that each unit is of, in all that stage 1 reads; empty if it does not
    know."""
    pitches: list[int] = field(default_factory=list)
    """Pitch of each unit, relative to the voice; empty if stage 1 draws none."""
    streams: list[list[int]] = field(default_factory=list)
    """What a stage 1 of several streams drew beside each unit; empty of one stream."""
    stop_reason: str | None = None
    """`end` (the model ended), `length` (cut at max_frames), `loop`; None while it speaks."""


def forbid(logits: Any, units: list[int], stop: StopRule, end: int) -> None:
    """Close the ways that the rule does not allow next; changes `logits` of one row, a tensor
    or an array, in place."""
    if len(units) < stop.min_frames:
        logits[end] = float("-inf")
    run = units[-stop.max_run :]
    if len(run) == stop.max_run and len(set(run)) == 1:
        logits[run[0]] = float("-inf")
    if stop.end_if_likeliest and int(logits.argmax()) == end:
        logits[:end] = float("-inf")


def advance(
    row: SpokenUnits,
    unit: int,
    stop: StopRule,
    end: int,
    text_position: int | None = None,
    pitch: int | None = None,
    streams: list[int] | None = None,
) -> None:
    """Let a row say a unit, or stop."""
    if row.stop_reason:
        return
    if unit == end:
        row.stop_reason = "end"
        return
    row.units.append(unit)
    if text_position is not None:
        row.text_positions.append(text_position)
    if pitch is not None:
        row.pitches.append(pitch)
    if streams:
        row.streams.append(streams)
    n = stop.loop_length
    if len(row.units) >= 2 * n and row.units[-n:] == row.units[-2 * n : -n]:
        del row.units[-n:], row.text_positions[-n:], row.pitches[-n:], row.streams[-n:]
        row.stop_reason = "loop"
    elif len(row.units) >= stop.max_frames:
        row.stop_reason = "length"
