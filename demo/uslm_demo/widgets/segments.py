"""The segments of a text, how far each is, and buttons to hear or redo it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from html import escape

import gradio as gr

from uslm.output.speech import SegmentReport
from uslm.synthesis.long_form_job import Line
from uslm_demo.widgets.player import asset

ENDED = {
    "end": "",
    "length": "stopped: too long",
    "loop": "stopped: it repeated itself",
    "silent": "nothing to say",
}


@dataclass(frozen=True, kw_only=True)
class Row:
    """A segment, as it is shown."""

    index: int
    text: str
    state: str
    """waiting, speaking, done or silent."""
    details: tuple[str, ...] = ()
    voice: str = ""
    has_buttons: bool = False


NOTHING = '<p class="none">The segments of the text will be listed here.</p>'


def segments(label: str, *, elem_id: str) -> gr.HTML:
    """The list; its value comes from `report` or `progress`, its events are `listen` and `redo`."""
    return gr.HTML(
        NOTHING,
        label=label,
        elem_id=elem_id,
        container=True,
        css_template=asset("segments.css"),
        js_on_load=asset("segments.js"),
        apply_default_css=False,
    )


def report(segments: Sequence[SegmentReport], num_segments: int = 0) -> str:
    """Table of what was spoken, and how; `num_segments` are there in all, if that is known."""
    return render([_spoken(segment) for segment in segments], max(num_segments, len(segments)))


def progress(lines: Sequence[Line], speaking: Iterable[int] = ()) -> str:
    """A long text: `speaking` are the segments in work."""
    in_work, has_voices = set(speaking), len({line.voice for line in lines if line.voice}) > 1
    rows = [_line(line, line.index in in_work) for line in lines]
    return render([row if has_voices else replace(row, voice="") for row in rows], len(lines))


def render(rows: Sequence[Row], num_segments: int) -> str:
    """HTML."""
    if not rows:
        return NOTHING
    num_done = sum(row.state in ("done", "silent") for row in rows)
    title = f"{num_done} of {num_segments} segments done" if num_segments != 1 else "1 segment"
    return (
        f'<div class="segments"><div class="head"><span>{title}</span>'
        f'<span class="bar" role="progressbar" aria-label="Segments done" aria-valuemin="0" '
        f'aria-valuemax="{num_segments}" aria-valuenow="{num_done}">'
        f'<span style="width: {num_done / num_segments:.1%}"></span></span></div>'
        f"<ol>{''.join(map(_item, rows))}</ol></div>"
    )


def _spoken(segment: SegmentReport) -> Row:
    return Row(
        index=segment.index,
        text=segment.text,
        voice=segment.voice,
        state="silent" if segment.stop_reason == "silent" else "done",
        details=(
            f"{segment.start_seconds:.2f} to {segment.end_seconds:.2f} s",
            *_quality(segment),
        ),
    )


def _line(line: Line, is_speaking: bool) -> Row:
    if not line.voice:
        return Row(index=line.index, text=line.text, state="silent", details=(ENDED["silent"],))
    rest = f"rest {line.pause_seconds:g} s" if line.pause_seconds else ""
    details = ["speaking …" if is_speaking else "waiting"] if line.report is None else []
    if line.report is not None:
        details = ["speaking again …"] if is_speaking else []
        details += [f"{line.report.end_seconds:.1f} s", *_quality(line.report)]
    state = "speaking" if is_speaking else "waiting" if line.report is None else "done"
    return Row(
        index=line.index,
        text=line.text,
        voice=line.voice,
        state=state,
        details=tuple(filter(None, (*details, rest))),
        has_buttons=line.report is not None and not is_speaking,
    )


def _quality(segment: SegmentReport) -> list[str]:
    errors, ended = segment.phoneme_error_rate, ENDED.get(segment.stop_reason, segment.stop_reason)
    found = [] if errors is None else [f"phoneme error rate {errors:.0%}"]
    found += [f"drawn {segment.attempts} times"] if segment.attempts > 1 else []
    return found + ([ended] if ended else [])


def _item(row: Row) -> str:
    number = row.index + 1
    voice = f'<b class="voice">{escape(row.voice)}</b> ' if row.voice else ""
    details = " · ".join(map(escape, row.details))
    buttons = (
        f'<span class="buttons">{_button("listen", "Listen", row.index)}'
        f"{_button('redo', 'Redo', row.index)}</span>"
        if row.has_buttons
        else ""
    )
    return (
        f'<li data-state="{row.state}"><span class="number">{number}</span>'
        f'<span class="text">{voice}{escape(row.text)}'
        f"<small>{details}</small></span>{buttons}</li>"
    )


def _button(action: str, word: str, index: int) -> str:
    return (
        f'<button type="button" data-action="{action}" data-index="{index}" '
        f'aria-label="{word} segment {index + 1}">{word}</button>'
    )
