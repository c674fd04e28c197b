"""Folders as a conversion writes them, for systems with random weights."""

import json
from collections.abc import Mapping
from pathlib import Path

from uslm.text.maskgct import VOCAB_FILE
from uslm.text.vocab import PHONEME_SYMBOLS
from uslm_tokenizer.hub import PretrainedModel
from uslm_tokenizer.pretrained.store import RECORD


def save_parts(system: str, parts: Mapping[str, PretrainedModel], folder: Path) -> None:
    """A sub-folder for each part, and the record of what they are."""
    for name, part in parts.items():
        part.save_pretrained(folder / name)
    record = {"format": 1, "system": system, "sources": []}
    (folder / RECORD).write_text(json.dumps(record), "utf-8")


def save_signs(folder: Path) -> None:
    """A table of single signs, in place of the pretrained one."""
    signs = ["_", *"'…", *PHONEME_SYMBOLS.replace(" ", "")]
    table = {"vocab": {sign: place for place, sign in enumerate(signs)}}
    (folder / VOCAB_FILE).write_text(json.dumps(table), "utf-8")
