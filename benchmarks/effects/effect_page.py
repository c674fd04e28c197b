"""Pages of effects, as the documentation shows them: one for each, and the index."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from effect import Effect, Outcome

from uslm.evaluation.metrics.bootstrap import Estimate
from uslm.evaluation.plots import dots, standing_alone
from uslm_tokenizer.machine import Machine

WORDS = {True: "shown", False: "not so here", "no difference": "no difference that could be told"}


def write_effect(effect: Effect, outcome: Outcome, command: str, folder: Path) -> Path:
    """NAME.md, its plot NAME.svg, and NAME.json."""
    folder.mkdir(parents=True, exist_ok=True)
    record = {"claim": effect.claim, "paper": effect.paper, **outcome.to_dict()}
    (folder / f"{effect.name}.json").write_text(json.dumps(record, indent=1) + "\n", "utf-8")
    (folder / f"{effect.name}.svg").write_text(standing_alone(dots(outcome.arms)), "utf-8")
    gain, over = outcome.gain, Estimate(**outcome.control["gain"])
    spoiled = f", spoiled on purpose: {outcome.broken}" if outcome.broken else ""
    is_small = outcome.shows is True and min(gain.value, over.value) < effect.margin
    small = "; what is shown is smaller" * is_small
    here = Machine.here()
    lines = [
        f"# {effect.claim}",
        "",
        f"Claimed by {effect.paper}. Here: **{WORDS[outcome.shows]}**{spoiled}.",
        "",
        f"Measured: {effect.measure}; {effect.better} is better. {effect.note}".rstrip(),
        "",
        f"![Each arm with its interval]({effect.name}.svg)",
        "",
        "| arm | mean, 95 % over the test items | each seed |",
        "|---|---|---|",
        *(
            f"| {arm} | {_words(outcome.arms[arm])} | {', '.join(f'{v:.3f}' for v in values)} |"
            for arm, values in outcome.by_seed.items()
        ),
        "",
        f"- Gain of *{effect.arms[0]}* over *{effect.arms[1]}*: {_words(gain)}.",
        f"- Gain over the control, *{effect.arms[2]}*: {_words(over)}.",
        f"- The smallest gain that would matter: {effect.margin:g}{small}.",
        "",
        f"{outcome.source[:1].upper()}{outcome.source[1:]}. " * bool(outcome.source)
        + f"`{command}` on {here.cpu}, torch {here.torch}.",
        "",
    ]
    path = folder / f"{effect.name}.md"
    path.write_text("\n".join(lines), "utf-8")
    return path


def write_index(claims: Mapping[str, Effect], folder: Path) -> Path:
    """index.md: a line for each effect whose record lies in the folder, in the order of `claims`.

    Pages of several runs stand in one index so, and a claim that was never run stands in none.
    """
    lines = [
        "# Effects",
        "",
        "What papers claim, measured here with controls and intervals. *Shown*: the interval of "
        "the gain lies above zero, over the control too, and every seed agrees. *Not so here*: "
        "a gain that would matter is ruled out. Small models on little speech: what does not "
        "show here may show at the size of the paper.",
        "",
        "| claim | paper | measured | gain | over the control | |",
        "|---|---|---|---|---|---|",
    ]
    for name, effect in claims.items():
        path = folder / f"{name}.json"
        if not path.is_file():
            continue
        record: dict[str, Any] = json.loads(path.read_text("utf-8"))
        gain, over = (_words(Estimate(**x)) for x in (record["gain"], record["control"]["gain"]))
        cells: Sequence[str] = (
            f"[{effect.claim}]({name}.md)", effect.paper, effect.measure, gain, over,
            WORDS[record["shows"]],
        )  # fmt: skip
        lines.append(f"| {' | '.join(cells)} |")
    path = folder / "index.md"
    path.write_text("\n".join([*lines, ""]), "utf-8")
    return path


def _words(value: Estimate) -> str:
    return f"{value.value:.3f} [{value.low:.3f}, {value.high:.3f}]"
