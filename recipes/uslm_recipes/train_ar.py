"""Train stage 1, the autoregressive language model: phonemes (and a prompt) -> units.

    python -m uslm_recipes.train_ar --config mini --out runs/ar \\
        --set corpus=[data/corpus] --set tokens=[runs/tokens/0] \\
        --set recognizer=runs/codec/model --max-minutes 20

In some of the batches each row goes on from another utterance of its speaker, as it goes on from
a prompt later. All rows of a batch do or none, so that they stay of like length.
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

from uslm.models.base import SemanticModel
from uslm.models.registry import model_class
from uslm_recipes.alignments import Alignments, align
from uslm_recipes.checkpoint import TrainingState
from uslm_recipes.command import run_command
from uslm_recipes.config import parse_recipe_args
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
from uslm_tokenizer.semantic.unit_tokenizer import UnitTokenizer


@dataclass(frozen=True, kw_only=True)
class ARRecipe:
    """Everything that decides a run of this recipe."""

    kind: Literal["semantic_lm", "monotonic_lm"] = "monotonic_lm"
    """Which language model: see uslm/models/registry.py."""
    model: dict[str, Any] = field(default_factory=dict)
    """Its config, by key."""
    loop: LoopConfig = field(default_factory=LoopConfig)
    """Length, learning rate and the like."""
    corpus: tuple[str, ...] = ("data/corpus",)
    """Corpus folders, as uslm-prepare makes them."""
    tokens: tuple[str, ...] = ("runs/tokens",)
    """Token folders, as encode makes them; one for each corpus."""
    recognizer: str = ""
    """A trained codec or semantic tokenizer, which aligns text and units where a model needs it."""
    sources: tuple[str, ...] = ()
    """Collections to learn speaking from; empty means all that have text."""
    seconds_per_batch: float = 300.0
    """Seconds of speech to predict in a batch."""
    prompted_share: float = 0.3
    """Share of batches whose rows begin with another utterance of the same speaker."""
    max_frames: int = 1000
    """Frames of prompt and speech in a row."""


class PromptedRows:
    """Rows of text ids and units; whether and with what a row is prompted is drawn."""

    def __init__(
        self,
        corpus: Corpus,
        tokens: TokenCorpus,
        indices: NDArray[np.int64],
        alignments: Alignments | None = None,
    ) -> None:
        self.corpus, self.tokens, self.alignments = corpus, tokens, alignments
        self.by_speaker: dict[str, list[int]] = {}
        for index in map(int, indices):
            self.by_speaker.setdefault(corpus.speakers[index], []).append(index)

    def text(self, index: int) -> Int[Tensor, " s"]:
        """Text ids of an utterance."""
        return torch.from_numpy(self.corpus.text_ids[index])

    def units(self, index: int) -> Int[Tensor, " t"]:
        """Level 0 of an utterance."""
        return self.tokens.codes(index)[0]

    def other(self, index: int, max_frames: int, random: np.random.Generator) -> int | None:
        """Another utterance of the speaker that still fits; None where there is none."""
        mates = self.by_speaker[self.corpus.speakers[index]]
        mate = mates[int(random.integers(len(mates)))]
        frames = self.tokens.num_frames
        fits = int(frames[mate] + frames[index]) <= max_frames
        return mate if mate != index and fits else None

    def starts(self, index: int) -> Int[Tensor, " s"]:
        """Frame in which each symbol of an utterance begins."""
        assert self.alignments is not None
        return self.alignments[index]

    def batch(
        self,
        model: SemanticModel,
        indices: list[int],
        recipe: ARRecipe,
        random: np.random.Generator,
    ) -> Any:
        """Teacher-forced rows of the model; a prompt's units are not predicted."""
        prompted = random.random() < recipe.prompted_share
        separator = torch.tensor([model.separator_id])
        texts, units, starts, prompts = [], [], [], []
        for index in indices:
            text, row, num_prompt = self.text(index), self.units(index), 0
            begins = self.starts(index) if self.alignments is not None else None
            mate = self.other(index, recipe.max_frames, random) if prompted else None
            if mate is not None:
                before = self.units(mate)
                num_prompt = len(before)
                text = torch.cat([self.text(mate), separator, text])
                row = torch.cat([before, row])
                if begins is not None:
                    # The separator takes no time: the text begins in the same frame.
                    border = torch.tensor([num_prompt, num_prompt])
                    begins = torch.cat([self.starts(mate), border, begins[1:] + num_prompt])
            texts.append(text)
            units.append(row)
            starts.append(begins)
            prompts.append(num_prompt)
        known = [each for each in starts if each is not None]
        return model.batch(texts, units, starts=known or None, predict_from=prompts)


@torch.no_grad()
def validate(
    model: SemanticModel,
    prepared: nn.Module,
    rows: PromptedRows,
    indices: list[int],
    recipe: ARRecipe,
) -> dict[str, float]:
    """Cross-entropy of held-out speakers' units, nats a unit; the same prompts each time."""
    random = np.random.default_rng(0)
    losses = []
    for start in range(0, len(indices), 16):
        batch = rows.batch(model, indices[start : start + 16], recipe, random)
        losses.append(float(prepared(batch.to(model.device))))
    return {"loss": float(np.mean(losses))}


def train(recipe: ARRecipe, out: Path, *, resume: bool = False) -> SemanticModel:
    """Run the recipe in `out`; the finished model is saved there as `model`."""
    seed_everything(recipe.loop.seed)
    accelerator = make_accelerator(recipe.loop, out)
    corpus = Corpus.open(recipe.corpus)
    tokens = TokenCorpus.open(corpus, recipe.tokens)
    model = build(recipe)
    objective = Objective(model)
    sources = recipe.sources or None
    limit = recipe.max_frames * tokens.header.hop_length / corpus.sample_rate
    indices = corpus.select(split="train", with_text=True, max_seconds=limit, sources=sources)
    held_out = corpus.select(split="test", with_text=True, max_seconds=10, sources=sources)[:160]
    alignments = None
    if model.needs_alignment:
        every = np.concatenate([indices, held_out])
        alignments = align(corpus, tokens, _recognizer(recipe), every, out)
        indices, held_out = (
            np.array([i for i in each if int(i) in alignments], dtype=np.int64)
            for each in (indices, held_out)
        )
    rows = PromptedRows(corpus, tokens, indices, alignments)
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
    held_out_rows = PromptedRows(corpus, tokens, held_out, alignments)
    with start_run(recipe.loop, out, state, accelerator=accelerator, resume=resume) as run:
        prepared = state.models["model"]

        def check() -> dict[str, float]:
            return validate(model, prepared, held_out_rows, held_out.tolist(), recipe)

        while keep_going(run):
            # Drawn anew from the place in the stream, so that a resumed run draws the same.
            random = np.random.default_rng((recipe.loop.seed, batches.epoch, batches.position))
            chosen = next(batches).tolist()
            batch = rows.batch(model, chosen, recipe, random)
            with accelerator.accumulate(prepared):
                loss = prepared(batch.to(accelerator.device))
                update(run, loss)
            after_step(
                run,
                Losses(total=loss),
                audio_seconds=float(corpus.seconds[chosen].sum()),
                batch=chosen,
                validate=check if len(held_out) else None,
            )
        if finish_run(run):
            for ema in state.ema.values():
                ema.copy_to_model()
            model.eval().save_pretrained(out / "model")
    return model


def build(recipe: ARRecipe) -> SemanticModel:
    """The language model that the recipe names."""
    found = model_class(recipe.kind)
    model = found(from_dict(found.config_class, recipe.model, where="model"))
    assert isinstance(model, SemanticModel)
    return model


def _recognizer(recipe: ARRecipe) -> UnitTokenizer:
    """The tokenizer with the phoneme head: the given one, or the one inside a codec."""
    if not recipe.recognizer:
        raise ConfigError(f"recognizer must name a trained tokenizer: a {recipe.kind} needs it")
    tokenizer = load_tokenizer(recipe.recognizer)
    tokenizer = tokenizer.units if isinstance(tokenizer, UnitCodec) else tokenizer
    if not isinstance(tokenizer, UnitTokenizer):
        raise ConfigError(
            f"recognizer must be a unit tokenizer or codec, but is {recipe.recognizer}"
        )
    return tokenizer


class Objective(nn.Module):
    """The model's loss as a module's `forward`, as wrappers for several devices need it."""

    def __init__(self, model: SemanticModel) -> None:
        super().__init__()
        self.model = model

    def forward(self, batch: Any) -> Float[Tensor, ""]:
        return self.model.loss(batch)


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line."""

    def action() -> None:
        given = parse_recipe_args("train_ar", ARRecipe, arguments)
        train(given.config, given.out, resume=given.resume)

    return run_command("train_ar", action)


if __name__ == "__main__":
    raise SystemExit(main())
