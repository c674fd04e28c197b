#!/usr/bin/env python3
"""Effects that papers claim, measured here with their controls.

    python benchmarks/effects/run.py --list
    python benchmarks/effects/run.py distillation --seeds 3 --quick --out page
    python benchmarks/effects/run.py --all --quick --out page --manifest speech.jsonl
    python benchmarks/effects/run.py distillation --quick --broken "gradient cut"

Prints one JSON line an effect: name, arms with estimate and interval, control, and `shows`: true,
false, or "no difference". Without a manifest of real speech it is measured on made-up speech.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

import distillation
import kmeans_start
import shorter
from effect import Effect, Setting, run_effect
from effect_page import write_effect, write_index

from uslm.evaluation.suites.made_speech import made_speech
from uslm.evaluation.suites.speech_set import read_manifest
from uslm_tokenizer.errors import UserError

EFFECTS: dict[str, Effect] = {
    effect.name: effect
    for effect in (distillation.EFFECT, kmeans_start.EFFECT, shorter.DROP, shorter.MERGE)
}
SIZES = {True: (120, 48), False: (600, 120)}
"""Utterances to train and to test with, quick and not."""


def main(arguments: Sequence[str] | None = None) -> int:
    options = parse(arguments)
    if options.list:
        for effect in EFFECTS.values():
            print(f"{effect.name}: {effect.claim}. {effect.paper}. Arms: {', '.join(effect.arms)}.")
        return 0
    try:
        setting = prepare(options)
    except UserError as problem:
        print(f"run.py: error: {problem}", file=sys.stderr)
        return 1
    names = list(EFFECTS) if options.all else [options.name]
    records = []
    for name in names:
        effect = EFFECTS[name]
        outcome = run_effect(effect, setting, range(options.seeds))
        print(json.dumps(outcome.to_dict()), flush=True)
        if options.out is not None:
            write_effect(effect, outcome, command(name, options), options.out)
            records.append({"claim": effect.claim, "paper": effect.paper, **outcome.to_dict()})
    if options.all and options.out is not None:
        print(write_index(records, options.out), file=sys.stderr)
    return 0


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("name", nargs="?", choices=list(EFFECTS), help="one effect")
    parser.add_argument("--list", action="store_true", help="name the effects and their arms")
    parser.add_argument("--all", action="store_true", help="every effect, and the index")
    parser.add_argument("--seeds", type=int, default=3, help="repetitions (default 3)")
    parser.add_argument("--quick", action="store_true", help="minutes on two cores")
    parser.add_argument("--out", type=Path, help="folder for the pages")
    parser.add_argument("--manifest", help="real speech, as `uslm evaluate --manifest` takes it")
    parser.add_argument("--broken", help="spoil the mechanism so: nothing may show then")
    options = parser.parse_args(arguments)
    if [options.list, options.all, options.name is not None].count(True) != 1:
        parser.error("say one of --list, --all and a name")
    if options.seeds < 1:
        parser.error(f"--seeds must be at least 1, but is {options.seeds}")
    if options.broken is not None:
        breaks = EFFECTS[options.name].breaks if options.name else ()
        if options.broken not in breaks:
            parser.error(f"--broken must be of {', '.join(breaks)}, but is {options.broken!r}")
    return options


def prepare(options: argparse.Namespace) -> Setting:
    num_train, num_test = SIZES[options.quick]
    if options.manifest is None:
        speech, source = made_speech(num_train=num_train, num_test=num_test), "made-up speech"
    else:
        speech = read_manifest(
            options.manifest,
            num_train=num_train,
            num_test=num_test,
            min_seconds=1.2,
            max_seconds=5 if options.quick else 10,
        )
        source = Path(options.manifest).name
    words = f"{source}, {len(speech.train)} utterances to train and {len(speech.test)} to test"
    return Setting(speech=speech, source=words, quick=options.quick, broken=options.broken)


def command(name: str, options: argparse.Namespace) -> str:
    """What repeats the page."""
    parts = ["python benchmarks/effects/run.py", name, "--seeds", str(options.seeds)]
    parts += ["--quick"] * options.quick
    parts += ["--manifest", Path(options.manifest).name] if options.manifest else []
    return " ".join(parts)


if __name__ == "__main__":
    sys.exit(main())
