"""A result on its way to the page: files to download, and the rows of the report."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from uslm.pipeline.speech import ChunkReport, Speech

HEADERS = ["piece", "text", "from, s", "to, s", "seed", "draws", "phoneme errors", "ended by"]


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


def rows(chunks: Iterable[ChunkReport]) -> list[list[str]]:
    """One row for each piece. All are strings: a browser rounds numbers as long as a seed."""
    return [
        [
            str(chunk.index + 1),
            chunk.text,
            f"{chunk.start_seconds:.2f}",
            f"{chunk.end_seconds:.2f}",
            str(chunk.seed),
            str(chunk.attempts),
            "" if chunk.phoneme_error_rate is None else f"{chunk.phoneme_error_rate:.0%}",
            chunk.stop_reason,
        ]
        for chunk in chunks
    ]
