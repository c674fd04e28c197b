"""Train a masked model, as MaskGCT's two stages are: phonemes -> units, or units -> codes.

    python -m uslm_recipes.train_masked --config mini --out runs/t2s \\
        --set corpus=[data/corpus] --set tokens=[runs/units_tokens/0] --max-minutes 60
    python -m uslm_recipes.train_masked --config mini_s2a --out runs/s2a \\
        --set corpus=[data/corpus] --set tokens=[runs/codec_tokens/0] \\
        --set units=[runs/units_tokens/0] --max-minutes 60

A model that takes a condition for each frame is given the units of the frame, another the text.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from uslm.models.masked import MaskedBatch, MaskedModel, MaskedRow
from uslm.systems.registry import model_class
from uslm_recipes.cards.export import export
from uslm_recipes.config import recipe_main
from uslm_recipes.data.batches import SecondsBatches
from uslm_recipes.data.corpus import Corpus
from uslm_recipes.data.tokens import TokenCorpus
from uslm_recipes.loop import (
    LoopConfig,
    Losses,
    TrainBatch,
    TrainingState,
    Validation,
    after_step,
    each_batch,
    finish_run,
    make_accelerator,
    make_optimizer,
    own_generator,
    seed_everything,
    start_run,
    update,
    world_of,
)
from uslm_recipes.loop.training_data import BatchLabel, TrainingData
from uslm_tokenizer.config import from_dict
from uslm_tokenizer.errors import ConfigError


@dataclass(frozen=True, kw_only=True)
class MaskedRecipe:
    """Everything that decides a run of this recipe."""

    kind: str = "maskgct_t2s"
    """Which model of the registry: any masked model."""
    model: dict[str, Any] = field(default_factory=dict)
    """Its config, by key."""
    loop: LoopConfig = field(default_factory=LoopConfig)
    """Length, learning rate and the like."""
    corpus: tuple[str, ...] = ("data/corpus",)
    """Corpus folders, as uslm-prepare makes them."""
    tokens: tuple[str, ...] = ("runs/tokens",)
    """Token folders of what is filled in, as encode makes them; one for each corpus."""
    units: tuple[str, ...] = ()
    """Token folders of the condition, where it has an entry for each frame."""
    sources: tuple[str, ...] = ()
    """Collections to learn from; empty means all."""
    seconds_per_batch: float = 300.0
    """Seconds of speech in a batch."""
    max_seconds: float = 20.0
    """Longer utterances are left out, seconds."""


def build(recipe: MaskedRecipe) -> MaskedModel:
    """The model, untrained. ConfigError for one that fills in no masks."""
    found = model_class(recipe.kind)
    if not issubclass(found, MaskedModel):
        raise ConfigError(f"kind must name a masked model, but names a {recipe.kind}")
    if found.condition_per_frame != bool(recipe.units):
        raise ConfigError(
            f"units must be given to a model that takes a condition for each frame, and to no "
            f"other; {recipe.kind} {'does' if found.condition_per_frame else 'does not'}"
        )
    return found(from_dict(found.config_class, recipe.model, where="model")).train()


class Objective(nn.Module):
    """The model's loss as a module's `forward`, as wrappers for several devices need it."""

    def __init__(self, model: MaskedModel) -> None:
        super().__init__()
        self.model = model

    def forward(
        self, batch: MaskedBatch, codebook: int | None, generator: torch.Generator
    ) -> Float[Tensor, ""]:
        """Nats for each masked code."""
        return self.model.loss(batch, codebook=codebook, generator=generator)


@dataclass(frozen=True)
class Rows:
    """Utterances as the model sees them."""

    corpus: Corpus
    tokens: TokenCorpus
    units: TokenCorpus | None

    def row(self, index: int, num_codebooks: int) -> MaskedRow:
        """All of an utterance is target: the loss draws what of it is prompt."""
        codes = self.tokens.codes(index)[:num_codebooks]
        if self.units is None:
            condition = torch.from_numpy(self.corpus.text_ids[index]).long()
        else:
            condition = self.units.codes(index)[0]
            codes = codes[:, : len(condition)]
            condition = condition[: codes.shape[1]]
        return MaskedRow(condition=condition, prompt=codes[:, :0], target=codes)


def draw_batch(
    model: MaskedModel, rows: Rows, batches: SecondsBatches, device: torch.device
) -> TrainBatch[MaskedBatch]:
    """The next batch."""
    chosen = next(batches).tolist()
    batch = model.batch([rows.row(i, model.num_codebooks) for i in chosen])
    frames = int(batch.frame_mask.sum())
    return TrainBatch(
        batch=batch,
        name=BatchLabel(rows.corpus, chosen),
        audio_seconds=float(rows.corpus.seconds[chosen].sum()),
        tokens=frames,
        padded_frames=batch.frame_mask.numel(),
        counts={"frames": frames},
    )


@torch.no_grad()
def validate(
    objective: nn.Module, model: MaskedModel, rows: Rows, indices: list[int]
) -> Validation:
    """Nats for each masked code of held-out speakers, of each codebook, with the same masks each
    time."""
    codebooks = range(model.first_codebook, model.num_codebooks)
    values = {}
    for codebook in codebooks:
        generator = torch.Generator().manual_seed(0)
        found = []
        for start in range(0, len(indices), 16):
            few = indices[start : start + 16]
            batch = model.batch([rows.row(i, model.num_codebooks) for i in few])
            found.append(float(objective(batch, codebook, generator)))
        values[f"loss_{codebook}"] = float(np.mean(found))
    return Validation(values={"loss": float(np.mean(list(values.values()))), **values})


def check_sizes(model: MaskedModel, rows: Rows) -> None:
    """ConfigError unless the model's codes and conditions are those of the data."""
    header = rows.tokens.header
    config: Any = model.config
    units = rows.units
    wanted = [
        ("model.codebook_size", model.codebook_size, header.codebook_size),
        (
            "model.num_codebooks",
            model.num_codebooks,
            min(model.num_codebooks, header.num_codebooks),
        ),
    ]
    if units is not None:
        wanted.append(("model.num_units", config.num_units, units.header.codebook_size))
        wanted.append(("units.hop_length", units.header.hop_length, header.hop_length))
    for name, found, right in wanted:
        if found != right:
            raise ConfigError(f"{name} must be {right}, as the tokens have it, but is {found}")
    if units is None:
        most = max((int(ids.max()) for ids in rows.corpus.text_ids if len(ids)), default=0)
        if most >= config.num_phones:
            raise ConfigError(
                f"model.num_phones must be above {most}, the highest text id, "
                f"but is {config.num_phones}"
            )


def train(recipe: MaskedRecipe, out: Path, *, resume: bool = False) -> bool:
    """Run the recipe in `out`; True when it is over, and the model saved there as `model`."""
    seed_everything(recipe.loop.seed)
    accelerator = make_accelerator(recipe.loop, out)
    device = accelerator.device
    corpus = Corpus.open(recipe.corpus)
    tokens = TokenCorpus.open(corpus, recipe.tokens)
    rows = Rows(corpus, tokens, TokenCorpus.open(corpus, recipe.units) if recipe.units else None)
    model = build(recipe)
    check_sizes(model, rows)
    objective = Objective(model.to(device))
    text = {"with_text": True} if rows.units is None else {}
    limits: dict[str, Any] = {"min_seconds": 0.5, "max_seconds": recipe.max_seconds, **text}
    indices = corpus.select(split="train", sources=recipe.sources or None, **limits)
    held_out = corpus.select(split="test", **limits)[:64].tolist()
    generator = own_generator(recipe.loop.seed, accelerator)
    batches = SecondsBatches(
        corpus.seconds,
        recipe.seconds_per_batch,
        recipe.loop.seed,
        indices=indices,
        world=world_of(accelerator),
    )
    state = TrainingState(
        models={"model": objective},
        optimizers={"model": make_optimizer(objective, recipe.loop)},
        streams={"batches": batches},
        generators={"masks": generator},
    )
    data = TrainingData.of(corpus, tokens)
    with start_run(recipe, out, state, accelerator=accelerator, data=data, resume=resume) as run:
        prepared = state.models["model"]

        def check() -> Validation:
            return validate(prepared, model, rows, held_out)

        for train_batch in each_batch(run, lambda: draw_batch(model, rows, batches, device)):
            with accelerator.accumulate(prepared):
                loss = prepared(train_batch.batch, None, generator) * train_batch.weights["frames"]
                update(run, loss)
            after_step(run, Losses(loss, {}), train_batch, validate=check if held_out else None)
        if complete := finish_run(run):
            export(run, "model", {"model": model})
    return complete


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line."""
    return recipe_main("train_masked", MaskedRecipe, train, arguments)


if __name__ == "__main__":
    raise SystemExit(main())
