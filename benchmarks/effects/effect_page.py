"""Pages of effects: one for each, and the index."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

from effect import Effect, Outcome

from uslm.evaluation.metrics.bootstrap import Estimate
from uslm.evaluation.plots import dots
from uslm.evaluation.report.page import STYLE
from uslm_tokenizer.machine import Machine

WORDS = {True: "shown", False: "not so here", "no difference": "no difference that could be told"}


def write_effect(effect: Effect, outcome: Outcome, command: str, folder: Path) -> Path:
    """NAME.html with the plot, and NAME.json."""
    folder.mkdir(parents=True, exist_ok=True)
    record = {"claim": effect.claim, "paper": effect.paper, **outcome.to_dict()}
    (folder / f"{effect.name}.json").write_text(json.dumps(record, indent=1) + "\n", "utf-8")
    gain, over = outcome.gain, Estimate(**outcome.control["gain"])
    seeds = "".join(
        f"<tr><th scope='row'>{escape(arm)}</th><td>{_words(outcome.arms[arm])}</td>"
        f"<td>{', '.join(f'{value:.3f}' for value in values)}</td></tr>"
        for arm, values in outcome.by_seed.items()
    )
    here = Machine.here()
    body = (
        f"<h1>{escape(effect.claim)}</h1><p>{escape(effect.paper)}</p>"
        f"<p><strong>{WORDS[outcome.shows]}</strong>"
        + (f", and spoiled on purpose: {escape(outcome.broken)}" if outcome.broken else "")
        + f". Measured: {escape(effect.measure)}; {effect.better} is better.</p>"
        f"<figure class='plot'>{dots(outcome.arms)}</figure>"
        f"<div class='scroll'><table><thead><tr><td></td><th>95 % over utterances</th>"
        f"<th>each seed</th></tr></thead><tbody>{seeds}</tbody></table></div>"
        f"<p>Gain of {escape(effect.arms[0])} over {escape(effect.arms[1])}: {_words(gain)}; over "
        f"the control, {escape(effect.arms[2])}: {_words(over)}. The smallest gain that would "
        f"matter is {effect.margin:g}.</p>"
        f"<p class='note'>{escape(outcome.source)}. <code>{escape(command)}</code> on "
        f"{escape(here.cpu)}, torch {escape(here.torch)}.</p>"
    )
    path = folder / f"{effect.name}.html"
    path.write_text(_page(effect.claim, body), "utf-8")
    return path


def write_index(records: Sequence[Mapping[str, Any]], folder: Path) -> Path:
    """index.html and index.md, a line for each effect."""
    rows, lines = [], ["| claim | paper | gain | over the control | |", "|---|---|---|---|---|"]
    for each in records:
        gain, over = (_words(Estimate(**x)) for x in (each["gain"], each["control"]["gain"]))
        shown = WORDS[each["shows"]]
        rows.append(
            f"<tr><th scope='row'><a href='{escape(each['name'])}.html'>{escape(each['claim'])}</a>"
            f"</th><td>{escape(each['paper'])}</td><td>{gain}</td><td>{over}</td>"
            f"<td>{shown}</td></tr>"
        )
        lines.append(f"| {each['claim']} | {each['paper']} | {gain} | {over} | {shown} |")
    table = f"<div class='scroll'><table><tbody>{''.join(rows)}</tbody></table></div>"
    (folder / "index.html").write_text(_page("Effects", f"<h1>Effects</h1>{table}"), "utf-8")
    (folder / "index.md").write_text("\n".join(lines) + "\n", "utf-8")
    return folder / "index.html"


def _words(value: Estimate) -> str:
    return f"{value.value:.3f} [{value.low:.3f}, {value.high:.3f}]"


def _page(title: str, body: str) -> str:
    return (
        "<!doctype html>\n<html lang='en'><head><meta charset='utf-8'>"
        "<meta name='viewport' content='width=device-width, initial-scale=1'>"
        f"<title>{escape(title)}</title><style>{STYLE}</style></head>\n"
        f"<body><main>{body}</main></body></html>\n"
    )
