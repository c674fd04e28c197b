"""Report on what was spoken: one line of JSON, or one of prose; the same of both backends."""

from __future__ import annotations

from typing import Any

from uslm_app.cli.console import Console
from uslm_app.cli.given import SayOptions


def tell_spoken(record: dict[str, Any], options: SayOptions, console: Console) -> None:
    """Print it; the record holds `timings`, `seconds` and `seed`."""
    if options.json:
        console.json(record)
        return
    total, seconds = record["timings"]["total"], record["seconds"]
    out = "standard output" if options.out == "-" else options.out
    console.note(
        f"{out}: {seconds:.2f} s of speech in {total:.2f} s "
        f"({total / max(seconds, 1e-9):.2f} s per second), seed {record['seed']}"
    )
