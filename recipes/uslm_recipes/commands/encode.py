"""Turn a corpus into tokens, once; the language models train on these.

    python -m uslm_recipes.encode --corpus data/corpus --tokenizer runs/codec/model \\
        --out runs/tokens

One token folder is written for each corpus folder. A run that was stopped goes on where it was, and
ends with the same tokens.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

from uslm.models.device import move
from uslm_recipes.command import run_command
from uslm_recipes.data.corpus import Corpus
from uslm_recipes.data.encoding import encode_corpus
from uslm_tokenizer.registry import load_tokenizer


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m uslm_recipes.encode", description=__doc__)
    parser.add_argument("--corpus", nargs="+", required=True, help="corpus folders")
    parser.add_argument("--tokenizer", required=True, help="folder or Hub name of a tokenizer")
    parser.add_argument("--out", type=Path, required=True, help="folder for the tokens")
    parser.add_argument("--device", default="cpu", help="where the tokenizer runs")
    parser.add_argument(
        "--seconds-per-batch", type=float, default=120.0, help="padded audio at a time (120)"
    )
    given = parser.parse_args(arguments)

    def action() -> None:
        tokenizer = load_tokenizer(given.tokenizer)
        move((tokenizer,), given.device)
        tokens = encode_corpus(
            tokenizer,
            Corpus.open(given.corpus),
            given.out,
            seconds_per_batch=given.seconds_per_batch,
        )
        print(f"{int(tokens.num_frames.sum())} frames of {len(tokens)} utterances in {given.out}")

    return run_command("encode", action)


if __name__ == "__main__":
    raise SystemExit(main())
