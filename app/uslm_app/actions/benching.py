"""One run of `uslm evaluate --manifest`: tokenizers through the bench, and its report."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path

import torch

from uslm.evaluation.judges.loading import load_judges
from uslm.evaluation.metrics.scores import Judges
from uslm.evaluation.report.report import Report
from uslm.evaluation.report.writing import write_report
from uslm.evaluation.suites.bench import run_bench
from uslm.evaluation.suites.bench_config import QUICK, BenchConfig
from uslm.evaluation.suites.speech_set import read_manifest
from uslm_app.actions import engine
from uslm_app.actions.evaluating import NOT_CONFIG
from uslm_app.cli.console import Console
from uslm_app.cli.given import EvaluateOptions
from uslm_tokenizer.base import AudioTokenizer
from uslm_tokenizer.errors import EnvironmentProblem, MissingResource
from uslm_tokenizer.machine import Machine


def run_bench_of(options: EvaluateOptions, console: Console) -> None:
    """Write everything to `--out`, and print the tables."""
    assert options.manifest is not None, "options are checked before"
    device = engine.find_device(options)
    config = replace(
        QUICK if options.quick else BenchConfig(),
        seeds=tuple(range(options.seed, options.seed + options.seeds)),
        suites=tuple(options.suites),
    )
    speech = read_manifest(
        options.manifest,
        num_train=config.num_train,
        num_test=config.num_test,
        max_seconds=config.max_seconds,
        seed=options.seed,
    )
    tokenizers, skipped = _load(options, console)
    if not tokenizers:
        reasons = "; ".join(f"{name}: {why}" for name, why in skipped.items())
        raise MissingResource(f"no tokenizer is there to measure: {reasons}")
    sections = run_bench(
        tokenizers, speech, config, judges=_judges(options, device), say=console.note
    )
    report = Report(
        title=f"Tokens of {', '.join(tokenizers)}",
        config={k: v for k, v in vars(options).items() if k not in NOT_CONFIG}
        | {"skipped": [f"{name}: {why}" for name, why in skipped.items()]},
        model={name: f"{each.num_parameters()} parameters" for name, each in tokenizers.items()},
        sections=sections,
        machine=asdict(Machine.here(device)),
    )
    folder = Path(options.out)
    folder.mkdir(parents=True, exist_ok=True)
    write_report(report, folder)
    if options.json:
        record = report.to_dict()
        kept = {key: record[key] for key in ("title", "sections")}
        console.json({"out": options.out, **kept, "skipped": skipped})
        return
    for line in report.to_markdown().splitlines():
        console.result(line)
    console.note(f"{folder / 'report.html'}: with plots")


def _load(
    options: EvaluateOptions, console: Console
) -> tuple[dict[str, AudioTokenizer], dict[str, str]]:
    """Those that are there, and why the others are not."""
    found: dict[str, AudioTokenizer] = {}
    skipped: dict[str, str] = {}
    for name in options.tokenizer or (None,):
        shown = name or "default"
        try:
            found[shown] = engine.load_tokenizer(name, options)
        except (MissingResource, EnvironmentProblem) as problem:
            skipped[shown] = str(problem)
            console.note(f"{shown} is skipped: {problem}")
    return found, skipped


def _judges(options: EvaluateOptions, device: torch.device) -> Judges | None:
    if options.recognizer is None:
        return None
    return load_judges(
        options.recognizer,
        options.speaker_model,
        normalizer=options.normalizer,
        language=options.language,
        dnsmos=options.dnsmos,
        device=device,
    )
