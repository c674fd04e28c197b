"""Turn a corpus into tokens, once; the language models train on these.

    python -m uslm_recipes.encode --corpus data/corpus --tokenizer runs/codec/model \\
        --out runs/tokens

One token folder is written for each corpus folder. A run that was stopped goes on where it was, and
ends with the same tokens. Many machines share the work (`--shard 3/8`, say of a Slurm array), and
`--merge 8` makes of their shares what one would have made.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

from uslm.models.device import move
from uslm_recipes.command import run_command
from uslm_recipes.data.corpus import Corpus
from uslm_recipes.data.encoding import encode_corpus, encode_shard, merge_shards
from uslm_recipes.data.shard import Shard
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
    work = parser.add_mutually_exclusive_group()
    work.add_argument(
        "--shard", metavar="I/N", help="encode the share I (from 0) of N: one of many machines"
    )
    work.add_argument(
        "--merge", type=int, metavar="N", help="make the whole of N shares that are done"
    )
    given = parser.parse_args(arguments)

    def action() -> None:
        if given.merge is not None:
            tokens = merge_shards(Corpus.open(given.corpus), given.out, given.merge)
            print(f"{int(tokens.num_frames.sum())} frames of {len(tokens)} utterances")
            return
        tokenizer = load_tokenizer(given.tokenizer)
        move((tokenizer,), given.device)
        corpus, seconds = Corpus.open(given.corpus), given.seconds_per_batch
        if given.shard is not None:
            shard = Shard.parse(given.shard)
            encode_shard(tokenizer, corpus, given.out, shard, seconds_per_batch=seconds)
            print(f"shard {shard} is done; when all are: --merge {shard.count}")
            return
        tokens = encode_corpus(tokenizer, corpus, given.out, seconds_per_batch=seconds)
        print(f"{int(tokens.num_frames.sum())} frames of {len(tokens)} utterances in {given.out}")

    return run_command("encode", action)


if __name__ == "__main__":
    raise SystemExit(main())
