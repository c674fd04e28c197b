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

import numpy as np
import torch
from jaxtyping import Float, Int
from numpy.typing import NDArray
from torch import Tensor, nn

from uslm.models.base import AcousticBatch, AcousticRow
from uslm.models.nar import AcousticLM, AcousticLMConfig
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
from uslm_tokenizer.errors import ConfigError
from uslm_tokenizer.registry import load_tokenizer


@dataclass(frozen=True, kw_only=True)
class NARRecipe:
    """Everything that decides a run of this recipe."""

    model: AcousticLMConfig = field(default_factory=AcousticLMConfig)
    """The transformer to train."""
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
    min_prompt_frames: int = 50
    """Shortest prompt."""
    max_prompt_frames: int = 225
    """Longest prompt."""
    max_target_frames: int = 400
    """Longest piece of an utterance in a row."""
    known_share: float = 0.4
    """Share of rows whose first frames are known."""
    text_dropout: float = 0.4
    """Share of rows with text that are shown without it."""
    tokenizer: str = ""
    """The codec whose codes are learnt; with it, its decoder's expected input is learnt too."""
    input_weight: float = 10.0
    """Weight of that input's error."""
    ahead_weight: float = 0.3
    """Weight of the levels behind the next one."""
    label_smoothing: float = 0.05
    """Probability mass that the target code gives to the others."""


class AcousticRows:
    """Rows with prompts; what a row shows is drawn."""

    def __init__(self, corpus: Corpus, tokens: TokenCorpus, indices: NDArray[np.int64]) -> None:
        self.corpus, self.tokens = corpus, tokens
        self.by_speaker: dict[str, list[int]] = {}
        for index in map(int, indices):
            self.by_speaker.setdefault(corpus.speakers[index], []).append(index)

    def row(self, index: int, recipe: NARRecipe, random: np.random.Generator) -> AcousticRow:
        """Prompt, target, text and known frames of one utterance."""
        mates = self.by_speaker[self.corpus.speakers[index]]
        mate = mates[int(random.integers(len(mates)))]
        codes = self.tokens.codes(index)
        num_prompt = int(random.integers(recipe.min_prompt_frames, recipe.max_prompt_frames + 1))
        start = 0
        if mate == index:  # the same utterance: its beginning is the prompt
            start = min(num_prompt, codes.shape[1] // 2)
            prompt = codes[:, :start]
        else:
            prompt = _piece(self.tokens.codes(mate), num_prompt, random)[1]
        offset, target = _piece(codes[:, start:], recipe.max_target_frames, random)
        known = 0
        if random.random() < recipe.known_share:
            known = int(random.integers(0, max(1, min(100, target.shape[1] - 10))))
        text = torch.from_numpy(self.corpus.text_ids[index])
        hidden = len(text) == 0 or random.random() < recipe.text_dropout
        return AcousticRow(
            prompt=prompt,
            codes=target,
            num_context=known,
            start=start + offset,
            text_ids=None if hidden else text,
        )


def _piece(
    codes: Int[Tensor, "k t"], length: int, random: np.random.Generator
) -> tuple[int, Int[Tensor, "k p"]]:
    """A random stretch of at most `length` frames, and where it begins."""
    start = int(random.integers(0, max(1, codes.shape[1] - length + 1)))
    return start, codes[:, start : start + length]


def draw_levels(rows: int, groups: Sequence[int], random: np.random.Generator) -> Int[Tensor, " b"]:
    """Levels that each row shows: 1, or as many as there are behind some passes of generation.

    Low ones are drawn more often, as all others lean on them.
    """
    starts = np.cumsum([1, *groups[:-1]])
    drawn = random.choice(starts, size=rows, p=(1 / starts) / (1 / starts).sum())
    return torch.from_numpy(drawn)


class Objective(nn.Module):
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
    model: AcousticLM,
    rows: AcousticRows,
    indices: list[int],
    recipe: NARRecipe,
    vectors: Float[Tensor, "levels v e"] | None,
) -> dict[str, float]:
    """On held-out speakers: cross-entropy of the first level of each pass, nats a code, and the
    error of the decoder's expected input, as a share of its variance."""
    random = np.random.default_rng(0)
    found: dict[str, list[float]] = {}
    for start in range(0, len(indices), 8):
        chosen = indices[start : start + 8]
        batch = model.batch([rows.row(index, recipe, random) for index in chosen])
        for level in np.cumsum([1, *model.level_groups[:-1]]).tolist():
            num_known = torch.full((len(chosen),), level, device=model.device)
            with torch.autocast(model.device.type, torch.bfloat16):
                losses = model.loss(batch, num_known, vectors=vectors)
            found.setdefault(f"level_{level}", []).append(float(losses.following[level]))
            if losses.input_error is not None:
                found.setdefault(f"input_{level}", []).append(float(losses.input_error))
    means = {name: float(np.mean(values)) for name, values in found.items()}
    return {"loss": float(np.mean(list(means.values()))), **means}


def train(recipe: NARRecipe, out: Path, *, resume: bool = False) -> AcousticLM:
    """Run the recipe in `out`; the finished model is saved there as `model`."""
    seed_everything(recipe.loop.seed)
    accelerator = make_accelerator(recipe.loop, out)
    corpus = Corpus.open(recipe.corpus)
    tokens = TokenCorpus.open(corpus, recipe.tokens)
    model = AcousticLM(recipe.model)
    codec = load_tokenizer(recipe.tokenizer) if recipe.tokenizer else None
    if codec is not None and not isinstance(codec, UnitCodec):
        raise ConfigError(f"tokenizer must be a unit codec, but is {recipe.tokenizer}")
    vectors = None if codec is None else codec.level_vectors()
    objective = Objective(model, recipe, vectors)
    indices = corpus.select(split="train", min_seconds=1.0, sources=recipe.sources or None)
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
            return validate(model, held_out_rows, held_out.tolist(), recipe, vectors)

        while keep_going(run):
            # Drawn anew from the place in the stream, so that a resumed run draws the same.
            random = np.random.default_rng((recipe.loop.seed, batches.epoch, batches.position))
            chosen = next(batches).tolist()
            batch = model.batch([rows.row(index, recipe, random) for index in chosen])
            num_known = draw_levels(len(chosen), model.level_groups, random)
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
