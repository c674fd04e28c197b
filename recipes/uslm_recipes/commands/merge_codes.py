"""A copy of a trained codec whose codes are merged over frames (VALL-E R; Han et al. 2024).

    python -m uslm_recipes.commands.merge_codes runs/codec/model --merge 2 1 1 1 --out runs/merged

Nothing is trained anew: the levels that are not merged code what the merging lost. A language model
of the first level takes half the steps then.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from uslm_recipes.command import run_command
from uslm_tokenizer.base import AudioTokenizer
from uslm_tokenizer.codecs.speech_tokenizer.model import SpeechTokenizer
from uslm_tokenizer.codecs.waveform_codec.model import WaveformCodec
from uslm_tokenizer.errors import ConfigError, UserError
from uslm_tokenizer.quantize.rvq import ResidualQuantizerConfig
from uslm_tokenizer.registry import load_tokenizer


def merged_codec(codec: AudioTokenizer, merge: Sequence[int]) -> AudioTokenizer:
    """The same codec, each level of which shares its codes over so many frames.

    Raises ConfigError for a codec without a single residual stack of our own, and unless there is a
    number for each level.
    """
    made: AudioTokenizer
    if isinstance(codec, SpeechTokenizer):
        made = SpeechTokenizer(replace(codec.config, merge=tuple(merge)))
    elif isinstance(codec, WaveformCodec) and isinstance(
        codec.config.quantizer, ResidualQuantizerConfig
    ):
        quantizer = replace(codec.config.quantizer, merge=tuple(merge))
        made = WaveformCodec(replace(codec.config, quantizer=quantizer))
    else:
        raise ConfigError(
            "codec must be a speech_tokenizer or a waveform_codec with one residual stack, but is "
            f"a {codec.model_type}"
        )
    weights = {name: each for name, each in codec.state_dict().items() if name != MERGE}
    found = made.load_state_dict(weights, strict=False)
    assert not found.unexpected_keys and set(found.missing_keys) <= {MERGE}
    return made.eval()


MERGE = "quantizer.merge"
"""The tensor that tells merged codes from others."""


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line."""
    parser = argparse.ArgumentParser(prog="merge_codes", description=__doc__.split("\n", 1)[0])
    parser.add_argument("codec", type=Path, help="a trained codec")
    parser.add_argument(
        "--merge",
        required=True,
        type=int,
        nargs="+",
        help="frames a code lasts, of each level",
    )
    parser.add_argument("--out", required=True, type=Path, help="folder of the copy")
    options = parser.parse_args(arguments)

    def run() -> None:
        if options.out.exists() and any(options.out.iterdir()):
            raise UserError(f"{options.out} is not empty; choose another folder")
        codec = merged_codec(load_tokenizer(options.codec), options.merge)
        codec.save_pretrained(options.out)
        print(f"codes of {options.out} are merged over {options.merge} frames")

    return run_command("merge_codes", run)


if __name__ == "__main__":
    raise SystemExit(main())
