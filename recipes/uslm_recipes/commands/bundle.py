"""Put a trained tokenizer and both trained stages into one folder that speaks.

    python -m uslm_recipes.bundle --tokenizer runs/codec/model --semantic runs/ar/model \\
        --acoustic runs/nar/model --out runs/bundle --name my-voice-model
"""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from uslm.models.base import AcousticModel, SemanticModel
from uslm.systems.registry import load_model
from uslm.systems.two_stage.bundle import Bundle, save_bundle
from uslm.systems.two_stage.config import BundleConfig
from uslm.text.vocab import PhonemeVocab, SentencePieceVocab, TextVocab
from uslm_recipes.command import run_command
from uslm_recipes.config import apply_override
from uslm_tokenizer.config import from_dict
from uslm_tokenizer.errors import ConfigError
from uslm_tokenizer.registry import load_tokenizer


def build(
    tokenizer: str,
    semantic: str,
    acoustic: str,
    config: BundleConfig,
    vocab: TextVocab | None = None,
) -> Bundle:
    """Load the three parts; raises ConfigError where they do not belong together. `vocab` is
    phonemes unless given."""
    stage1, stage2 = load_model(semantic), load_model(acoustic)
    if not isinstance(stage1, SemanticModel):
        raise ConfigError(f"{semantic} holds a {stage1.model_type!r}, not a semantic model")
    if not isinstance(stage2, AcousticModel):
        raise ConfigError(f"{acoustic} holds a {stage2.model_type!r}, not an acoustic model")
    vocab = vocab or PhonemeVocab()
    size = getattr(stage1.config, "text_vocab_size", vocab.size)
    if size < vocab.size:
        raise ConfigError(
            f"stage 1 reads {size} text ids, but the vocabulary has {vocab.size}: it was trained "
            "with another one"
        )
    return Bundle(config, load_tokenizer(tokenizer), stage1, stage2, vocab)


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m uslm_recipes.bundle", description=__doc__)
    parser.add_argument("--tokenizer", required=True, help="folder of the trained codec")
    parser.add_argument("--semantic", required=True, help="folder of the trained stage 1")
    parser.add_argument("--acoustic", required=True, help="folder of the trained stage 2")
    parser.add_argument("--name", default="uslm-default", help="what the model is called")
    parser.add_argument("--language", default="en-us", help="language as espeak calls it")
    parser.add_argument(
        "--vocab", metavar="FILE.model", help="subwords that stage 1 reads in place of phonemes"
    )
    parser.add_argument("--dtype", default="float16", choices=["float16", "float32"])
    parser.add_argument("--out", type=Path, required=True, help="the folder to write")
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="change one value of bundle.json, such as sampling.temperature=0.7",
    )
    given = parser.parse_args(arguments)

    def action() -> None:
        values: dict[str, Any] = {"name": given.name, "language": given.language}
        for override in given.set:
            apply_override(values, override)
        vocab = None
        if given.vocab is not None:
            vocab = SentencePieceVocab.load(given.vocab)
            apply_override(values, "frontend.vocab=sentencepiece")
        config = from_dict(BundleConfig, values)
        bundle = build(given.tokenizer, given.semantic, given.acoustic, config, vocab)
        save_bundle(bundle, given.out, dtype=getattr(torch, given.dtype))
        size = sum(path.stat().st_size for path in given.out.rglob("*.safetensors"))
        print(f"{given.out}: {size / 1e6:.1f} MB of weights")

    return run_command("bundle", action)


if __name__ == "__main__":
    raise SystemExit(main())
