"""A result on its way to the page: files to download, and the table of the report."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from html import escape
from pathlib import Path

from uslm.pipeline.speech import ChunkReport, Speech

HEADERS = ("Piece", "Text", "Time", "Seed", "Draws", "Phoneme error rate", "Ended by")


@dataclass(frozen=True, kw_only=True)
class Files:
    """What can be downloaded."""

    wav: Path
    json: Path

    def as_list(self) -> list[str]:
        """Both, for a list of files."""
        return [str(self.wav), str(self.json)]


@contextmanager
def result_files(speech: Speech) -> Iterator[Files]:
    """The speech and its sidecar, in a folder that is gone when the block ends."""
    with tempfile.TemporaryDirectory(prefix="uslm-") as folder:
        stem = Path(folder) / f"uslm-{speech.seed}"
        files = Files(wav=stem.with_suffix(".wav"), json=stem.with_suffix(".json"))
        speech.save(files.wav)
        files.json.write_text(speech.to_json(), "utf-8")
        yield files


def report_table(chunks: Iterable[ChunkReport]) -> str:
    """A table in HTML, one row for each piece; empty where there is none yet."""
    body = "".join(_row("td", _cells(chunk)) for chunk in chunks)
    if not body:
        return ""
    # Narrow screens scroll the table, not the page.
    return (
        '<div style="overflow-x: auto"><table style="width: 100%">'
        f"<thead>{_row('th', HEADERS)}</thead><tbody>{body}</tbody></table></div>"
    )


def _cells(chunk: ChunkReport) -> list[str]:
    errors = chunk.phoneme_error_rate
    return [
        str(chunk.index + 1),
        chunk.text,
        f"{chunk.start_seconds:.2f} to {chunk.end_seconds:.2f} s",
        str(chunk.seed),
        str(chunk.attempts),
        "not listened to" if errors is None else f"{errors:.0%}",
        chunk.stop_reason,
    ]


def _row(tag: str, cells: Iterable[str]) -> str:
    style = 'style="text-align: left; vertical-align: top; padding: 0.3em 0.6em"'
    return f"<tr>{''.join(f'<{tag} {style}>{escape(cell)}</{tag}>' for cell in cells)}</tr>"
