"""Train a language model that says content anew: content units -> units that keep the manner.

    python -m uslm_recipes.train_content_lm --config mini --out runs/content_lm \\
        --set corpus=[data/corpus] --set content=[runs/content_tokens/0] \\
        --set tokens=[runs/tokens/0]

It is Vevo's stage 1 for speech: repeats of content units are dropped, so how long each lasts is
told by the manner of whoever speaks before. Both kinds of units come from `train_feature_codec`.
The paper has no other model of durations.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from uslm.models.base import SemanticModel
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
from uslm_recipes.loop.loss_module import LossModule
from uslm_recipes.loop.training_data import BatchLabel, TrainingData
from uslm_tokenizer.config import from_dict
from uslm_tokenizer.errors import ConfigError
from uslm_tokenizer.sequence.dedup import deduplicate


@dataclass(frozen=True, kw_only=True)
class ContentLMRecipe:
    """Everything that decides a run of this recipe."""

    kind: str = "vevo_lm"
    """Which language model of uslm/systems/registry.py: any semantic model without alignment."""
    model: dict[str, Any] = field(default_factory=dict)
    """Its config, by key."""
    shift: int = 0
    """Id of content unit 0: where the model reads phonemes as well, as many as there are."""
    loop: LoopConfig = field(default_factory=LoopConfig)
    """Length, learning rate and the like."""
    corpus: tuple[str, ...] = ("data/corpus",)
    """Corpus folders, as uslm-prepare makes them."""
    content: tuple[str, ...] = ("runs/content_tokens",)
    """Token folders of content units, as encode makes them; one for each corpus."""
    tokens: tuple[str, ...] = ("runs/tokens",)
    """Token folders of the units that are spoken."""
    sources: tuple[str, ...] = ()
    """Collections to learn from; empty means all."""
    seconds_per_batch: float = 120.0
    """Seconds of speech in a batch."""
    max_seconds: float = 20.0
    """Longer utterances are left out, seconds."""


@dataclass(frozen=True)
class Rows:
    """Content of utterances, and the units that say it."""

    corpus: Corpus
    content: TokenCorpus
    tokens: TokenCorpus
    shift: int

    def row(self, index: int) -> tuple[Tensor, Tensor]:
        """Content without repeats, and units."""
        read, _ = deduplicate(self.content.codes(index)[0].long())
        return read + self.shift, self.tokens.codes(index)[0].long()

    def batch(self, model: SemanticModel, indices: Sequence[int]) -> Any:
        """Whole utterances: at use, the one before is the prompt's."""
        content, units = zip(*(self.row(index) for index in indices), strict=True)
        return model.batch(list(content), list(units))


def build(recipe: ContentLMRecipe, rows: Rows) -> SemanticModel:
    """The model; ConfigError unless it reads and speaks what the tokens hold."""
    found = model_class(recipe.kind)
    if not issubclass(found, SemanticModel) or found.needs_alignment:
        raise ConfigError(
            f"kind must name a semantic model without alignment, but names a {recipe.kind}"
        )
    config: Any = from_dict(found.config_class, recipe.model, where="model")
    model = found(config)
    read = recipe.shift + rows.content.header.codebook_size
    wanted = (
        ("model.text_vocab_size", config.text_vocab_size, read),
        ("model.codebook_size", model.codebook_size, rows.tokens.header.codebook_size),
    )
    for name, size, right in wanted:
        if size != right:
            raise ConfigError(f"{name} must be {right}, but is {size}")
    return model.train()


def draw_batch(model: SemanticModel, rows: Rows, batches: SecondsBatches) -> TrainBatch[Any]:
    """The next batch."""
    chosen = next(batches).tolist()
    batch = rows.batch(model, chosen)
    units = sum(rows.tokens.codes(index).shape[1] for index in chosen)
    return TrainBatch(
        batch=batch,
        name=BatchLabel(rows.corpus, chosen),
        audio_seconds=float(rows.corpus.seconds[chosen].sum()),
        tokens=units,
        padded_frames=units,
        counts={"units": units},
    )


@torch.no_grad()
def validate(
    objective: nn.Module,
    model: SemanticModel,
    rows: Rows,
    indices: list[int],
    device: torch.device,
) -> Validation:
    """The loss of held-out speakers."""
    found = [
        float(objective(rows.batch(model, indices[start : start + 16]).to(device)))
        for start in range(0, len(indices), 16)
    ]
    return Validation(values={"loss": float(np.mean(found))})


def train(recipe: ContentLMRecipe, out: Path, *, resume: bool = False) -> bool:
    """Run the recipe in `out`; True when it is over, and the model saved there as `model`."""
    seed_everything(recipe.loop.seed)
    accelerator = make_accelerator(recipe.loop, out)
    device = accelerator.device
    corpus = Corpus.open(recipe.corpus)
    content, tokens = (TokenCorpus.open(corpus, each) for each in (recipe.content, recipe.tokens))
    rows = Rows(corpus, content, tokens, recipe.shift)
    model = build(recipe, rows)
    objective = LossModule(model)
    limits: dict[str, Any] = {"min_seconds": 0.5, "max_seconds": recipe.max_seconds}
    indices = corpus.select(split="train", sources=recipe.sources or None, **limits)
    held_out = corpus.select(split="test", **limits)[:64].tolist()
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
        generators={"none": own_generator(recipe.loop.seed, accelerator)},
    )
    data = TrainingData.of(corpus, tokens)
    with start_run(recipe, out, state, accelerator=accelerator, data=data, resume=resume) as run:
        prepared = state.models["model"]

        def check() -> Validation:
            return validate(prepared, model, rows, held_out, device)

        for train_batch in each_batch(run, lambda: draw_batch(model, rows, batches)):
            with accelerator.accumulate(prepared):
                loss = prepared(train_batch.batch.to(device)) * train_batch.weights["units"]
                update(run, loss)
            after_step(run, Losses(loss, {}), train_batch, validate=check if held_out else None)
        if complete := finish_run(run):
            export(run, "model", {"model": model})
    return complete


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line."""
    return recipe_main("train_content_lm", ContentLMRecipe, train, arguments)


if __name__ == "__main__":
    raise SystemExit(main())
