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
from uslm_recipes.data.corpus_audio import remove_audio
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
    parser.add_argument(
        "--remove-audio", action="store_true",
        help="delete the corpora's audio once the tokens are whole: language models need no more",
    )  # fmt: skip
    given = parser.parse_args(arguments)
    return run_command("encode", lambda: _run(given))


def _run(given: argparse.Namespace) -> None:
    if given.shard is not None:
        if given.remove_audio:
            raise UserError("--remove-audio goes with --merge: other shares need the audio")
        shard = Shard.parse(given.shard)
        _encode(given, shard)
        print(f"shard {shard} is done; when all are: --merge {shard.count}")
        return
    tokens = _whole(given)
    print(f"{int(tokens.num_frames.sum())} frames of {len(tokens)} utterances in {given.out}")
    if given.remove_audio:
        removed = sum(remove_audio(Path(folder)) for folder in given.corpus)
        print(f"{removed / 1e9:.2f} GB of audio removed")


def _whole(given: argparse.Namespace) -> TokenCorpus:
    """The tokens of all, made here, on Ray or of shares that are done."""
    if given.merge is not None:
        return merge_shards(Corpus.open(given.corpus), given.out, given.merge)
    if given.ray is None:
        _encode(given, WHOLE)
        folders = [given.out / str(number) for number in range(len(given.corpus))]
        return TokenCorpus.open(Corpus.open(given.corpus), folders)
    if given.device not in ("cpu", "cuda"):
        raise UserError(f"with --ray the device must be cpu or cuda, but is {given.device!r}")
    num_gpus = int(given.device == "cuda")
    run_on_ray(partial(_encode, given), given.shards, address=given.ray, num_gpus=num_gpus)
    return merge_shards(Corpus.open(given.corpus), given.out, given.shards)


def _encode(given: argparse.Namespace, shard: Shard) -> None:
    tokenizer = load_tokenizer(given.tokenizer)
    move((tokenizer,), given.device)
    corpus, seconds = Corpus.open(given.corpus), given.seconds_per_batch
    encode_shard(tokenizer, corpus, given.out, shard, seconds_per_batch=seconds)


if __name__ == "__main__":
    raise SystemExit(main())
