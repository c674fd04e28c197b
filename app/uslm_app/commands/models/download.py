"""`uslm models download`: fetch the files of pretrained models into the Hub's cache."""

from __future__ import annotations

from uslm_app.cli.console import Console
from uslm_app.cli.given import ModelsDownloadOptions


def run(options: ModelsDownloadOptions, console: Console) -> None:
    """One after the other; what is there already is not asked for again."""
    from uslm.systems.catalogue import CATALOGUE
    from uslm_app.actions.models import STORE, DownloadProgress

    for name in options.names:
        CATALOGUE.get(name)
    found = {}
    with DownloadProgress(console) as progress:
        for name in options.names:
            paths = STORE.download(name, offline=options.offline, report=progress)
            found[name] = [str(path) for path in paths]
            console.note(f"{name}: {len(paths)} files, {STORE.size(name) / 1e6:.0f} MB")
    if options.json:
        console.json({"files": found})
