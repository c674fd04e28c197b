"""`uslm models list`: the pretrained models that we know, and what of them is here."""

from __future__ import annotations

from uslm_app.cli.console import Console
from uslm_app.cli.given import ModelsListOptions


def run(options: ModelsListOptions, console: Console) -> None:
    """A line for each model."""
    from uslm.systems.catalogue import CATALOGUE
    from uslm_app.actions.models import summary

    rows = [summary(name) for name in CATALOGUE.systems]
    if options.here:
        rows = [row for row in rows if row["state"] != "absent"]
    if options.json:
        console.json({"models": rows})
        return
    if not rows:
        console.note("no pretrained model is here; uslm models download fetches one")
    width = max((len(row["name"]) for row in rows), default=0)
    for row in rows:
        size = f"{row['bytes'] / 1e6:.0f} MB" if row["bytes"] else ""
        facts = f"{row['kind']:<9}  {row['state']:<17}  {size:>8}  {row['title']}"
        console.result(f"{row['name']:<{width}}  {facts}")
