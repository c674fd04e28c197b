"""Train stage 1, the autoregressive language model: phonemes (and a prompt) -> units and pitch.

    python -m uslm_recipes.train_ar --config mini --out runs/ar \\
        --set corpus=[data/corpus] --set tokens=[runs/tokens/0] \\
        --set recognizer=runs/codec/model --max-minutes 20

In some of the batches each row goes on from another utterance of its speaker, as it goes on from
a prompt later. All rows of a batch do or none, so that they stay of like length.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from uslm.models.base import SemanticModel
from uslm.systems.registry import load_model, model_class
from uslm.systems.two_stage.monotonic import MonotonicLM
from uslm_recipes.cards.export import export
from uslm_recipes.config import recipe_main
from uslm_recipes.data.alignments import align
from uslm_recipes.data.batches import SecondsBatches
from uslm_recipes.data.corpus import Corpus
from uslm_recipes.data.corpus_format import PHONEMES, TextIds
from uslm_recipes.data.rows.prompted import PromptedBatch, PromptedRows, check_pitch
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
    seed_everything,
    start_run,
    update,
    world_of,
)
from uslm_recipes.loop.training_data import BatchLabel, TrainingData
from uslm_recipes.train import samples
from uslm_tokenizer.codecs.unit_tokenizer.model import UnitTokenizer
from uslm_tokenizer.config import from_dict
from uslm_tokenizer.errors import ConfigError
from uslm_tokenizer.registry import load_tokenizer


@dataclass(frozen=True, kw_only=True)
class ARRecipe:
    """Everything that decides a run of this recipe."""

    kind: str = "monotonic_lm"
    """Which language model of uslm/systems/registry.py: any semantic model."""
    model: dict[str, Any] = field(default_factory=dict)
    """Its config, by key."""
    initial: str = ""
    """A trained stage 1 to go on from; it brings its own kind and config."""
    new_pitch_reach: int = 0
    """Reach of the pitch that `initial`, a monotonic_lm without pitch, is to draw from now on; 0:
    it stays as it is."""
    trunk_rate: float = 1.0
    """Learning rate of what is not of the pitch alone, as a share of loop.learning_rate; 0 leaves
    it as it is, where only the pitch is new."""
    loop: LoopConfig = field(default_factory=LoopConfig)
    """Length, learning rate and the like."""
    corpus: tuple[str, ...] = ("data/corpus",)
    """Corpus folders, as uslm-prepare makes them."""
    tokens: tuple[str, ...] = ("runs/tokens",)
    """Token folders, as encode makes them; one for each corpus."""
    recognizer: str = ""
    """A trained codec or semantic tokenizer, which aligns text and units where a model needs it
    and the corpus does not tell the durations, and recognises what a validation lets it say."""
    sources: tuple[str, ...] = ()
    """Collections to learn speaking from; empty means all that have text."""
    seconds_per_batch: float = 300.0
    """Seconds of speech to predict in a batch."""
    prompted_share: float = 0.3
    """Share of batches whose rows begin with another utterance of the same speaker."""
    max_frames: int = 1000
    """Frames of prompt and speech in a row."""


class Objective(nn.Module):
    """The model's loss as a module's `forward`, as wrappers for several devices need it."""

    def __init__(self, model: SemanticModel) -> None:
        super().__init__()
        self.model = model

    def forward(self, batch: Any) -> tuple[Float[Tensor, ""], dict[str, Tensor]]:
        """The loss, and what it adds up where the model says so."""
        if not isinstance(self.model, MonotonicLM):
            return self.model.loss(batch), {}
        parts = self.model.loss_parts(batch)
        return torch.stack(list(parts.values())).sum(), parts


def draw_batch(
    recipe: ARRecipe, model: SemanticModel, rows: PromptedRows, batches: SecondsBatches
) -> TrainBatch[PromptedBatch]:
    """The next batch. What it shows depends on its place in the stream alone, and each row's
    prompt on epoch and utterance; so a resumed run draws the same, and so do more processes."""
    seed, epoch = recipe.loop.seed, batches.epoch
    of_batch = np.random.default_rng((seed, epoch, batches.position, len(rows.corpus)))
    prompted = of_batch.random() < recipe.prompted_share
    chosen = next(batches).tolist()
    prompts = [
        rows.prompt_of(i, np.random.default_rng((seed, epoch, i))) if prompted else None
        for i in chosen
    ]
    batch = rows.batch(model, chosen, prompts)
    return TrainBatch(
        batch=batch,
        name=BatchLabel(rows.corpus, chosen),
        audio_seconds=float(rows.corpus.seconds[chosen].sum()),
        tokens=batch.num_units,
        padded_frames=batch.num_padded_frames,
        counts={"units": batch.num_targets},
    )


@torch.no_grad()
def validate(
    recipe: ARRecipe,
    model: SemanticModel,
    objective: nn.Module,
    rows: PromptedRows,
    indices: list[int],
    recognizer: UnitTokenizer | None,
) -> Validation:
    """Cross-entropy of held-out speakers' units, nats a unit, with the same prompts each time; and
    what the model says when it reads some of their texts."""
    random = np.random.default_rng(0)
    prompted = [rows.prompt_of(i, random) for i in indices]
    found, units = dict[str, float](), 0
    for start in range(0, len(indices), 16):
        stop = start + 16
        batch = rows.batch(model, indices[start:stop], prompted[start:stop])
        loss, parts = objective(batch.rows.to(model.device))
        for name, value in {"loss": loss, **parts}.items():
            found[name] = found.get(name, 0.0) + float(value) * batch.num_targets
        units += batch.num_targets
    shown = []
    if recognizer is not None:
        few = indices[: recipe.loop.samples]
        shown = [
            samples.read_aloud(model, rows.text(index), recognizer, f"reading{number}")
            for number, index in enumerate(few)
        ]
    return samples.together({name: total / units for name, total in found.items()}, shown)


def train(recipe: ARRecipe, out: Path, *, resume: bool = False) -> bool:
    """Run the recipe in `out`; True when it is over, and the model saved there as `model`."""
    seed_everything(recipe.loop.seed)
    accelerator = make_accelerator(recipe.loop, out)
    corpus = Corpus.open(recipe.corpus)
    tokens = TokenCorpus.open(corpus, recipe.tokens)
    model = build(recipe, corpus.text_vocab)
    tokens.header.check_sizes(codebook_size=model.codebook_size)
    check_pitch(model, tokens)
    recognizer = load_recognizer(recipe, model, corpus)
    objective = Objective(model)
    sources = recipe.sources or None
    limit = recipe.max_frames * tokens.header.hop_length / corpus.sample_rate
    indices = corpus.select(split="train", with_text=True, max_seconds=limit, sources=sources)
    held_out = corpus.select(split="test", with_text=True, max_seconds=10, sources=sources)[:160]
    alignments = None
    if model.needs_alignment:
        every = np.concatenate([indices, held_out])
        with accelerator.main_process_first():
            alignments = align(corpus, tokens, recognizer, every, out)
        indices, held_out = (
            np.array([i for i in each if int(i) in alignments], dtype=np.int64)
            for each in (indices, held_out)
        )
    rows, held_out_rows = (
        PromptedRows(corpus, tokens, each, alignments, max_frames=recipe.max_frames)
        for each in (indices, held_out)
    )
    batches = SecondsBatches(
        corpus.seconds,
        recipe.seconds_per_batch,
        recipe.loop.seed,
        indices=indices,
        world=world_of(accelerator),
    )
    state = TrainingState(
        models={"model": objective},
        optimizers={
            "model": make_optimizer(
                objective,
                recipe.loop,
                scale_of=lambda name: 1.0 if "pitch_" in name else recipe.trunk_rate,
            )
        },
        streams={"batches": batches},
        shardable=True,
    )
    data = TrainingData.of(corpus, tokens)
    with start_run(recipe, out, state, accelerator=accelerator, data=data, resume=resume) as run:
        prepared = state.models["model"]
        listener = None if run.is_sharded else recognizer

        def check() -> Validation:
            return validate(recipe, model, prepared, held_out_rows, held_out.tolist(), listener)

        for train_batch in each_batch(run, lambda: draw_batch(recipe, model, rows, batches)):
            with accelerator.accumulate(prepared):
                loss, parts = prepared(train_batch.batch.rows.to(accelerator.device))
                loss = loss * train_batch.weights["units"]
                update(run, loss)
            after_step(
                run, Losses(loss, parts), train_batch, validate=check if len(held_out) else None
            )
        if complete := finish_run(run):
            export(run, "model", {"model": model})
    return complete


def build(recipe: ARRecipe, text_ids: TextIds = PHONEMES) -> SemanticModel:
    """The language model that the recipe names, for texts in such ids."""
    if recipe.initial:
        model = load_model(recipe.initial)
    else:
        found = model_class(recipe.kind)
        if not issubclass(found, SemanticModel):
            raise ConfigError(f"kind must name a semantic model, but names a {recipe.kind}")
        sizes = {} if text_ids == PHONEMES else {"text_vocab_size": text_ids.size}
        model = found(from_dict(found.config_class, {**sizes, **recipe.model}, where="model"))
    if not isinstance(model, SemanticModel):
        raise ConfigError(f"initial must name a semantic model, but names a {model.model_type}")
    size = getattr(model.config, "text_vocab_size", text_ids.size)
    if size < text_ids.size:
        raise ConfigError(
            f"text_vocab_size of the model must be at least the corpus's {text_ids.size} "
            f"({text_ids}), but is {size}"
        )
    if recipe.new_pitch_reach:
        model = with_pitch(model, recipe.new_pitch_reach)
    if not recipe.trunk_rate:
        for name, parameter in model.named_parameters():
            parameter.requires_grad_(name.startswith("pitch_"))
    return model.train()


def with_pitch(model: SemanticModel, reach: int) -> MonotonicLM:
    """The same model with a pitch head that has learnt nothing."""
    if not isinstance(model, MonotonicLM) or model.num_pitches:
        raise ConfigError(
            "new_pitch_reach is for a monotonic_lm without pitch, but stage 1 is a "
            f"{model.model_type}" + (" with it" if isinstance(model, MonotonicLM) else "")
        )
    grown = MonotonicLM(replace(model.config, pitch_reach=reach))
    found = grown.load_state_dict(model.state_dict(), strict=False)
    assert not found.unexpected_keys
    assert all(name.startswith("pitch_") for name in found.missing_keys)
    return grown


def load_recognizer(recipe: ARRecipe, model: SemanticModel, corpus: Corpus) -> UnitTokenizer | None:
    """The tokenizer with the phoneme head: the given one, or the one inside a codec."""
    if not recipe.recognizer:
        texts = corpus.select(with_text=True, sources=recipe.sources or None)
        if model.needs_alignment and any(not corpus.utterances[i].durations for i in texts):
            raise ConfigError(
                f"recognizer must name a trained tokenizer: a {model.model_type} needs it where "
                "the corpus has no durations"
            )
        return None
    tokenizer = load_tokenizer(recipe.recognizer)
    tokenizer = getattr(tokenizer, "units", tokenizer)
    if not isinstance(tokenizer, UnitTokenizer):
        raise ConfigError(
            f"recognizer must be a unit tokenizer or codec, but is {recipe.recognizer}"
        )
    return tokenizer


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line."""
    return recipe_main("train_ar", ARRecipe, train, arguments)


if __name__ == "__main__":
    raise SystemExit(main())
