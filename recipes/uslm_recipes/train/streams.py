"""Train Moshi's language model: a speaker's text and codes, step by step, beside another's codes.

    python -m uslm_recipes.train_streams --config mini --out runs/moshi \\
        --set corpus=[data/corpus] --set tokens=[runs/tokens/0] \\
        --set tokenizer=runs/codec/model --max-minutes 20

With `model.audio_delay` above 0 the speech follows the text, and the model learns to read aloud;
with `model.text_delay` the text follows the speech, and it learns to transcribe.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from uslm.systems.moshi.folder import save_conversational
from uslm.systems.moshi.model import MoshiConfig, MoshiLM
from uslm_recipes.cards.export import export
from uslm_recipes.config import recipe_main
from uslm_recipes.data.alignments import align
from uslm_recipes.data.batches import SecondsBatches
from uslm_recipes.data.corpus import Corpus
from uslm_recipes.data.rows.stream import StreamRows, check_fits, silence
from uslm_recipes.data.tokens import TokenCorpus
from uslm_recipes.loop import (
    LoopConfig,
    Losses,
    Run,
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
from uslm_tokenizer.base import AudioTokenizer
from uslm_tokenizer.codecs.mimi.model import MimiCodec
from uslm_tokenizer.codecs.unit_tokenizer.model import UnitTokenizer
from uslm_tokenizer.errors import ConfigError, UserError
from uslm_tokenizer.registry import load_tokenizer
from uslm_tokenizer.sequence.grid import TokenGrid

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class StreamsRecipe:
    """Everything that decides a run of this recipe."""

    model: MoshiConfig = field(default_factory=MoshiConfig)
    """The language model; its text tokens are phonemes and two kinds of padding behind them."""
    loop: LoopConfig = field(default_factory=LoopConfig)
    """Length, learning rate and the like."""
    corpus: tuple[str, ...] = ("data/corpus",)
    """Corpus folders, as uslm-prepare makes them."""
    tokens: tuple[str, ...] = ("runs/tokens",)
    """Token folders, as encode makes them; one for each corpus."""
    tokenizer: str = ""
    """The codec that made them: it says what silence is, and, where its first codebook is a unit
    tokenizer that recognises phonemes, aligns texts whose durations the corpus does not tell."""
    sources: tuple[str, ...] = ()
    """Collections to learn from; empty means all that have text."""
    seconds_per_batch: float = 120.0
    """Seconds of own speech in a batch."""
    max_seconds: float = 16.0
    """Longer utterances are left out."""
    dialogue_share: float = 0.5
    """Share of the rows in which another speaker speaks first."""
    tail_seconds: float = 0.5
    """Silence at the end of a row."""

    def __post_init__(self) -> None:
        if not 0 <= self.dialogue_share <= 1:
            raise ConfigError(f"dialogue_share must be in [0, 1], but is {self.dialogue_share}")
        if self.dialogue_share and not self.model.num_user_codebooks:
            raise ConfigError(
                "dialogue_share must be 0 where model.num_user_codebooks is, "
                f"but is {self.dialogue_share}"
            )


class Objective(nn.Module):
    """The parts of the loss as a module's `forward`, as wrappers for several devices need it."""

    def __init__(self, model: MoshiLM) -> None:
        super().__init__()
        self.model = model

    def forward(self, grid: TokenGrid) -> dict[str, Tensor]:
        """Nats of the text, and of the codes by their weights."""
        return self.model.loss_parts(grid)


def draw_batch(
    recipe: StreamsRecipe,
    model: MoshiLM,
    rows: StreamRows,
    indices: NDArray[np.int64],
    batches: SecondsBatches,
) -> TrainBatch[TokenGrid]:
    """The next batch; who speaks before an utterance is train_batch from epoch and utterance
    alone."""
    epoch = batches.epoch
    chosen = next(batches).tolist()
    train_batch = []
    for index in chosen:
        random = np.random.default_rng((recipe.loop.seed, epoch, index))
        talks = random.random() < recipe.dialogue_share
        partner = rows.partner_of(index, indices.tolist(), random) if talks else None
        train_batch.append(rows.row(index, partner))
    grid = model.batch(train_batch)
    own = slice(1, 1 + model.config.num_codebooks)
    return TrainBatch(
        batch=grid,
        name=BatchLabel(rows.corpus, chosen),
        audio_seconds=float(rows.corpus.seconds[chosen].sum()),
        tokens=sum(row.shape[1] for row in train_batch),
        padded_frames=grid.tokens.shape[0] * grid.tokens.shape[2],
        counts={
            "text": float(grid.weights[:, 0].sum()),
            "codes": float(grid.weights[:, own].sum()),
        },
    )


@torch.no_grad()
def validate(
    model: MoshiLM, objective: nn.Module, rows: StreamRows, indices: list[int]
) -> Validation:
    """Nats of held-out speakers, who speak alone."""
    totals, counts = dict[str, float](), dict[str, float]()
    own = slice(1, 1 + model.config.num_codebooks)
    for start in range(0, len(indices), 16):
        grid = model.batch([rows.row(i, None) for i in indices[start : start + 16]])
        grid = grid.to(model.device)
        found = {"text": grid.weights[:, 0].sum(), "codes": grid.weights[:, own].sum()}
        for name, part in objective(grid).items():
            count = float(found[name])
            totals[name] = totals.get(name, 0.0) + float(part) * count
            counts[name] = counts.get(name, 0.0) + count
    parts = {name: total / counts[name] for name, total in totals.items()}
    return Validation(values={"loss": sum(parts.values()), **parts})


def utterances(
    recipe: StreamsRecipe, corpus: Corpus, codec: AudioTokenizer
) -> tuple[list[NDArray[np.int64]], UnitTokenizer | None]:
    """Utterances to learn from and to validate with, and who finds where their symbols begin: the
    corpus itself, if nobody can."""
    limits = {"max_seconds": recipe.max_seconds, "sources": recipe.sources or None}
    splits = [
        corpus.select(split=split, with_text=True, **limits)  # type: ignore[arg-type]
        for split in ("train", "test")
    ]
    splits[1] = splits[1][:120]
    recognizer = getattr(codec, "units", None)
    if not isinstance(recognizer, UnitTokenizer):
        recognizer = None
        splits = [
            np.array([i for i in each if corpus.utterances[i].durations], dtype=np.int64)
            for each in splits
        ]
        if not len(splits[0]):
            raise ConfigError(
                f"tokenizer must be a codec that recognises phonemes, but is a {codec.model_type}, "
                "and no utterance of the corpus tells the durations of its symbols"
            )
    return splits, recognizer


def fitting(rows: StreamRows, splits: Sequence[NDArray[np.int64]]) -> list[list[int]]:
    """Of each split those whose text fits their speech; UserError if none is left to train on."""
    aligned = [[i for i in each.tolist() if i in rows.alignments] for each in splits]
    found = [[i for i in each if rows.fits(i)] for each in aligned]
    if len(found[0]) < len(aligned[0]):
        logger.warning(
            "%d of %d texts are longer than their speech and left out",
            len(aligned[0]) - len(found[0]),
            len(aligned[0]),
        )
    if not found[0]:
        raise UserError(f"no utterance of {rows.corpus.folders} has a text that fits its speech")
    return found


def export_system(run: Run, codec: AudioTokenizer) -> None:
    """The folder that converses, where the codec is one that streams."""
    if run.rank.is_main and isinstance(codec, MimiCodec):
        model = MoshiLM.from_pretrained(run.out / "model")
        if model.config.num_codebooks and model.config.num_user_codebooks:
            save_conversational(model, codec, run.out / "system")
    run.rank.barrier()


def train(recipe: StreamsRecipe, out: Path, *, resume: bool = False) -> bool:
    """Run the recipe in `out`; True when it is over, and the model saved there as `model`."""
    seed_everything(recipe.loop.seed)
    accelerator = make_accelerator(recipe.loop, out)
    corpus = Corpus.open(recipe.corpus)
    tokens = TokenCorpus.open(corpus, recipe.tokens)
    if not recipe.tokenizer:
        raise ConfigError("tokenizer must name the codec that made the tokens, but is empty")
    codec = load_tokenizer(recipe.tokenizer)
    check_fits(recipe.model, tokens, codec)
    splits, recognizer = utterances(recipe, corpus, codec)
    with accelerator.main_process_first():
        alignments = align(corpus, tokens, recognizer, np.concatenate(splits), out)
    frame_rate = corpus.sample_rate / tokens.header.hop_length
    rows = StreamRows(
        corpus,
        tokens,
        alignments,
        recipe.model,
        silence(codec),
        tail_frames=round(recipe.tail_seconds * frame_rate),
    )
    indices, held_out = fitting(rows, splits)
    chosen = np.array(indices, dtype=np.int64)
    model = MoshiLM(recipe.model).train()
    objective = Objective(model)
    batches = SecondsBatches(
        corpus.seconds,
        recipe.seconds_per_batch,
        recipe.loop.seed,
        indices=chosen,
        world=world_of(accelerator),
    )
    state = TrainingState(
        models={"model": objective},
        optimizers={"model": make_optimizer(objective, recipe.loop)},
        streams={"batches": batches},
        shardable=True,
    )
    data = TrainingData.of(corpus, tokens)
    with start_run(recipe, out, state, accelerator=accelerator, data=data, resume=resume) as run:
        prepared = state.models["model"]

        def check() -> Validation:
            return validate(model, prepared, rows, held_out)

        for train_batch in each_batch(
            run, lambda: draw_batch(recipe, model, rows, chosen, batches)
        ):
            with accelerator.accumulate(prepared):
                parts = prepared(train_batch.batch.to(accelerator.device))
                loss = torch.stack(
                    [part * train_batch.weights[name] for name, part in parts.items()]
                )
                update(run, loss.sum())
            after_step(
                run, Losses(loss.sum(), parts), train_batch, validate=check if held_out else None
            )
        if complete := finish_run(run):
            export(run, "model", {"model": model})
            export_system(run, codec)
    return complete


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line."""
    return recipe_main("train_streams", StreamsRecipe, train, arguments)


if __name__ == "__main__":
    raise SystemExit(main())
