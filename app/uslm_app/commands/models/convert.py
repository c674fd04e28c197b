"""`uslm models convert`: a pretrained model in our format, whole or not at all."""

from __future__ import annotations

from pathlib import Path

from uslm_app.cli.console import Console
from uslm_app.cli.given import ModelsConvertOptions


def run(options: ModelsConvertOptions, console: Console) -> None:
    """Fetch what is missing, convert, say where it is."""
    import torch

    from uslm_app.actions.models import STORE, DownloadProgress, given_files

    files = given_files(options.name, options.checkpoint, options.config)
    with DownloadProgress(console) as progress:
        STORE.download(options.name, offline=options.offline, report=progress, files=files)
    folder = STORE.convert(
        options.name,
        Path(options.out) if options.out else None,
        files=files,
        force=options.force,
        dtype=getattr(torch, options.dtype) if options.dtype else None,
    )
    if options.json:
        console.json({"path": str(folder)})
        return
    console.note(f"{options.name} is converted: {folder}")
