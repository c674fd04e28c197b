"""Turn a corpus into tokens, once; the language models train on these.

    python -m uslm_recipes.encode --corpus data/corpus --tokenizer runs/codec/model \\
        --out runs/tokens

One token folder is written for each corpus folder. A run that was stopped goes on where it was, and
ends with the same tokens. Many machines share the work (`--shard 3/8`, say of a Slurm array), and
`--merge 8` makes of their shares what one would have made; `--ray` does both on a cluster of Ray.
"""

import argparse
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from uslm.models.device import move
from uslm_recipes.command import run_command
from uslm_recipes.data.corpus import Corpus
from uslm_recipes.data.encoding import encode_shard, merge_shards
from uslm_recipes.data.shard import WHOLE, Shard
from uslm_recipes.data.tokens import TokenCorpus
from uslm_recipes.ray_cluster import add_shard_arguments, run_on_ray
from uslm_tokenizer.errors import UserError
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
    add_shard_arguments(parser)
    given = parser.parse_args(arguments)
    return run_command("encode", lambda: _run(given))


def _run(given: argparse.Namespace) -> None:
    if given.ray is not None:
        if given.device not in ("cpu", "cuda"):
            raise UserError(f"with --ray the device must be cpu or cuda, but is {given.device!r}")
        num_gpus = int(given.device == "cuda")
        work = partial(_encode, given)
        run_on_ray(work, given.shards, address=given.ray, num_gpus=num_gpus)
        given.merge = given.shards
    if given.merge is not None:
        tokens = merge_shards(Corpus.open(given.corpus), given.out, given.merge)
        print(f"{int(tokens.num_frames.sum())} frames of {len(tokens)} utterances in {given.out}")
    elif given.shard is not None:
        shard = Shard.parse(given.shard)
        _encode(given, shard)
        print(f"shard {shard} is done; when all are: --merge {shard.count}")
    else:
        _encode(given, WHOLE)
        folders = [given.out / str(number) for number in range(len(given.corpus))]
        tokens = TokenCorpus.open(Corpus.open(given.corpus), folders)
        print(f"{int(tokens.num_frames.sum())} frames of {len(tokens)} utterances in {given.out}")


def _encode(given: argparse.Namespace, shard: Shard) -> None:
    tokenizer = load_tokenizer(given.tokenizer)
    move((tokenizer,), given.device)
    corpus, seconds = Corpus.open(given.corpus), given.seconds_per_batch
    encode_shard(tokenizer, corpus, given.out, shard, seconds_per_batch=seconds)


if __name__ == "__main__":
    raise SystemExit(main())
