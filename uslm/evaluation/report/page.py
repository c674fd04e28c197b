"""A report as one HTML file that needs nothing else: tables, players and pictures are inside."""

import base64
import difflib
import io
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

from uslm import __version__
from uslm.evaluation.plots import curves, dots
from uslm.evaluation.report.pictures import histogram, mel_picture
from uslm.evaluation.report.report import MEASURES, Report, Section, show
from uslm_tokenizer.audio.read import read_audio
from uslm_tokenizer.audio.write import write_audio

MAX_SECONDS = 60.0
"""Of a longer sound only the beginning is in the page."""
SOUNDS = {"prompt": "prompt", "original": "recording", "audio": "result"}
"""Keys of an utterance that name sound files, and their words."""
SPREAD = ("wer", "cosine", "sim_o", "sim_r", "dnsmos", "pesq", "stoi", "mel_distance")
"""Measures of single utterances whose spread is drawn."""

STYLE = """
:root { color-scheme: light dark; --ink: #1c1c22; --paper: #fff; --faint: #6b6b76; --line: #d9d9e0;
  --bar: #5a67c8; --wrong: #b3261e; }
@media (prefers-color-scheme: dark) { :root { --ink: #e8e8ee; --paper: #17171c; --faint: #9c9caa;
  --line: #3a3a45; --bar: #9aa5f5; --wrong: #ff8a80; } }
* { box-sizing: border-box; }
body { font: 16px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper);
  max-width: 62rem; margin: 0 auto; padding: 1.5rem 1rem 4rem; }
h1 { font-size: 1.6rem; } h2 { font-size: 1.2rem; margin-top: 2.5rem; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { padding: .3rem .8rem .3rem 0; border-bottom: 1px solid var(--line); text-align: left;
  vertical-align: top; }
tbody th { font-weight: normal; white-space: nowrap; }
small, .note, dt { color: var(--faint); }
article { border-top: 1px solid var(--line); padding: 1rem 0; }
article p { margin: .2rem 0; overflow-wrap: anywhere; }
.sounds, .spreads { display: flex; flex-wrap: wrap; gap: 1rem; }
figure { margin: .5rem 0; flex: 1 1 15rem; min-width: 0; max-width: 22rem; }
figure.plot { max-width: 40rem; } .plot text { font-size: 13px; }
.plot line, .plot polyline { stroke: var(--bar); fill: none; } .plot .axis { stroke: var(--line); }
figure img { width: 100%; height: 6rem; display: block; border-radius: 4px; }
audio { width: 100%; margin-top: .3rem; }
svg { width: 100%; fill: var(--bar); } svg text { fill: var(--faint); font-size: 11px; }
del, ins { color: var(--wrong); } ins { text-decoration: underline; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .2rem 1rem; }
dd { margin: 0; overflow-wrap: anywhere; }
"""


def to_html(report: Report, folder: Path, *, max_players: int = 20) -> str:
    """The page; sounds are read from `folder`, those of the worst utterances if not of all."""
    shown = _worst(report.utterances, max_players)
    parts = [
        f"<h1>{escape(report.title)}</h1>",
        "<p class='note'>In brackets: 95 % bootstrap intervals over utterances.</p>",
        *(_section(section) for section in report.sections.values()),
        _spreads(report.utterances),
        f"<h2>Utterances</h2><p class='note'>{_which(len(shown), len(report.utterances))}</p>"
        if shown
        else "",
        *(_utterance(each, folder) for each in shown),
        "<h2>How it was made</h2>",
        f"<p>uslm {escape(__version__)}, {escape(report.created)}</p>",
        *(
            f"<h3>{name}</h3>{_facts(facts)}"
            for name, facts in (
                ("Asked for", report.config),
                ("Model", report.model),
                ("Machine", report.machine),
            )
        ),
    ]
    return (
        "<!doctype html>\n<html lang='en'><head><meta charset='utf-8'>"
        "<meta name='viewport' content='width=device-width, initial-scale=1'>"
        f"<title>{escape(report.title)}</title><style>{STYLE}</style></head>\n"
        "<body><main>\n" + "\n".join(parts) + "\n</main></body></html>\n"
    )


def _section(section: Section) -> str:
    columns = [name for name in MEASURES if any(name in row for row in section.rows.values())]
    head = "".join(f"<th scope='col'>{escape(MEASURES[name][0])}</th>" for name in columns)
    counted = any(each.count > 1 for row in section.rows.values() for each in row.values())
    head += "<th scope='col'>n</th>" if counted else ""
    rows = []
    for label, row in section.rows.items():
        cells = "".join(
            f"<td>{_value(show(name, row[name])) if name in row else ''}</td>" for name in columns
        )
        count = max((each.count for each in row.values()), default=0)
        cells += f"<td>{count}</td>" if counted else ""
        rows.append(f"<tr><th scope='row'>{escape(label)}</th>{cells}</tr>")
    return (
        f"<h2>{escape(section.title)}</h2><p class='note'>{escape(section.note)}</p>"
        f"<div class='scroll'><table><thead><tr><td></td>{head}</tr></thead>"
        f"<tbody>{''.join(rows)}</tbody></table></div>{_plots(section)}"
    )


def _plots(section: Section) -> str:
    figures = [
        (MEASURES[name][0], dots({k: row[name] for k, row in section.rows.items() if name in row}))
        for name in section.drawn
    ] + [(title, curves(lines)) for title, lines in section.curves.items()]
    return "".join(
        f"<figure class='plot'><figcaption>{escape(title)}</figcaption>{drawing}</figure>"
        for title, drawing in figures
    )


def _value(text: str) -> str:
    value, bracket, interval = text.partition(" [")
    return f"{value} <small>{bracket.strip()}{interval}</small>" if bracket else value


def _spreads(utterances: Sequence[Mapping[str, Any]]) -> str:
    figures = []
    for name in SPREAD:
        values = [float(each[name]) for each in utterances if name in each]
        if len(values) > 1:
            words = MEASURES[name][0].removesuffix(", corpus, %")
            title = f"{words} of each of {len(values)} utterances"
            drawing = histogram(values, escape(title))
            figures.append(f"<figure><figcaption>{escape(title)}</figcaption>{drawing}</figure>")
    if not figures:
        return ""
    return f"<h2>Spread</h2><div class='spreads'>{''.join(figures)}</div>"


def _worst(utterances: Sequence[Mapping[str, Any]], most: int) -> list[Mapping[str, Any]]:
    """Those with the highest error rate or the lowest PESQ or STOI first, in their own order."""
    if len(utterances) <= most:
        return list(utterances)

    def error(place: int) -> float:
        each = utterances[place]
        return float(each.get("wer", -each.get("pesq", each.get("stoi", 0.0))))

    places = sorted(range(len(utterances)), key=error, reverse=True)[:most]
    return [utterances[place] for place in sorted(places)]


def _which(shown: int, count: int) -> str:
    return f"All {count}." if shown == count else f"The {shown} worst of {count}."


def _utterance(each: Mapping[str, Any], folder: Path) -> str:
    lines = []
    if "hypothesis" in each:
        lines.append(f"<p>{escape(str(each['text']))}</p>")
        compared = _compared(str(each["reference"]).split(), str(each["hypothesis"]).split())
        lines.append(f"<p><small>heard:</small> {compared}</p>")
    if each.get("error"):
        lines.append(f"<p><del>{escape(str(each['error']))}</del></p>")
    values = [
        f"{escape(MEASURES[name][0].removesuffix(', corpus, %'))} {each[name]:.4g}"
        for name in MEASURES
        if name in each
    ]
    lines.append(f"<p><small>{' · '.join(values)}</small></p>")
    sounds = [
        _sound(folder / str(each[key]), words) for key, words in SOUNDS.items() if key in each
    ]
    name = escape(str(each.get("recording", each.get("audio", ""))))
    players = f"<div class='sounds'>{''.join(sounds)}</div>"
    return f"<article><p><strong>{name}</strong></p>{''.join(lines)}{players}</article>"


def _compared(wanted: Sequence[str], hypothesis: Sequence[str]) -> str:
    """Words that were heard, with those left out struck through and those added underlined."""
    out: list[str] = []
    for kind, a, b, c, d in difflib.SequenceMatcher(None, wanted, hypothesis, False).get_opcodes():
        if kind == "equal":
            out.append(escape(" ".join(wanted[a:b])))
            continue
        if b > a:
            out.append(f"<del>{escape(' '.join(wanted[a:b]))}</del>")
        if d > c:
            out.append(f"<ins>{escape(' '.join(hypothesis[c:d]))}</ins>")
    return " ".join(out)


def _sound(path: Path, words: str) -> str:
    audio = read_audio(path, max_seconds=MAX_SECONDS)
    file = io.BytesIO()
    write_audio(file, audio.waveform, audio.sample_rate, format="mp3")
    data = base64.b64encode(file.getvalue()).decode()
    seconds = f"{words}, {audio.seconds:.1f} s"
    return (
        f"<figure><figcaption><small>{seconds}</small></figcaption>"
        f"<img alt='mel spectrogram of the {words}' "
        f"src='{mel_picture(audio.waveform, audio.sample_rate)}'>"
        f"<audio controls preload='none' aria-label='{words}' "
        f"src='data:audio/mpeg;base64,{data}'></audio></figure>"
    )


def _facts(facts: Mapping[str, Any]) -> str:
    return f"<dl>{''.join(_fact(name, value) for name, value in facts.items())}</dl>"


def _fact(name: str, value: Any) -> str:
    text = (
        ", ".join(map(str, value))
        if isinstance(value, Iterable) and not isinstance(value, str)
        else str(value)
    )
    return f"<dt>{escape(str(name))}</dt><dd>{escape(text)}</dd>"
