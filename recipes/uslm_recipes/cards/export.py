"""Models of a finished run, in the Hub's layout, with their cards; sent there if asked."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from torch import Tensor

from uslm_recipes.cards.part_card import write_part_card
from uslm_recipes.loop.checkpoint import own_storage
from uslm_recipes.loop.run import Run
from uslm_recipes.loop.sharding import unwrap, whole
from uslm_tokenizer.hub import (
    CARD_FILE,
    PretrainedModel,
    empty_parameters,
    push_folder,
)
from uslm_tokenizer.whole_files import write_atomically


def export(run: Run, name: str, parts: Mapping[str, PretrainedModel]) -> None:
    """Save parts of the trained model `name` with its averaged weights, to out/<folder>.

    `parts` are the model itself or modules inside it, by folder. All processes call this.
    """
    model = unwrap(run.state.models[name])
    weights = whole(model.state_dict())
    if name in run.state.ema:
        weights |= whole(run.state.ema[name].state_dict())
    places = {id(module): place for place, module in model.named_modules()}
    if run.rank.is_main:
        for folder, part in parts.items():
            place = places[id(part)]
            _save(run, run.out / folder, part, _inside(weights, f"{place}." if place else ""))
    run.rank.barrier()


def _inside(weights: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    found = {key: tensor for key, tensor in weights.items() if key.startswith(prefix)}
    return {key.removeprefix(prefix): tensor for key, tensor in own_storage(found).items()}


def _save(run: Run, folder: Path, part: PretrainedModel, weights: dict[str, Tensor]) -> None:
    with empty_parameters():
        finished = type(part)(part.config)
    finished.load_state_dict(weights, assign=True)
    finished.eval().save_pretrained(folder)
    card = write_part_card(finished, run.out, run.data.folders, licence=run.config.licence)
    write_atomically(folder / CARD_FILE, lambda path: path.write_text(card, "utf-8"))
    if run.config.push_to_hub is not None:
        name = run.config.push_to_hub + ("" if folder.name == "model" else f"-{folder.name}")
        address = push_folder(folder, name)
        run.log.record("sent", run.progress.step, {"folder": str(folder), "address": address})
