"""Evaluation of speech language models: how often the right one of two recordings is likelier.

    python -m uslm_recipes.evaluate_lm --lm runs/lm/model runs/plain/model \\
        --tokenizer runs/units/model --pairs pairs same --out report

Pairs are those of `make_pairs`, or a folder with a `pairs.jsonl` of one's own.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from uslm_recipes.command import run_command
from uslm_tokenizer.errors import ConfigError

if TYPE_CHECKING:
    from uslm.evaluation.report.report import Report, Section
    from uslm.evaluation.suites.pairs import PairScores


def evaluate_lm(given: argparse.Namespace) -> Report:
    """Scores of every model on all pairs, a table for each kind."""
    from dataclasses import asdict

    from uslm.evaluation.report.report import Report
    from uslm.evaluation.suites.pairs import read_pairs, score_pairs
    from uslm.models.speech_lm import SpeechLM
    from uslm.systems.registry import load_model
    from uslm_tokenizer.machine import Machine
    from uslm_tokenizer.registry import load_tokenizer

    tokenizer = load_tokenizer(given.tokenizer)
    pairs = [pair for folder in given.pairs for pair in read_pairs(folder)]
    found: dict[str, Mapping[str, PairScores]] = {}
    for name in given.lm:
        model = load_model(name)
        if not isinstance(model, SpeechLM):
            raise ConfigError(f"{name} must be a speech language model, but is {model.model_type}")
        found[str(name)] = score_pairs(model.eval(), tokenizer, pairs)
    kinds = dict.fromkeys(pair.kind for pair in pairs)
    return Report(
        title="Pairs of recordings, judged by speech language models",
        config={name: str(value) for name, value in vars(given).items()},
        model={"tokenizer": given.tokenizer},
        sections={kind: _section(kind, found) for kind in kinds},
        utterances=(),
        machine=asdict(Machine.here()),
    )


def _section(kind: str, found: Mapping[str, Mapping[str, PairScores]]) -> Section:
    from uslm.evaluation.report.report import Section

    return Section(
        title=kind,
        note="Share of pairs whose true recording is likelier: by log-likelihood in all, for each "
        "token, for each second; chance is 50 %. Pairs of one question count once.",
        rows={
            name: {
                "pair_accuracy": scores[kind].accuracy["whole"],
                "pair_accuracy_token": scores[kind].accuracy["token"],
                "pair_accuracy_second": scores[kind].accuracy["second"],
                "nats_rate": scores[kind].nats_per_second,
                "token_rate": scores[kind].tokens_per_second,
            }
            for name, scores in found.items()
        },
        drawn=("pair_accuracy",),
    )


def parser() -> argparse.ArgumentParser:
    """The arguments."""
    parser = argparse.ArgumentParser(
        prog="python -m uslm_recipes.evaluate_lm", description=(__doc__ or "").partition("\n")[0]
    )
    add = parser.add_argument
    add("--lm", type=Path, nargs="+", required=True, help="folders of speech language models")
    add("--tokenizer", required=True, help="the tokenizer whose units they were trained on")
    add("--pairs", type=Path, nargs="+", required=True, help="folders with a pairs.jsonl")
    add("--out", type=Path, required=True, help="folder of the report")
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line."""
    given = parser().parse_args(arguments)

    def run() -> None:
        from uslm.evaluation.report.writing import write_report

        report = evaluate_lm(given)
        given.out.mkdir(parents=True, exist_ok=True)
        write_report(report, given.out)
        print(report.to_markdown())

    return run_command("evaluate_lm", run)


if __name__ == "__main__":
    raise SystemExit(main())
