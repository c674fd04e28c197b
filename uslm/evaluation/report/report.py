"""Results, on what and with what: as JSON, and as Markdown to read."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from uslm import __version__
from uslm.evaluation.metrics.bootstrap import Estimate
from uslm_tokenizer.errors import MissingResource, UserError
from uslm_tokenizer.machine import Machine

FORMAT = 1

MEASURES: dict[str, tuple[str, float, int]] = {
    "wer": ("WER, corpus, %", 100, 1),
    "wer_mean": ("WER, mean of utterances, %", 100, 1),
    "cer": ("CER, corpus, %", 100, 1),
    "per": ("phoneme error rate, %", 100, 1),
    "cosine": ("speaker cosine", 1, 3),
    "sim_o": ("SIM-o", 1, 3),
    "sim_r": ("SIM-r", 1, 3),
    "dnsmos": ("DNSMOS overall", 1, 2),
    "dnsmos_signal": ("signal", 1, 2),
    "dnsmos_background": ("background", 1, 2),
    "dnsmos_p808": ("P.808", 1, 2),
    "pesq": ("PESQ, wide band", 1, 2),
    "stoi": ("STOI", 1, 3),
    "si_sdr": ("SI-SDR, dB", 1, 1),
    "mel_distance": ("mel distance", 1, 3),
    "f0_correlation": ("F0 correlation", 1, 3),
    "codes_used": ("codes used, %", 100, 1),
    "perplexity": ("perplexity", 1, 0),
    "bit_rate": ("kbit/s", 1e-3, 2),
    "entropy_rate": ("kbit/s by entropy", 1e-3, 2),
    "token_rate": ("tokens/s", 1, 0),
    "predictability": ("bits a frame saved by order", 1, 2),
    "language_model_rate": ("kbit/s by language model", 1e-3, 3),
    "information": ("MI, vCLUB, nats per phoneme", 1, 2),
    "information_lower": ("MI, InfoNCE, nats per utterance", 1, 2),
    "phoneme_errors": ("phoneme errors, %", 100, 1),
    "frame_errors": ("frames with a wrong phoneme, %", 100, 1),
    "label_errors": ("wrong class, %", 100, 1),
    "chance": ("chance, %", 100, 1),
    "token_changes": ("tokens changed, %", 100, 1),
    "pair_accuracy": ("right pairs, %", 100, 1),
    "pair_accuracy_token": ("by token, %", 100, 1),
    "pair_accuracy_second": ("by second, %", 100, 1),
    "nats_rate": ("nats/s", 1, 1),
    "lean": ("leaning by voice", 1, 3),
    "flip_rate": ("answers flipped, %", 100, 1),
    "neutral": ("neutral answer", 1, 3),
    "skew": ("leaning of both", 1, 3),
    "p_value": ("p", 1, 3),
    "real_time_factor": ("real-time factor", 1, 3),
    "first_audio": ("first audio, s", 1, 2),
}
"""Of each measure: its words, the factor it is shown with, and digits after the point."""


@dataclass(frozen=True, kw_only=True)
class Section:
    """One table."""

    title: str
    note: str
    """What is compared here, in a sentence or two."""
    rows: Mapping[str, Mapping[str, Estimate]]
    """Measures by name, of each row."""
    drawn: Sequence[str] = ()
    """Measures that the page also draws, with their intervals."""
    curves: Mapping[str, Mapping[str, Sequence[tuple[float, Estimate]]]] = field(
        default_factory=dict
    )
    """Curves to draw: lines by name for each title, points of x and a measure."""
    by_seed: Mapping[str, Mapping[str, Sequence[float]]] = field(default_factory=dict)
    """Of rows and measures that were repeated: the value of each seed."""


@dataclass(frozen=True, kw_only=True)
class Report:
    """A finished evaluation."""

    title: str
    config: Mapping[str, Any]
    """What was asked for, seeds included."""
    model: Mapping[str, Any]
    """Name, hash, parameters and bytes of what was measured."""
    sections: Mapping[str, Section]
    """Tables by a short name."""
    utterances: Sequence[Mapping[str, Any]] = ()
    """Every sample by itself: what was asked, heard and measured."""
    machine: Mapping[str, Any] = field(default_factory=lambda: asdict(Machine.here()))
    """What it ran on."""
    created: str = field(
        default_factory=lambda: datetime.now(timezone.utc).isoformat("T", "seconds")
    )
    """When."""

    def to_dict(self) -> dict[str, Any]:
        """JSON values; `load_report` checks them."""
        return {"format": FORMAT, "uslm": __version__, **asdict(self)}

    def to_json(self) -> str:
        """The whole report."""
        return json.dumps(self.to_dict(), ensure_ascii=False, indent=1, default=str) + "\n"

    def to_markdown(self) -> str:
        """Tables and what is needed to repeat them; samples are left to the JSON."""
        parts = [f"# {self.title}", ""]
        for section in self.sections.values():
            parts += [f"## {section.title}", "", section.note, "", *table(section.rows), ""]
        parts += [
            "In brackets: 95 % bootstrap intervals over utterances.",
            "",
            "## How it was made",
            "",
            f"uslm {__version__}, {self.created}",
            "",
        ]
        for name, facts in (
            ("config", self.config),
            ("model", self.model),
            ("machine", self.machine),
        ):
            parts += [f"- {name}: " + ", ".join(f"{k} `{v}`" for k, v in facts.items())]
        return "\n".join(parts) + "\n"


def table(rows: Mapping[str, Mapping[str, Estimate]]) -> list[str]:
    """Lines of a Markdown table; a column for each measure that any row has."""
    columns = [name for name in MEASURES if any(name in row for row in rows.values())]
    lines = [
        "| | " + " | ".join(MEASURES[name][0] for name in columns) + " | n |",
        "|---" * (len(columns) + 2) + "|",
    ]
    for label, row in rows.items():
        cells = [show(name, row[name]) if name in row else "" for name in columns]
        count = max((each.count for each in row.values()), default=0)
        lines.append(f"| {label} | " + " | ".join(cells) + f" | {count} |")
    return lines


def show(measure: str, value: Estimate) -> str:
    """A value with its interval, in the measure's own unit."""
    _, factor, digits = MEASURES[measure]
    shown = f"{factor * value.value:.{digits}f}"
    if value.count < 2:
        return shown
    return f"{shown} [{factor * value.low:.{digits}f}, {factor * value.high:.{digits}f}]"


def load_report(path: str | Path) -> dict[str, Any]:
    """The dict of a report that was written as JSON. MissingResource, UserError if it is none."""
    path = Path(path)
    if not path.is_file():
        raise MissingResource(
            f"there is no report {str(path)!r}; uslm evaluate and uslm_recipes.evaluate make one"
        )
    try:
        report = json.loads(path.read_text("utf-8"))
    except ValueError as problem:
        raise UserError(f"{str(path)!r} is not JSON: {problem}") from problem
    if not isinstance(report, dict) or report.get("format") != FORMAT:
        raise UserError(f"{str(path)!r} is not a report of format {FORMAT}")
    return report


def sections_of(report: Mapping[str, Any]) -> dict[str, Section]:
    """The tables of a loaded report."""
    return {
        name: Section(
            title=section["title"],
            note=section["note"],
            rows={
                label: {measure: Estimate(**value) for measure, value in row.items()}
                for label, row in section["rows"].items()
            },
        )
        for name, section in report["sections"].items()
    }
