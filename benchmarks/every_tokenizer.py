#!/usr/bin/env python3
"""The bench over many tokenizers: the default's, trained ones, random weights, log-mel k-means.

    python benchmarks/every_tokenizer.py --speech ../shared/speech --out docs/bench --quick \\
        --train-steps 800 --teacher openai/whisper-base --small --recognizer openai/whisper-base

The speech is `kokoro.jsonl` of the folder: generated lines with the phonemes' true durations. The
page has a table and plots for each suite; the numbers are in `report.json` beside it. With
`--train-steps` it trains codecs of its own first (`own_codecs.py`), so that all of a page comes
from one command; `--trained NAME=FOLDER` takes others that are there.
"""

from __future__ import annotations

import argparse
import json
import shlex
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch
from own_codecs import OwnCodecs

from uslm.evaluation.judges.loading import load_judges
from uslm.evaluation.plots import curves, dots, standing_alone
from uslm.evaluation.report.report import MEASURES, Report, Section
from uslm.evaluation.suites.baseline import MelUnits, MelUnitsConfig
from uslm.evaluation.suites.bench import run_bench
from uslm.evaluation.suites.bench_config import QUICK, SUITES, BenchConfig
from uslm.evaluation.suites.speech_set import SAMPLE_RATE, SpeechSet, read_manifest
from uslm.models.folders import resolve_bundle
from uslm_tokenizer.base import AudioTokenizer
from uslm_tokenizer.codecs.speech_tokenizer.model import SpeechTokenizer
from uslm_tokenizer.codecs.waveform_codec.model import WaveformCodec, WaveformCodecConfig
from uslm_tokenizer.errors import MissingResource, UserError
from uslm_tokenizer.machine import Machine
from uslm_tokenizer.nn.seanet import SEANetConfig
from uslm_tokenizer.quantize.fsq import FiniteScalarQuantizerConfig
from uslm_tokenizer.quantize.vq import VectorQuantizerConfig
from uslm_tokenizer.registry import load_tokenizer, tokenizer_class

MANIFEST = "kokoro.jsonl"
RANDOM = "random weights"
GENDERS = {"f": "female", "m": "male"}


def main(arguments: Sequence[str] | None = None) -> int:
    options = parse(arguments)
    with tempfile.TemporaryDirectory() as place:
        return judge(options, options.work or Path(place), command(arguments))


def judge(options: argparse.Namespace, work: Path, asked: str) -> int:
    """Make the page; `work` is where codecs are trained, `asked` the command as it is shown."""
    config = replace(
        QUICK if options.quick else BenchConfig(),
        seeds=tuple(range(options.seeds)),
        suites=tuple(options.suites),
    )
    try:
        speech = labelled_speech(options.speech, config, options.speakers)
        judges = None
        if options.recognizer:
            judges = load_judges(options.recognizer, options.speaker_model)
        tokenizers = dict(all_tokenizers(options, speech, work))
    except UserError as problem:
        print(f"every_tokenizer.py: error: {problem}", file=sys.stderr)
        return 1
    sections: dict[str, Section] = {}
    for name, tokenizer in tokenizers.items():  # the page after each: a run takes long
        # Controls are of the bench and not of a tokenizer: random weights go without.
        own = replace(config, controls=config.controls and RANDOM not in name)
        found = run_bench({name: tokenizer}, speech, own, judges=judges, say=say)
        for key, section in found.items():
            sections[key] = joined(sections.get(key), section)
        done = list(tokenizers)[: list(tokenizers).index(name) + 1]
        report = Report(
            title="Tokenizers side by side",
            config={
                "command": asked, "speech": MANIFEST, "seeds": options.seeds,
                "suites": " ".join(config.suites),
            },
            model={each: f"{tokenizers[each].num_parameters():,} parameters" for each in done},
            sections=sections,
            machine=asdict(Machine.here()),
        )  # fmt: skip
        write(report, options.out)
    return 0


def command(arguments: Sequence[str] | None) -> str:
    """What makes the page again; of folders elsewhere their names alone."""
    words = [str(word) for word in (sys.argv[1:] if arguments is None else arguments)]
    shown = [Path(word).name if Path(word).is_absolute() else word for word in words]
    return shlex.join(["python", "benchmarks/every_tokenizer.py", *shown])


def say(words: str) -> None:
    print(words, file=sys.stderr, flush=True)


def joined(before: Section | None, more: Section) -> Section:
    """One table of both."""
    if before is None:
        return more
    return replace(
        before,
        rows={**before.rows, **more.rows},
        curves={
            title: {**before.curves.get(title, {}), **more.curves.get(title, {})}
            for title in (*before.curves, *more.curves)
        },
        by_seed={**before.by_seed, **more.by_seed},
    )


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    add = parser.add_argument
    add("--speech", type=Path, required=True, help=f"a folder with {MANIFEST}")
    add("--speakers", type=Path, help="JSON with the sex of its speakers, for a probe of it")
    add("--trained", nargs="*", default=[], metavar="NAME=FOLDER", help="tokenizers of your own")
    add("--train-steps", type=int, help="trains a plain, a distilled and a split codec for so many")
    add("--teacher", help="speech encoder that the distilled ones follow: a folder or Hub model")
    add("--work", type=Path, help="keeps what is trained there; it must not exist")
    add("--random", nargs="*", default=[], metavar="KIND", help="published sizes, random weights")
    add("--small", action="store_true", help="small codecs of 50 frames per second, random weights")
    add("--tiny", action="store_true", help="tiny sizes for those: does it run at all?")
    add("--recognizer", help="writes down what is said after resynthesis: Whisper")
    add("--speaker-model", help="compares voices after resynthesis")
    add("--suites", nargs="+", default=list(SUITES), choices=SUITES)
    add("--seeds", type=int, default=3)
    add("--quick", action="store_true", help="small probes: minutes for each tokenizer")
    add("--out", type=Path, required=True, help="folder for the page, its plots and report.json")
    options = parser.parse_args(arguments)
    if (options.train_steps is None) != (options.teacher is None):
        parser.error("--train-steps and --teacher go together")
    if options.work is not None and options.work.exists():
        parser.error(f"--work must be a new folder, but {options.work} is there")
    return options


def all_tokenizers(
    options: argparse.Namespace, speech: SpeechSet, work: Path
) -> list[tuple[str, AudioTokenizer]]:
    """By their names on the page."""
    default: Any = load_tokenizer(resolve_bundle("default") / "tokenizer")
    baseline = MelUnits(MelUnitsConfig(num_codebooks=2)).eval()
    draw = torch.Generator().manual_seed(0)
    baseline.fit([each.waveform for each in speech.train], SAMPLE_RATE, generator=draw)
    found: list[tuple[str, AudioTokenizer]] = [
        ("log-mel k-means", baseline),
        ("default units", default.units),
        ("default codec", default),
    ]
    if options.train_steps is not None:
        own = OwnCodecs(steps=options.train_steps, teacher=options.teacher)
        tested = {each.labels["speaker"] for each in speech.test}
        found += own.train(options.speech / MANIFEST, tested, work, say)
    for given in options.trained:
        name, _, folder = given.partition("=")
        found.append((name, load_tokenizer(folder)))
    for kind in options.random:
        model: Any = tokenizer_class(kind)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            config = model.tiny_config() if options.tiny else model.config_class()
            size = f"tiny, {RANDOM}" if options.tiny else RANDOM
            found.append((f"{kind} ({size})", model(config).eval()))
    if options.small:
        found += [(f"{name} (small, {RANDOM})", codec.eval()) for name, codec in small_codecs()]
    return found


def small_codecs() -> list[tuple[str, AudioTokenizer]]:
    """Of one encoder, with a scalar quantizer, a single codebook, and SpeechTokenizer's levels."""

    def network(dim: int) -> SEANetConfig:
        return SEANetConfig(dim=dim, num_filters=4, strides=(4, 8, 10), num_lstm_layers=0)

    published = SpeechTokenizer.tiny_config()
    strides = replace(published.network, strides=(4, 8, 10))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return [
            ("FSQ codec", WaveformCodec(WaveformCodecConfig(
                encoder=network(4), quantizer=FiniteScalarQuantizerConfig(levels=(8, 5, 5, 5))
            ))),
            ("VQ codec", WaveformCodec(WaveformCodecConfig(
                encoder=network(16), quantizer=VectorQuantizerConfig(dim=16, codebook_size=256)
            ))),
            ("SpeechTokenizer", SpeechTokenizer(replace(published, network=strides))),
        ]  # fmt: skip


def labelled_speech(folder: Path, config: BenchConfig, speakers: Path | None) -> SpeechSet:
    """The folder's lines, with the gender of each voice where it is known."""
    if not (folder / MANIFEST).is_file():
        raise MissingResource(f"there is no {MANIFEST} in {folder}")
    rows = [json.loads(line) for line in (folder / MANIFEST).read_text("utf-8").splitlines()]
    known: Mapping[str, str] = {}
    if speakers is not None:
        listed = json.loads(speakers.read_text("utf-8"))["speakers"]
        known = {each["id"]: GENDERS[each["sex"]] for each in listed if each["sex"] in GENDERS}
    for row in rows:
        row["audio"] = str((folder / row["audio"]).resolve())
        gender = known.get(row["speaker"].rpartition("/")[2])
        row["labels"] = {} if gender is None else {"gender": gender}
    with tempfile.TemporaryDirectory() as place:
        path = Path(place) / "manifest.jsonl"
        path.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
        return read_manifest(
            path, num_train=config.num_train, num_test=config.num_test,
            max_seconds=config.max_seconds,
        )  # fmt: skip


def write(report: Report, folder: Path) -> None:
    """index.md, a file for each plot, and report.json."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "report.json").write_text(report.to_json(), "utf-8")
    lines = report.to_markdown().splitlines()
    for key, section in report.sections.items():
        after = next(i for i, line in enumerate(lines) if line == f"## {section.title}")
        following = (i for i in range(after + 1, len(lines)) if lines[i].startswith(("## ", "In ")))
        end = next(following)
        plots: list[str] = []
        for name, (title, drawing) in drawings(key, section).items():
            (folder / f"{name}.svg").write_text(standing_alone(drawing), "utf-8")
            plots += [f"![{title}]({name}.svg)", ""]
        lines[end:end] = plots
    (folder / "index.md").write_text("\n".join(lines) + "\n", "utf-8")
    print(folder / "index.md", file=sys.stderr)


def drawings(key: str, section: Section) -> dict[str, tuple[str, str]]:
    """Title and drawing of each plot, by the name of its file."""
    found = {}
    for name in section.drawn:
        rows = {label: row[name] for label, row in section.rows.items() if name in row}
        if rows:
            found[f"{key}-{name}"] = (MEASURES[name][0], dots(rows))
    for number, (title, lines) in enumerate(section.curves.items(), start=1):
        found[f"{key}-{number}"] = (title, curves(lines))
    return found


if __name__ == "__main__":
    sys.exit(main())
