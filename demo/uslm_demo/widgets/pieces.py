"""The pieces of a text, how far each is, and buttons to hear or redo it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from html import escape

import gradio as gr

from uslm.output.speech import ChunkReport
from uslm.synthesis.manuscript import Line
from uslm_demo.widgets.player import asset

ENDED = {
    "end": "",
    "length": "stopped: too long",
    "loop": "stopped: it repeated itself",
    "silent": "nothing to say",
}


@dataclass(frozen=True, kw_only=True)
class Row:
    """A piece, as it is shown."""

    index: int
    text: str
    state: str
    """waiting, speaking, done or silent."""
    details: tuple[str, ...] = ()
    voice: str = ""
    has_buttons: bool = False


NOTHING = '<p class="none">The pieces of the text will be listed here.</p>'


def pieces(label: str, *, elem_id: str) -> gr.HTML:
    """The list; its value comes from `report` or `progress`, its events are `listen` and `redo`."""
    return gr.HTML(
        NOTHING,
        label=label,
        elem_id=elem_id,
        container=True,
        css_template=asset("pieces.css"),
        js_on_load=asset("pieces.js"),
        apply_default_css=False,
    )


def report(chunks: Sequence[ChunkReport], num_pieces: int = 0) -> str:
    """What was spoken, and how; `num_pieces` are there in all, if that is known."""
    return render([_spoken(chunk) for chunk in chunks], max(num_pieces, len(chunks)))


def progress(lines: Sequence[Line], speaking: Iterable[int] = ()) -> str:
    """A long text: `speaking` are the pieces in work."""
    in_work, has_voices = set(speaking), len({line.voice for line in lines if line.voice}) > 1
    rows = [_line(line, line.index in in_work) for line in lines]
    return render([row if has_voices else replace(row, voice="") for row in rows], len(lines))


def render(rows: Sequence[Row], num_pieces: int) -> str:
    """HTML."""
    if not rows:
        return NOTHING
    num_done = sum(row.state in ("done", "silent") for row in rows)
    title = f"{num_done} of {num_pieces} pieces done" if num_pieces != 1 else "1 piece"
    return (
        f'<div class="pieces"><div class="head"><span>{title}</span>'
        f'<span class="bar" role="progressbar" aria-label="Pieces done" aria-valuemin="0" '
        f'aria-valuemax="{num_pieces}" aria-valuenow="{num_done}">'
        f'<span style="width: {num_done / num_pieces:.1%}"></span></span></div>'
        f"<ol>{''.join(map(_item, rows))}</ol></div>"
    )


def _spoken(chunk: ChunkReport) -> Row:
    return Row(
        index=chunk.index,
        text=chunk.text,
        voice=chunk.voice,
        state="silent" if chunk.stop_reason == "silent" else "done",
        details=(
            f"{chunk.start_seconds:.2f} to {chunk.end_seconds:.2f} s",
            f"seed {chunk.seed}",
            *_quality(chunk),
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


def _quality(chunk: ChunkReport) -> list[str]:
    errors, ended = chunk.phoneme_error_rate, ENDED.get(chunk.stop_reason, chunk.stop_reason)
    found = [] if errors is None else [f"phoneme error rate {errors:.0%}"]
    found += [f"drawn {chunk.attempts} times"] if chunk.attempts > 1 else []
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
        f'aria-label="{word} piece {index + 1}">{word}</button>'
    )
