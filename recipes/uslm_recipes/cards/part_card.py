"""The card of one trained part, a tokenizer or a language model, filled from its run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from uslm import __version__
from uslm_recipes.cards.training_facts import (
    hours_in_words,
    read_corpora,
    read_run,
    source_table,
    speed_table,
    trained_on,
)
from uslm_tokenizer.base import AudioTokenizer
from uslm_tokenizer.config import to_dict
from uslm_tokenizer.hub import PretrainedModel


def write_part_card(
    model: PretrainedModel, run: Path, corpora: Sequence[Path], *, licence: str
) -> str:
    """The text of README.md for a model that the run in `run` has made."""
    facts, corpus = read_run(run), read_corpora(corpora, strict=False)
    is_tokenizer = isinstance(model, AudioTokenizer)
    first_line = (type(model).__doc__ or "").strip().splitlines()[0]
    parts = [
        "---",
        f"license: {licence}",
        "library_name: uslm",
        f"tags: [speech, {'speech-tokenizer' if is_tokenizer else 'speech-language-model'}]",
        "---",
        "",
        f"# {model.model_type}",
        "",
        f"{first_line} {model.num_parameters() / 1e6:.2f} M parameters. One part of a speech "
        "model; alone it does not speak.",
        "",
        "```python",
        f"from {_loader(is_tokenizer)[0]} import {_loader(is_tokenizer)[1]}",
        "",
        f'model = {_loader(is_tokenizer)[1]}("FOLDER OR NAME ON THE HUB")',
        "```",
        "",
        "## Training",
        "",
        f"Trained on {trained_on([facts])}.",
        "",
        *speed_table([facts]),
        "",
        *_validated(facts.validation),
        "## Data",
        "",
        f"{hours_in_words(corpus)}.",
        "",
        *source_table(corpus),
        "",
        "## Config",
        "",
        "| key | value |",
        "|---|---|",
        *(f"| {key} | {value} |" for key, value in _rows(to_dict(model.config))),
        "",
        f"This card was written by uslm {__version__} when the run came to its end.",
        "",
    ]
    return "\n".join(parts)


def _loader(is_tokenizer: bool) -> tuple[str, str]:
    if is_tokenizer:
        return "uslm_tokenizer.registry", "load_tokenizer"
    return "uslm.systems.registry", "load_model"


def _validated(values: Mapping[str, float]) -> list[str]:
    if not values:
        return []
    return [
        "On held-out speakers, at the last validation:",
        "",
        "| measure | value |",
        "|---|---|",
        *(f"| {name} | {value:.4g} |" for name, value in values.items()),
        "",
    ]


def _rows(config: Mapping[str, Any], prefix: str = "") -> list[tuple[str, Any]]:
    rows: list[tuple[str, Any]] = []
    for key, value in config.items():
        if isinstance(value, Mapping):
            rows += _rows(value, f"{prefix}{key}.")
        else:
            rows.append((f"{prefix}{key}", value))
    return rows
