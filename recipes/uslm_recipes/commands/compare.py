"""Runs side by side: what their configs differ in, and what their last validation found.

    python -m uslm_recipes.commands.compare runs/last runs/last_cut --out page.md

An arm and its controls are runs of one recipe on the same data: those of other data are refused.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from uslm_recipes.command import run_command
from uslm_recipes.loop.checkpoint import list_checkpoints
from uslm_recipes.loop.same_config import flat
from uslm_tokenizer.errors import MissingResource, UserError
from uslm_tokenizer.whole_files import write_atomically

LEFT_OUT = ("minutes", "best")
"""Values of a validation that say nothing of the model."""


def compare(folders: Sequence[Path]) -> str:
    """A Markdown table: a row for each run."""
    runs = {str(folder): _read(folder) for folder in folders}
    first, *others = runs
    for name in others:
        if runs[name][1] != runs[first][1]:
            raise UserError(
                f"runs must be of the same data, but {name} has {_shown(runs[name][1])} and "
                f"{first} {_shown(runs[first][1])}"
            )
    configs = {name: dict(flat(config)) for name, (config, _, _) in runs.items()}
    keys = dict.fromkeys(key for config in configs.values() for key in config)
    differ = [
        key for key in keys if len({repr(config.get(key)) for config in configs.values()}) > 1
    ]
    values = {name: found for name, (_, _, found) in runs.items()}
    measures = dict.fromkeys(
        key for found in values.values() for key in found if key not in LEFT_OUT
    )
    lines = [
        f"| run | {' | '.join([*(f'`{key}`' for key in differ), *measures])} |",
        "|---" * (1 + len(differ) + len(measures)) + "|",
    ]
    for name in runs:
        cells = [str(configs[name].get(key, "")) for key in differ]
        cells += [_number(values[name].get(key)) for key in measures]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def _read(folder: Path) -> tuple[Mapping[str, Any], Any, Mapping[str, Any]]:
    """Config, data, and the values of the last validation."""
    checkpoints = list_checkpoints(folder / "checkpoints")
    if not checkpoints:
        raise MissingResource(f"{folder} holds no run: it has no checkpoints")
    state = json.loads((checkpoints[0] / "state.json").read_text("utf-8"))
    found: Mapping[str, Any] = {}
    for line in (folder / "log.jsonl").read_text("utf-8").splitlines():
        record = json.loads(line)
        if record["kind"] == "valid":
            found = {k: v for k, v in record.items() if isinstance(v, int | float)}
    if not found:
        raise UserError(f"{folder} was never validated: there is nothing to compare")
    return state["config"], state.get("data"), found


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.4g}"


def _shown(data: Any) -> str:
    text = json.dumps(data)
    return text if len(text) <= 100 else f"{text[:100]}..."


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m uslm_recipes.commands.compare",
        description=(__doc__ or "").partition("\n")[0],
    )
    parser.add_argument("runs", nargs="+", type=Path, help="folders of runs, the arm first")
    parser.add_argument("--out", type=Path, help="file for the table")
    given = parser.parse_args(arguments)

    def run() -> None:
        table = compare(given.runs)
        if given.out is not None:
            write_atomically(given.out, lambda path: path.write_text(table, "utf-8"))
        print(table, end="")

    return run_command("compare", run)


if __name__ == "__main__":
    raise SystemExit(main())
