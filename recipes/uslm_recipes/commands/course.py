"""The course of a run, for a page: losses by time, and the machine, all from its log.

    python -m uslm_recipes.commands.course vae=runs/vae --into docs/how-to/voxcpm.md

In the page a run stands between `<!-- run: NAME -->` and `<!-- end -->`; without `--into` what
would stand there is printed.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any

from uslm_recipes.command import run_command
from uslm_recipes.loop.checkpoint import list_checkpoints
from uslm_recipes.loop.log import LOG_FILE
from uslm_tokenizer.errors import MissingResource, UserError
from uslm_tokenizer.whole_files import write_atomically

ROWS = 5
"""Places of a run that are shown, the first and the last among them."""
NO_LOSS = {
    "kind", "step", "minutes", "padding", "tflops", "mfu", "waiting", "learning_rate", "grad_norm",
    "best",
}  # fmt: skip
"""Numbers of a log that are no measure of the model."""

Record = Mapping[str, Any]


def course(folder: Path) -> str:
    """A Markdown table of a run, and a line that says where it ran. MissingResource for no run,
    UserError for one that has logged nothing."""
    path = folder / LOG_FILE
    if not path.is_file():
        raise MissingResource(f"{folder} holds no run: it has no {LOG_FILE}")
    records = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
    train = [record for record in records if record["kind"] == "train"]
    valid = [record for record in records if record["kind"] == "valid"]
    if not train:
        raise UserError(f"{path} has no line of training: there is nothing to show")
    shown = [train[round(i * (len(train) - 1) / (ROWS - 1))] for i in range(ROWS)]
    shown = list({record["step"]: record for record in shown}.values())
    losses, held_out = _measures(train), _measures(valid)
    lines = [
        "| step | minutes | " + " | ".join([*losses, *(f"held out: {each}" for each in held_out)])
        + " |",
        "|---" * (2 + len(losses) + len(held_out)) + "|",
    ]  # fmt: skip
    before = 0
    for record in shown:
        known = [each for each in valid if before < each["step"] <= record["step"]]
        latest: Record = known[-1] if known else {}
        before = record["step"]
        cells = [str(record["step"]), f"{record['minutes']:.1f}"]
        cells += [_number(record.get(name)) for name in losses]
        cells += [_number(latest.get(name)) for name in held_out]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join([*lines, "", _about(folder, records)]) + "\n"


def _measures(records: Sequence[Record]) -> list[str]:
    """Names of losses; those of single codebooks are too many for a page."""
    names = dict.fromkeys(name for record in records for name in record)
    return [
        name for name in names if name not in NO_LOSS and not re.search(r"_per_second$|_\d+$", name)
    ]


def _about(folder: Path, records: Sequence[Record]) -> str:
    machine = next((record for record in records if record["kind"] == "machine"), {})
    resumed = sum(record["kind"] == "resume" for record in records)
    parts = [f"{machine.get('cpu', 'an unknown machine')}, {machine.get('cores')} cores"]
    parts.append(f"{machine.get('threads')} thread, torch {machine.get('torch')}")
    state = list_checkpoints(folder / "checkpoints")
    config = json.loads((state[0] / "state.json").read_text("utf-8"))["config"] if state else {}
    if (seconds := config.get("seconds_per_batch")) is not None:
        parts.append(f"{seconds:g} s of speech in a batch")
    if (size := config.get("batch_size")) is not None:
        parts.append(f"{size} crops in a batch")
    if shares := [record["mfu"] for record in records if record.get("mfu") is not None]:
        parts.append(f"{100 * median(shares):.0f} % of the device's measured peak")
    again = "" if not resumed else f"; stopped and resumed {resumed} time" + "s" * (resumed > 1)
    return ", ".join(parts) + again + "."


def insert(page: str, runs: Mapping[str, str]) -> str:
    """The page with each run in its place; UserError where there is none."""
    for name, text in runs.items():
        start, end = f"<!-- run: {name} -->\n", "<!-- end -->"
        if (count := page.count(start)) != 1:
            raise UserError(f"the page must have one {start.strip()}, but has {count}")
        before, _, rest = page.partition(start)
        _, _, after = rest.partition(end)
        page = f"{before}{start}\n{text}\n<!-- printed: {digest(text)} -->\n{end}{after}"
    return page


def digest(text: str) -> str:
    """Checksum that stands below a run: numbers that somebody types in later do not fit it."""
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def changed_runs(page: str) -> list[str]:
    """Names of the runs of a page that are not as they were printed."""
    parts = re.findall(r"<!-- run: (\S+) -->\n(.*?)<!-- end -->", page, re.S)
    wrong = []
    for name, part in parts:
        text, mark, rest = part.partition("\n<!-- printed: ")
        if not mark or rest.partition(" ")[0] != digest(text[1:]):
            wrong.append(name)
    return wrong


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.4g}"


def _named(text: str) -> tuple[str, Path]:
    name, separator, folder = text.partition("=")
    if not (name and separator and folder):
        raise argparse.ArgumentTypeError(f"must be NAME=FOLDER, but is {text!r}")
    return name, Path(folder)


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m uslm_recipes.commands.course",
        description=(__doc__ or "").partition("\n")[0],
    )
    parser.add_argument(
        "runs", nargs="+", type=_named, metavar="NAME=FOLDER", help="folders of runs"
    )
    parser.add_argument("--into", type=Path, metavar="PAGE", help="page to write them into")
    given = parser.parse_args(arguments)

    def run() -> None:
        texts = {name: course(folder) for name, folder in given.runs}
        if given.into is None:
            print("\n".join(texts.values()), end="")
            return
        page = insert(given.into.read_text("utf-8"), texts)
        write_atomically(given.into, lambda path: path.write_text(page, "utf-8"))

    return run_command("course", run)


if __name__ == "__main__":
    raise SystemExit(main())
