"""Learn a text vocabulary from the texts of recordings, for models without phonemes.

    python -m uslm_recipes.vocab speech/manifest.jsonl --size 1000 --out data/vocab.model
    uslm-prepare speech/manifest.jsonl --vocab data/vocab.model --out data/corpus

Subwords (SentencePiece unigrams; Kudo and Richardson 2018) need no phonemizer, and so work for any
language; a model has to learn what their letters sound like.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from uslm.text.vocab import SentencePieceVocab
from uslm_recipes.command import run_command
from uslm_recipes.commands.prepare import add_place_arguments, sources_of
from uslm_recipes.data.recording import Recording
from uslm_recipes.data.transcripts import PieceFrontEnd
from uslm_tokenizer.errors import UserError


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line."""
    assert __doc__ is not None
    parser = argparse.ArgumentParser(
        prog="python -m uslm_recipes.vocab",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_place_arguments(parser)
    parser.add_argument("--size", type=int, default=1000, help="subwords at most (1000)")
    parser.add_argument("--limit", type=int, help="recordings of each hf:NAME whose text is read")
    parser.add_argument("--out", type=Path, required=True, help="the .model file to write")
    options = parser.parse_args(arguments)

    def action() -> None:
        found = [each for each in sources_of(options) if isinstance(each, Recording)]
        texts = list(dict.fromkeys(filter(None, map(PieceFrontEnd.read, found))))
        if not texts:
            raise UserError(f"there is no text in the {len(found)} recordings that were found")
        vocab = SentencePieceVocab.train(texts, size=options.size)
        vocab.save(options.out)
        subwords = sum(len(vocab.encode(text)) for text in texts)
        characters = sum(map(len, texts))
        print(
            f"{options.out}: {vocab.size} subwords, learnt from {len(texts)} texts; "
            f"{characters / max(1, subwords):.2f} characters per subword"
        )

    return run_command("vocab", action)
