"""Pairs of recordings that judge a speech language model, made of our own voices and data.

    python -m uslm_recipes.commands.make_pairs --out pairs --kinds words sentences stories
    python -m uslm_recipes.commands.make_pairs --out same --kinds consistency \\
        --manifest speech.jsonl

The first three are spoken: words against made-up ones, grammar, the end of a story. The last is
spliced from recordings: whether the speaker, the gender, the room or the noise stays.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from uslm_recipes.command import run_command
from uslm_tokenizer.errors import UserError

if TYPE_CHECKING:
    from uslm.evaluation.suites.made_pairs import Speak
    from uslm.evaluation.suites.pairs import Pair
    from uslm.tts import ZeroShotTTS

KINDS = ("words", "sentences", "stories", "consistency")


def make_pairs(given: argparse.Namespace) -> int:
    """Make the sets into `given.out`; their number of pairs."""
    from uslm.evaluation.suites.made_pairs import TEXTS, consistency_pairs, speak_pairs
    from uslm.evaluation.suites.pairs import write_pairs
    from uslm.evaluation.suites.speech_set import read_manifest

    found: list[Pair] = []
    spoken = [kind for kind in given.kinds if kind in TEXTS]
    if spoken:
        voices = _voices(given)
        for kind in spoken:
            texts = TEXTS[kind]()[: given.count]
            found += speak_pairs(texts, voices, given.out, seed=given.seed)
    if "consistency" in given.kinds:
        if given.manifest is None:
            raise UserError("--manifest must name recordings for the kind consistency")
        speech = read_manifest(given.manifest, num_train=4 * given.count, num_test=4 * given.count)
        found += consistency_pairs(speech.test, given.out, count=given.count, seed=given.seed)
    write_pairs(found, given.out)
    return len(found)


def _voices(given: argparse.Namespace) -> dict[str, Speak]:
    from uslm.tts import ZeroShotTTS
    from uslm.voices.stock import stock_voices

    tts = ZeroShotTTS.from_pretrained(given.model)
    return {name: _speaking(tts, name) for name in given.voices or list(stock_voices())[:2]}


def _speaking(tts: ZeroShotTTS, name: str) -> Speak:
    """One voice of the model, at the rate of recordings that are judged."""
    from uslm.evaluation.suites.speech_set import SAMPLE_RATE
    from uslm_tokenizer.audio.read import resample

    voice = tts.voice(name)

    def speak(text: str, seed: int) -> object:
        speech = tts.generate(text, voice, seed=seed)
        return resample(speech.waveform, speech.sample_rate, SAMPLE_RATE)

    return speak  # type: ignore[return-value]


def parser() -> argparse.ArgumentParser:
    """The arguments."""
    parser = argparse.ArgumentParser(
        prog="python -m uslm_recipes.commands.make_pairs",
        description=(__doc__ or "").partition("\n")[0],
    )
    add = parser.add_argument
    add("--kinds", nargs="+", choices=KINDS, default=list(KINDS[:3]), help="sets to make")
    add("--model", default="default", help="folder or Hub name of a speaking model")
    add("--voices", nargs="+", help="names or files of voices (default: two that come with uslm)")
    add("--manifest", type=Path, help="recordings of the kind consistency, with their speakers")
    add("--count", type=int, default=40, help="most pairs of a kind, for each voice")
    add("--seed", type=int, default=0)
    add("--out", type=Path, required=True, help="folder of recordings and pairs.jsonl")
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line."""
    given = parser().parse_args(arguments)

    def run() -> None:
        if (given.out / "pairs.jsonl").exists():
            raise UserError(f"{given.out} holds pairs; give another --out")
        print(f"{given.out}: {make_pairs(given)} pairs")

    return run_command("make_pairs", run)


if __name__ == "__main__":
    raise SystemExit(main())
