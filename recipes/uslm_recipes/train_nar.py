"""Train stage 2, the acoustic transformer: units and a voice's codes -> all levels.

    python -m uslm_recipes.train_nar --config mini --out runs/nar \\
        --set corpus=[data/corpus] --set tokens=[runs/tokens/0] --max-minutes 20

Any speech trains it, with text or without. The prompt is a piece of another utterance of the
speaker, or of the same one; a row may begin inside the utterance with frames that are known, as
when speech is made block by block.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from jaxtyping import Float, Int
from numpy.typing import NDArray
from torch import Tensor, nn

from uslm.models.base import AcousticBatch, AcousticModel
from uslm.models.nar import AcousticLM
from uslm.models.registry import model_class
from uslm.models.regressor import AcousticRegressor
from uslm_recipes.checkpoint import TrainingState
from uslm_recipes.command import run_command
from uslm_recipes.config import parse_recipe_args
from uslm_recipes.data.acoustic_rows import AcousticRows, RowShape
from uslm_recipes.data.batches import SecondsBatches
from uslm_recipes.data.corpus import Corpus
from uslm_recipes.data.tokens import TokenCorpus
from uslm_recipes.loop import (
    Losses,
    after_step,
    finish_run,
    keep_going,
    make_accelerator,
    make_optimizer,
    seed_everything,
    start_run,
    update,
    world_of,
)
from uslm_recipes.loop_config import LoopConfig
from uslm_tokenizer.acoustic.unit_codec import UnitCodec
from uslm_tokenizer.config import from_dict
from uslm_tokenizer.errors import ConfigError
from uslm_tokenizer.registry import load_tokenizer

NUM_MEASURED = 100
"""Utterances from which a regressor learns where the decoder's input lies."""


@dataclass(frozen=True, kw_only=True)
class NARRecipe:
    """Everything that decides a run of this recipe."""

    kind: Literal["acoustic_lm", "acoustic_regressor"] = "acoustic_regressor"
    """Which model: see uslm/models/registry.py."""
    model: dict[str, Any] = field(default_factory=dict)
    """Its config, by key."""
    loop: LoopConfig = field(default_factory=LoopConfig)
    """Length, learning rate and the like."""
    corpus: tuple[str, ...] = ("data/corpus",)
    """Corpus folders, as uslm-prepare makes them."""
    tokens: tuple[str, ...] = ("runs/tokens",)
    """Token folders, as encode makes them; one for each corpus."""
    sources: tuple[str, ...] = ()
    """Collections to learn from; empty means all."""
    seconds_per_batch: float = 200.0
    """Seconds of target speech in a batch."""
    rows: RowShape = field(default_factory=RowShape)
    """What a row shows."""
    tokenizer: str = ""
    """The codec whose codes are learnt: a regressor needs it; an acoustic_lm learns its decoder's
    expected input, too, where it is given."""
    input_weight: float = 10.0
    """acoustic_lm: weight of that input's error."""
    ahead_weight: float = 0.3
    """acoustic_lm: weight of the levels behind the next one."""
    label_smoothing: float = 0.05
    """acoustic_lm: probability mass that the target code gives to the others."""


def draw_levels(rows: int, groups: Sequence[int], random: np.random.Generator) -> Int[Tensor, " b"]:
    """Levels that each row shows: 1, or as many as there are behind some passes of generation.

    Low ones are drawn more often, as all others lean on them.
    """
    starts = np.cumsum([1, *groups[:-1]])
    drawn = random.choice(starts, size=rows, p=(1 / starts) / (1 / starts).sum())
    return torch.from_numpy(drawn)


class RegressorObjective(nn.Module):
    """The training loss as a module's `forward`, as wrappers for several devices need it."""

    def __init__(self, model: AcousticRegressor) -> None:
        super().__init__()
        self.model = model

    def forward(
        self, batch: AcousticBatch, num_known: Int[Tensor, " b"]
    ) -> tuple[Float[Tensor, ""], dict[str, Tensor]]:
        """The error of the predicted input."""
        return self.model.loss(batch), {}


class LMObjective(nn.Module):
    """The training loss as a module's `forward`, as wrappers for several devices need it."""

    vectors: Tensor | None

    def __init__(
        self, model: AcousticLM, recipe: NARRecipe, vectors: Float[Tensor, "levels v e"] | None
    ) -> None:
        super().__init__()
        self.model, self.recipe = model, recipe
        self.register_buffer("vectors", vectors, persistent=False)

    def forward(
        self, batch: AcousticBatch, num_known: Int[Tensor, " b"]
    ) -> tuple[Float[Tensor, ""], dict[str, Tensor]]:
        """The next level's cross-entropy and, with less weight, that of the levels behind it."""
        losses = self.model.loss(
            batch, num_known, smoothing=self.recipe.label_smoothing, vectors=self.vectors
        )
        total = torch.stack(list(losses.following.values())).mean()
        if losses.ahead:
            ahead = torch.stack(list(losses.ahead.values())).mean()
            total = total + self.recipe.ahead_weight * ahead
        if losses.input_error is None:
            return total, {}
        total = total + self.recipe.input_weight * losses.input_error
        return total, {"input_error": losses.input_error}


@torch.no_grad()
def validate(
    objective: RegressorObjective | LMObjective,
    rows: AcousticRows,
    indices: list[int],
    shape: RowShape,
) -> dict[str, float]:
    """On held-out speakers: the error of the decoder's input, as a share of its variance, and of an
    acoustic_lm the cross-entropy of the first level of each pass, nats a code."""
    random, model = np.random.default_rng(0), objective.model
    found: dict[str, list[float]] = {}

    def note(name: str, value: Tensor | None) -> None:
        if value is not None:
            found.setdefault(name, []).append(float(value))

    for start in range(0, len(indices), 8):
        chosen = indices[start : start + 8]
        batch = model.batch([rows.row(index, shape, random) for index in chosen])
        with torch.autocast(model.device.type, torch.bfloat16):
            if isinstance(objective, RegressorObjective):
                note("input", objective.model.loss(batch))
                continue
            for level in np.cumsum([1, *objective.model.level_groups[:-1]]).tolist():
                num_known = torch.full((len(chosen),), level, device=model.device)
                losses = objective.model.loss(batch, num_known, vectors=objective.vectors)
                note(f"level_{level}", losses.following[level])
                note(f"input_{level}", losses.input_error)
    means = {name: float(np.mean(values)) for name, values in found.items()}
    return {"loss": float(np.mean(list(means.values()))), **means}


def build(
    recipe: NARRecipe, tokens: TokenCorpus, indices: NDArray[np.int64]
) -> RegressorObjective | LMObjective:
    """The model, in its objective."""
    found = model_class(recipe.kind)
    model = found(from_dict(found.config_class, recipe.model, where="model"))
    codec = load_tokenizer(recipe.tokenizer) if recipe.tokenizer else None
    if codec is not None and not isinstance(codec, UnitCodec):
        raise ConfigError(f"tokenizer must be a unit codec, but is {recipe.tokenizer}")
    if isinstance(model, AcousticLM):
        return LMObjective(model, recipe, None if codec is None else codec.level_vectors())
    assert isinstance(model, AcousticRegressor)
    if codec is None:
        raise ConfigError("tokenizer must name the codec whose codes an acoustic_regressor learns")
    some = indices[:: max(1, len(indices) // NUM_MEASURED)].tolist()
    model.learn_vectors(codec.level_vectors(), [tokens.codes(index) for index in some])
    return RegressorObjective(model)


def train(recipe: NARRecipe, out: Path, *, resume: bool = False) -> AcousticModel:
    """Run the recipe in `out`; the finished model is saved there as `model`."""
    seed_everything(recipe.loop.seed)
    accelerator = make_accelerator(recipe.loop, out)
    corpus = Corpus.open(recipe.corpus)
    tokens = TokenCorpus.open(corpus, recipe.tokens)
    indices = corpus.select(split="train", min_seconds=1.0, sources=recipe.sources or None)
    objective = build(recipe, tokens, indices)
    model = objective.model
    groups = model.level_groups if isinstance(model, AcousticLM) else (1,)
    rows = AcousticRows(corpus, tokens, indices)
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
    )
    held_out = corpus.select(split="test", min_seconds=1.0, max_seconds=8.0)[:48]
    held_out_rows = AcousticRows(corpus, tokens, held_out)
    with start_run(recipe.loop, out, state, accelerator=accelerator, resume=resume) as run:
        prepared = state.models["model"]

        def check() -> dict[str, float]:
            return validate(objective, held_out_rows, held_out.tolist(), recipe.rows)

        while keep_going(run):
            # Drawn anew from the place in the stream, so that a resumed run draws the same.
            random = np.random.default_rng((recipe.loop.seed, batches.epoch, batches.position))
            chosen = next(batches).tolist()
            batch = model.batch([rows.row(index, recipe.rows, random) for index in chosen])
            num_known = draw_levels(len(chosen), groups, random)
            with accelerator.accumulate(prepared):
                loss, parts = prepared(batch, num_known.to(accelerator.device))
                update(run, loss)
            after_step(
                run,
                Losses(total=loss, parts=parts),
                audio_seconds=float(corpus.seconds[chosen].sum()),
                batch=chosen,
                validate=check if len(held_out) else None,
            )
        if finish_run(run):
            for ema in state.ema.values():
                ema.copy_to_model()
            model.eval().save_pretrained(out / "model")
    return model


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line."""

    def action() -> None:
        given = parse_recipe_args("train_nar", NARRecipe, arguments)
        train(given.config, given.out, resume=given.resume)

    return run_command("train_nar", action)


if __name__ == "__main__":
    raise SystemExit(main())
