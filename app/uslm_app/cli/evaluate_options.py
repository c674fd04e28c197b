"""The options of `uslm evaluate`."""

from __future__ import annotations

from argparse import ArgumentParser

from uslm_app.cli.option_types import one_of, whole
from uslm_app.cli.options import add_common, add_model

SUITES = ("alignment", "preservation", "stream", "probes", "robustness", "compression")
CALLABLE_HELP = "or package.module:callable"


def add_evaluate(parser: ArgumentParser) -> None:
    """Options of `uslm evaluate`."""
    what = parser.add_argument_group("what is judged (one or more)")
    what.add_argument(
        "--list",
        metavar="FILE",
        help="seed-tts-eval's form, a line each: utterance|prompt text|prompt wav|text",
    )
    what.add_argument(
        "--recordings",
        nargs="+",
        metavar="AUDIO",
        help="recordings for the codec alone: encoded, decoded, compared",
    )
    what.add_argument(
        "--speech",
        metavar="FOLDER",
        help="judge UTTERANCE.wav in there, by whatever made them (default: --model speaks)",
    )
    what.add_argument("--limit", type=whole(1), metavar="N", help="only the first N of the list")
    _add_judges(parser)
    parser.add_argument(
        "--tokenizer",
        nargs="+",
        metavar="NAME",
        help="codec of --recordings and of SIM-r: folder or Hub repository (default: the model's); "
        "or all that go through the bench of --manifest",
    )
    _add_bench(parser)
    parser.add_argument(
        "--verify",
        action="store_true",
        help="let the model verify its speech and regenerate what is bad",
    )
    parser.add_argument(
        "--seed",
        type=whole(0, 2**63 - 1),
        default=0,
        metavar="N",
        help="of the first utterance, and of the bootstrap (default 0)",
    )
    parser.add_argument("--out", required=True, metavar="FOLDER", help="for sounds and reports")
    parser.add_argument("--force", action="store_true", help="replace an evaluation in --out")
    add_model(parser)
    add_common(parser)


def _add_judges(parser: ArgumentParser) -> None:
    judges = parser.add_argument_group("judges")
    judges.add_argument(
        "--recognizer",
        metavar="NAME",
        help=f"writes down what is said: Whisper's folder or Hub name, {CALLABLE_HELP}",
    )
    judges.add_argument(
        "--speaker-model",
        metavar="NAME",
        help="compares voices: resemblyzer, an x-vector model's folder or Hub name, "
        f"{CALLABLE_HELP}",
    )
    judges.add_argument(
        "--dnsmos", action="store_true", help="ask DNSMOS (needs speechmos and onnxruntime)"
    )
    judges.add_argument(
        "--normalizer",
        type=one_of(("seed-tts-eval", "whisper")),
        default="seed-tts-eval",
        metavar="NAME",
        help="how texts are made comparable: seed-tts-eval (default) or whisper",
    )
    judges.add_argument(
        "--language",
        type=one_of(("en", "zh")),
        default="en",
        metavar="NAME",
        help="of the list, for seed-tts-eval's normaliser: en (default) or zh",
    )


def _add_bench(parser: ArgumentParser) -> None:
    bench = parser.add_argument_group("the bench, of what tokens hold (--manifest)")
    bench.add_argument(
        "--manifest",
        metavar="FILE",
        help="JSON lines: audio, and what is known of text, phonemes, durations, speaker, labels",
    )
    bench.add_argument(
        "--suites",
        nargs="+",
        type=one_of(SUITES),
        default=list(SUITES),
        metavar="NAME",
        help=f"some of {', '.join(SUITES)} (default: all)",
    )
    bench.add_argument(
        "--seeds", type=whole(1, 100), default=3, metavar="N", help="of each probe (default 3)"
    )
    bench.add_argument(
        "--quick", action="store_true", help="small probes, which end in minutes on two cores"
    )
