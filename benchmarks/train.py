#!/usr/bin/env python3
"""How fast the recipes train: their steps on made-up data, variants side by side in one run.

    python benchmarks/train.py                                   # mini, on what there is
    python benchmarks/train.py --sizes mini base --device cuda --compiled
    python benchmarks/train.py --sizes tiny --seconds 0.1        # does it run at all?

Prints a Markdown table: steps, frames and hours of speech per second, arithmetic, and MFU, the
share of the device's peak (measured before, in the same precision) that goes into frames and not
into padding. On an H100 or H200 it ends with 1 if a goal is missed.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from train_work import BUILDERS, FRAME_RATE, Variant, Work, build, variants_of

from uslm_recipes.loop.flops import counted_flops, peak_flops
from uslm_tokenizer.machine import Machine

GOAL_MACHINES = ("H100", "H200")
MFU_GOALS = {
    ("ar", "base"): 0.40,
    ("nar", "base"): 0.40,
    ("ar", "mini"): 0.25,
    ("nar", "mini"): 0.25,
}
CODEC_STEPS = 20.0
"""Steps per second of the codec at `mini` size, 16 crops of 0.8 s, on such a machine."""
WARM_UP = 3


@dataclass(frozen=True, kw_only=True)
class Measured:
    """One line of the table."""

    recipe: str
    size: str
    variant: Variant
    steps_per_second: float
    frames_per_second: float
    padding: float
    """Share of what was computed."""
    flops_per_second: float
    """Padding counted."""
    peak: float

    @property
    def mfu(self) -> float:
        """Share of the peak that went into frames."""
        return self.flops_per_second * (1 - self.padding) / self.peak


def main(arguments: Sequence[str] | None = None) -> int:
    options = parse(arguments)
    if options.threads:
        torch.set_num_threads(options.threads)
    device = torch.device(options.device)
    found = []
    print("\n".join(heading(device)))
    for size in options.sizes:
        for recipe in options.recipes:
            for variant in variants_of(recipe, compiled=options.compiled):
                found.append(measure(recipe, size, variant, device, options.seconds))
                print(line(found[-1]), flush=True)
    missed = list(misses(found)) if any(m in device_name(device) for m in GOAL_MACHINES) else []
    print("\n".join(["", *(f"missed: {each}" for each in missed)]))
    return int(bool(missed))


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    add = parser.add_argument
    add("--sizes", nargs="+", default=["mini"], choices=("tiny", "mini", "base"))
    add("--recipes", nargs="+", default=list(BUILDERS), choices=BUILDERS)
    add("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    add("--compiled", action="store_true", help="torch.compile beside eager; it takes minutes")
    add("--seconds", type=float, default=5.0, help="how long each variant is measured")
    add("--threads", type=int, help="CPU threads")
    return parser.parse_args(arguments)


def measure(
    recipe: str, size: str, variant: Variant, device: torch.device, seconds: float
) -> Measured:
    """Steps until the time is over; the first ones warm up and do not count."""
    eager = build(recipe, size, Variant(batches=variant.batches), device)
    flops = counted_flops(eager.step)
    work = build(recipe, size, variant, device) if variant.compile else eager
    for _ in range(WARM_UP):
        work.step()
    each = seconds_of_a_step(work, device, seconds)
    return Measured(
        recipe=recipe,
        size=size,
        variant=variant,
        steps_per_second=1 / each,
        frames_per_second=work.frames / each,
        padding=1 - work.frames / work.padded_frames,
        flops_per_second=flops / each,
        peak=peak_flops(device, work.precision),
    )


def seconds_of_a_step(work: Work, device: torch.device, seconds: float) -> float:
    steps, began = 0, settled(device)
    while True:
        work.step()
        steps += 1
        if steps % 4 == 0 or device.type == "cpu":  # waiting for a GPU each time would slow it
            taken = settled(device) - began
            if taken >= seconds:
                return taken / steps


def settled(device: torch.device) -> float:
    """The time when the device has done what it was given."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter()


def device_name(device: torch.device) -> str:
    return torch.cuda.get_device_name(device) if device.type == "cuda" else ""


def heading(device: torch.device) -> Iterator[str]:
    machine = Machine.here(device)
    yield f"{device_name(device) or machine.cpu}, {machine.threads} threads, torch {machine.torch}."
    yield ""
    yield (
        "| recipe | size | variant | steps/s | frames/s | hours of speech/s | padding | TFLOP/s "
        "| peak TFLOP/s | MFU |"
    )
    yield "|---|---|---|---|---|---|---|---|---|---|"


def line(found: Measured) -> str:
    cells = [
        found.recipe,
        found.size,
        str(found.variant),
        f"{found.steps_per_second:.3g}",
        f"{found.frames_per_second:,.0f}",
        f"{found.frames_per_second / FRAME_RATE / 3600:.3g}",
        f"{found.padding:.1%}",
        f"{found.flops_per_second / 1e12:.3g}",
        f"{found.peak / 1e12:.3g}",
        f"{found.mfu:.1%}",
    ]
    return f"| {' | '.join(cells)} |"


def misses(found: Sequence[Measured]) -> Iterator[str]:
    """Goals that the best variant of a recipe does not reach."""
    for (recipe, size), goal in MFU_GOALS.items():
        best = max((m.mfu for m in found if (m.recipe, m.size) == (recipe, size)), default=None)
        if best is not None and best < goal:
            yield f"{recipe} at {size}: MFU {best:.1%}, goal {goal:.0%}"
    codec = [m.steps_per_second for m in found if (m.recipe, m.size) == ("codec", "mini")]
    if codec and max(codec) < CODEC_STEPS:
        yield f"codec at mini: {max(codec):.1f} steps/s, goal {CODEC_STEPS:g}"


if __name__ == "__main__":
    raise SystemExit(main())
