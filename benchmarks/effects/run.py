#!/usr/bin/env python3
"""Effects that papers claim, measured here with their controls.

    python benchmarks/effects/run.py --list
    python benchmarks/effects/run.py distillation --seeds 3 --quick --corpus data/corpus --out page
    python benchmarks/effects/run.py --all --quick --corpus data/corpus --out docs/effects
    python benchmarks/effects/run.py distillation --quick --broken "gradient cut"

Prints one JSON line an effect: name, arms with estimate and interval, control, and `shows`: true,
false, or "no difference". Without a corpus it is measured on made-up speech.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path

from effect import Effect, Setting, run_effect
from effect_page import write_effect, write_index

from uslm_tokenizer.errors import UserError

FOLDER = Path(__file__).parent
SIZES = {True: (200, 60), False: (1500, 80)}
"""Utterances to learn from and to measure with, quick and not."""


def find_effects() -> dict[str, Effect]:
    """Those of every module beside this one that has `EFFECTS`, by name."""
    found: dict[str, Effect] = {}
    for path in sorted(FOLDER.glob("*.py")):
        if path.stem == Path(__file__).stem or path.stem.startswith("effect"):
            continue
        for effect in import_module(path.stem).EFFECTS:
            assert effect.name not in found, f"two effects are called {effect.name}"
            assert len(effect.arms) >= 3 and effect.breaks, effect.name
            found[effect.name] = effect
    return found


def main(arguments: Sequence[str] | None = None) -> int:
    effects = find_effects()
    options = parse(arguments, effects)
    if options.list:
        for effect in effects.values():
            print(f"{effect.name}: {effect.claim}. {effect.paper}. Arms: {', '.join(effect.arms)}.")
        return 0
    settings: dict[tuple[int, int], Setting] = {}  # effects on the same speech read it once
    for name in effects if options.all else [options.name]:
        sizes = (options.quick and effects[name].quick_sizes) or SIZES[options.quick]
        setting = settings.setdefault(sizes, make_setting(options, *sizes))
        try:
            outcome = run_effect(effects[name], setting, range(options.seeds))
        except UserError as problem:
            print(f"run.py: error: {problem}", file=sys.stderr)
            return 1
        print(json.dumps(outcome.to_dict()), flush=True)
        if options.out is not None:
            write_effect(effects[name], outcome, command(name, options), options.out)
            print(write_index(effects, options.out), file=sys.stderr)
    return 0


def make_setting(options: argparse.Namespace, num_train: int, num_test: int) -> Setting:
    """What the command line says of the setting."""
    return Setting(
        corpus=options.corpus,
        teacher=options.teacher,
        judge=options.judge,
        quick=options.quick,
        scale=options.scale,
        num_train=num_train,
        num_test=num_test,
        broken=options.broken,
    )


def parse(arguments: Sequence[str] | None, effects: dict[str, Effect]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("name", nargs="?", choices=list(effects), help="one effect")
    parser.add_argument("--list", action="store_true", help="name the effects and their arms")
    parser.add_argument("--all", action="store_true", help="every effect")
    parser.add_argument("--seeds", type=int, default=3, help="repetitions (default 3)")
    parser.add_argument("--quick", action="store_true", help="minutes on two cores")
    parser.add_argument("--scale", type=float, default=1.0, help="share of its training steps")
    parser.add_argument("--corpus", type=Path, help="a folder of uslm-prepare, with durations")
    parser.add_argument("--teacher", help="a speech encoder, for effects that train by recipes")
    parser.add_argument("--judge", help="a language model of text, for last_judge")
    parser.add_argument("--out", type=Path, help="folder for the page and the index")
    parser.add_argument("--broken", help="spoil the mechanism so: nothing may show then")
    options = parser.parse_args(arguments)
    if [options.list, options.all, options.name is not None].count(True) != 1:
        parser.error("say one of --list, --all and a name")
    if options.seeds < 1:
        parser.error(f"--seeds must be at least 1, but is {options.seeds}")
    if options.scale <= 0:
        parser.error(f"--scale must be above 0, but is {options.scale}")
    if options.broken is not None:
        breaks = effects[options.name].breaks if options.name else ()
        if options.broken not in breaks:
            parser.error(f"--broken must be of {', '.join(breaks)}, but is {options.broken!r}")
    return options


def command(name: str, options: argparse.Namespace) -> str:
    """What repeats the page."""
    parts = ["python benchmarks/effects/run.py", name, "--seeds", str(options.seeds)]
    parts += ["--quick"] * options.quick
    parts += ["--scale", f"{options.scale:g}"] * (options.scale != 1)
    parts += ["--corpus", options.corpus.name] if options.corpus else []
    parts += ["--teacher", Path(options.teacher).name] if options.teacher else []
    parts += ["--judge", Path(options.judge).name] if options.judge else []
    parts += ["--broken", repr(options.broken)] if options.broken else []
    return " ".join(parts)


if __name__ == "__main__":
    sys.exit(main())
