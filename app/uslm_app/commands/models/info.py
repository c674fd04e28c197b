"""`uslm models info`: what a pretrained model is made of, and under which licences."""

from __future__ import annotations

from uslm_app.cli.console import Console
from uslm_app.cli.option_groups import NameOptions


def run(options: NameOptions, console: Console) -> None:
    """Print each fact in a line, and each file in one."""
    from uslm_app.actions.models import describe

    record = describe(options.name)
    if options.json:
        console.json(record)
        return
    files = record.pop("files")
    for name, value in record.items():
        shown = ", ".join(value) if isinstance(value, list) else value
        label = name.replace("_", " ")
        console.result(f"{label:<15} {'none' if shown in (None, '') else shown}")
    for file in files:
        size = "not here" if file["bytes"] is None else f"{file['bytes'] / 1e6:.1f} MB"
        revision = file.get("revision") or file.get("pinned")
        commit = "" if revision is None else f"  at {revision[:12]}"
        pin = f"pinned by {file['pinned_by']}"
        console.result(f"{'file':<15} {file['address']}  {size}{commit}  {pin}")
