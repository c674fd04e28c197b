"""Make a corpus out of recordings: 16 kHz samples in one file, texts, phonemes, splits.

uslm-prepare LibriTTS/train-clean-100 speech/manifest.jsonl my_voice --out data/corpus
uslm-prepare 'hf:openslr/librispeech_asr?config=clean&split=train.100' --out data/corpus
uslm-prepare VCTK-Corpus-0.92 --speed 0.9 1.1 --out data/corpus

A run that was interrupted goes on where it stopped, when it is started again. Many machines share
the work (--shard 3/8, say of a Slurm array), and --merge 8 makes of their shares what one would
have made; --ray does both on a cluster of Ray.
"""

from __future__ import annotations

import argparse
import itertools
import os
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from uslm.text.vocab import SentencePieceVocab
from uslm_recipes.command import run_command
from uslm_recipes.data.audio_files import AudioLimits
from uslm_recipes.data.augment.perturb import Perturbation
from uslm_recipes.data.checks import TextRules
from uslm_recipes.data.preparing.run import PrepareConfig, Report, ids_of, prepare
from uslm_recipes.data.preparing.shards import merge_corpus, prepare_shard
from uslm_recipes.data.recording import Found
from uslm_recipes.data.shard import Shard
from uslm_recipes.data.sources.folder import read_folder
from uslm_recipes.data.sources.manifest import read_manifest
from uslm_recipes.data.sources.registry import SOURCES, open_source
from uslm_recipes.data.transcripts import PieceFrontEnd
from uslm_recipes.ray_cluster import add_shard_arguments, run_on_ray
from uslm_tokenizer.errors import UserError


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit code."""
    options = _parser().parse_args(arguments)
    return run_command("uslm-prepare", lambda: _run(options))


def _run(options: argparse.Namespace) -> None:
    if options.merge is not None:
        _print(options.out, merge_corpus(options.out, options.merge))
        return
    if options.ray is not None:
        run_on_ray(partial(_make_shard, options), options.shards, address=options.ray)
        _print(options.out, merge_corpus(options.out, options.shards))
        return
    config, front_end = _settings(options)
    if options.shard is None:
        _print(options.out, prepare(sources_of(options), options.out, config, front_end=front_end))
        return
    shard = Shard.parse(options.shard)
    prepare_shard(sources_of(options), options.out, config, shard, front_end=front_end)
    print(f"shard {shard} is done; when all are: --merge {shard.count}")


def _make_shard(options: argparse.Namespace, shard: Shard) -> None:
    """One of many tasks, each with a processor of its own."""
    config, front_end = _settings(options)
    config = replace(config, num_workers=0)
    prepare_shard(sources_of(options), options.out, config, shard, front_end=front_end)


def _settings(options: argparse.Namespace) -> tuple[PrepareConfig, PieceFrontEnd | None]:
    """Of the corpus, and a front end where it is not the usual one."""
    config = PrepareConfig(
        audio=AudioLimits(max_seconds=options.max_seconds),
        rules=TextRules(needs_text=options.needs_text),
        copies=(
            *(Perturbation(speed=speed) for speed in options.speed),
            *(Perturbation(semitones=semitones) for semitones in options.pitch),
        ),
        limit=options.limit,
        seed=options.seed,
        num_workers=options.workers,
    )
    if options.vocab is None:
        return config, None
    vocab = SentencePieceVocab.load(options.vocab)
    return replace(config, vocab=ids_of(vocab)), PieceFrontEnd(vocab)


def _print(out: Path, report: Report) -> None:
    summary = report.summary
    speed = report.hours_done * 3600 / max(report.seconds_taken, 1e-9)
    print(
        f"{out}: {summary.utterances} utterances of {summary.speakers} speakers, "
        f"{summary.hours:.2f} h, {summary.with_text} with text ids; {speed:.0f}x real time"
    )
    for name, hours in (summary.hours_by_source | summary.hours_by_split).items():
        print(f"  {name:16} {hours:6.2f} h")
    for reason, count in report.reasons.items():
        print(f"  rejected {count:7} {reason}")


def _parser() -> argparse.ArgumentParser:
    assert __doc__ is not None
    parser = argparse.ArgumentParser(
        prog="uslm-prepare",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add_source_arguments(parser)
    add("--out", type=Path, required=True, help="the corpus folder to write")
    add("--speed", type=float, nargs="+", default=[], metavar="FACTOR",
        help="training speakers once more, as of a tape that runs so fast")  # fmt: skip
    add("--pitch", type=float, nargs="+", default=[], metavar="SEMITONES",
        help="training speakers once more, so much higher at their tempo")  # fmt: skip
    add("--needs-text", action="store_true", help="leave out recordings without text")
    add("--seed", type=int, default=0, help="draws the speakers that --limit keeps")
    add("--vocab", type=Path, metavar="FILE.model",
        help="text ids are subwords of it (see uslm_recipes.vocab), not phonemes")  # fmt: skip
    add_shard_arguments(parser)
    return parser


def add_source_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of every command that goes through recordings."""
    add_place_arguments(parser)
    add = parser.add_argument
    add("--max-seconds", type=float, default=20.0, help="longest utterance (20)")
    add("--limit", type=int, help="at most so many utterances; the first ones of hf:NAME")
    workers = min(4, os.cpu_count() or 1)
    add("--workers", type=int, default=workers, help=f"processes that decode ({workers})")


def add_place_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of where recordings are looked for."""
    add = parser.add_argument
    add("places", nargs="*", metavar="PLACE",
        help="folder, manifest, JSON, tar, Parquet or hf:NAME; told by what is there")  # fmt: skip
    add("--source", choices=SOURCES, metavar="NAME",
        help=f"the layout of every PLACE: {', '.join(SOURCES)}")  # fmt: skip
    add("--manifest", type=Path, action="append", default=[], metavar="FILE.jsonl",
        help="one JSON object a line: audio, speaker, text, language ...")  # fmt: skip
    add("--folder", type=Path, action="append", default=[], metavar="DIR",
        help="x.wav beside x.txt, or metadata.csv; sub-folders are speakers")  # fmt: skip
    add("--language", default="en", help="language of texts whose source names none (en)")


def sources_of(options: argparse.Namespace) -> Iterator[Found]:
    """All that the arguments name, one place after another."""
    if not (options.places or options.manifest or options.folder):
        raise UserError("give at least one place, --manifest or --folder")
    for place in options.places:
        found = open_source(place, name=options.source, language=options.language)
        # A stream cannot be read to its end before the first is taken.
        yield from itertools.islice(found, options.limit) if place.startswith("hf:") else found
    for manifest in options.manifest:
        yield from read_manifest(manifest, options.language)
    for folder in options.folder:
        yield from read_folder(folder, options.language)


if __name__ == "__main__":
    raise SystemExit(main())
