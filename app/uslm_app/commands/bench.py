"""`uslm bench`: how fast the model speaks on this machine, and where the time goes."""

from __future__ import annotations

from uslm_app.cli.console import Console
from uslm_app.cli.given import BenchOptions
from uslm_app.cli.inputs import check_file


def run(options: BenchOptions, console: Console) -> None:
    """Check the files; then measure."""
    if options.prompt is not None:
        check_file(options.prompt, "the prompt")

    from uslm_app.bench.benchmark import benchmark, show

    report = benchmark(options, console)
    if options.json:
        console.json(report.to_dict())
        return
    for line in show(report):
        console.result(line)
