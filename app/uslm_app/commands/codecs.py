"""`uslm codecs`: the table of all codecs."""

from __future__ import annotations

import dataclasses

from uslm_app.cli.console import Console
from uslm_app.cli.option_groups import CommonOptions

HEAD = (
    "name",
    "kHz",
    "frames/s",
    "codebooks",
    "kbit/s",
    "M params",
    "causal",
    "decodes",
    "code",
    "weights",
    "source",
)


def run(options: CommonOptions, console: Console) -> None:
    """Every row is asked of the model itself, built at its published size without memory."""
    from uslm_app.actions.codec_table import all_facts

    facts = all_facts()
    if options.json:
        console.json({"codecs": [dataclasses.asdict(each) for each in facts]})
        return
    rows = [
        (
            each.name,
            f"{each.sample_rate / 1000:g}",
            f"{each.frame_rate:.4g}",
            f"{each.num_codebooks} x {each.codebook_size}",
            f"{each.kbit_rate:.3g}",
            f"{each.num_parameters / 1e6:.1f}",
            "yes" if each.causal else "no",
            "yes" if each.decodes else "no",
            each.code_licence,
            each.weights_licence,
            each.source,
        )
        for each in facts
    ]
    widths = [max(map(len, column)) for column in zip(HEAD, *rows, strict=True)]
    for row in (HEAD, *rows):
        cells = (f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True))
        console.result("  ".join(cells).rstrip())
