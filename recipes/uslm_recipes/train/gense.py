"""Train GenSE's language models: noisy speech to clean speech, as a translation of tokens.

    python -m uslm_recipes.train_gense --config mini --out runs/cleaner \\
        --set corpus=[data/corpus] --set units=runs/units/model --set codec=runs/simcodec/model
    python -m uslm_recipes.train_gense --config mini_speaker --out runs/speaker \\
        --set corpus=[data/corpus] --set units=runs/units/model --set codec=runs/simcodec/model \\
        --set cleaner=runs/cleaner/model

The first run leaves the model that cleans units, the second the one that speaks them, and with
`cleaner` also `system`, a folder that `uslm enhance` takes. Damage is made on the fly: noise, other
speakers, rooms, narrow bands, a telephone. The codec gives one code a frame: see `kept_codes` of
`train_waveform_codec`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from uslm.generate.sampling import Sampling
from uslm.generate.spans import write_spans
from uslm.models.span_lm import SpanBatch, SpanLMConfig, SpanLMSizes, TokenKind
from uslm.models.spans import Span
from uslm.systems.gense.model import (
    CLEAN_CODES,
    CLEAN_UNITS,
    NOISY_CODES,
    NOISY_UNITS,
    GenseLM,
    kinds_of,
)
from uslm.systems.tiny_folder import save_parts
from uslm_recipes.cards.export import export
from uslm_recipes.config import recipe_main
from uslm_recipes.data.augment.damage import DamageConfig
from uslm_recipes.data.augment.noisy_rows import NoisyRows, Pair, tokens_of
from uslm_recipes.data.batches import SecondsBatches
from uslm_recipes.data.corpus import Corpus
from uslm_recipes.data.fitting import check_sample_rate, load_units
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
from uslm_recipes.loop.loss_module import LossModule
from uslm_recipes.loop.training_data import BatchLabel, TrainingData
from uslm_tokenizer.base import AudioTokenizer
from uslm_tokenizer.errors import ConfigError
from uslm_tokenizer.registry import load_tokenizer

NUM_WRITTEN = 8
"""Held-out stretches that are written in a validation, token after token."""


@dataclass(frozen=True, kw_only=True)
class GenseRecipe:
    """Everything that decides a run of this recipe."""

    stage: Literal["cleaner", "speaker"] = "cleaner"
    """Which of the two: noisy units to clean units, or those and noisy codes to clean codes."""
    model: SpanLMSizes = field(default_factory=SpanLMSizes)
    """The model to train."""
    units: str = "runs/units/model"
    """The tokenizer of the units, or a codec whose first codes they are; it stays as it is."""
    codec: str = "runs/simcodec/model"
    """The codec of the codes, of one code a frame; the cleaner does without."""
    cleaner: str = ""
    """A trained cleaner, for a folder that enhances."""
    damage: DamageConfig = field(default_factory=DamageConfig)
    """How clean speech is damaged."""
    unit_noise: float = 0.1
    """Share of the clean units that the speaker is shown wrong: a cleaner's will not all be
    right."""
    prompt_dropout: float = 0.1
    """Share of rows in which the speaker does without the noisy codes."""
    loop: LoopConfig = field(default_factory=LoopConfig)
    """Length, learning rate and the like."""
    corpus: tuple[str, ...] = ("data/corpus",)
    """Corpus folders, as uslm-prepare makes them."""
    sources: tuple[str, ...] = ()
    """Collections to learn from; empty means all."""
    seconds_per_batch: float = 60.0
    """Seconds of clean speech in a batch."""
    max_seconds: float = 6.0
    """Longest stretch of an utterance in a row, seconds."""

    def __post_init__(self) -> None:
        for name in ("unit_noise", "prompt_dropout"):
            if not 0 <= getattr(self, name) < 1:
                raise ConfigError(f"{name} must be in [0, 1), but is {getattr(self, name)}")


@dataclass(frozen=True)
class Tokenizers:
    """The tokenizers of the stage that is trained."""

    units: AudioTokenizer
    codec: AudioTokenizer | None

    @property
    def kinds(self) -> tuple[TokenKind, ...]:
        """The kinds of the stage that is trained."""
        units, codec = self.units, self.codec
        return kinds_of(
            num_units=units.codebook_size,
            unit_rate=units.frame_rate,
            num_codes=0 if codec is None else codec.codebook_size,
            code_rate=0.0 if codec is None else codec.frame_rate,
        )


def open_tokenizers(recipe: GenseRecipe, corpus: Corpus) -> Tokenizers:
    """Those of the recipe. ConfigError where they do not fit."""
    units = load_units(recipe.units)
    codec = load_tokenizer(recipe.codec) if recipe.stage == "speaker" else None
    for name, each in (("units", units), ("codec", codec)):
        if each is None:
            continue
        check_sample_rate(name, each, corpus)
        if name == "codec" and each.num_codebooks != 1:
            raise ConfigError(
                f"codec must give one code a frame, but gives {each.num_codebooks}; see kept_codes "
                "of train_waveform_codec"
            )
    return Tokenizers(units.eval(), None if codec is None else codec.eval())


def spans_of(
    recipe: GenseRecipe,
    tokenizers: Tokenizers,
    pairs: Sequence[Pair],
    randoms: Sequence[np.random.Generator],
    *,
    clean: bool = False,
) -> list[list[Span]]:
    """Rows of the stage; with `clean`, nothing is dropped from them or put in the place of other
    tokens."""
    both = [pair.noisy for pair in pairs] + [pair.clean for pair in pairs]
    noisy, right = _halves(tokens_of(tokenizers.units, both))
    rows = [
        [Span(NOISY_UNITS, before), Span(CLEAN_UNITS, after)]
        for before, after in zip(noisy, right, strict=True)
    ]
    if tokenizers.codec is None:
        return rows
    noisy, right = _halves(tokens_of(tokenizers.codec, both))
    for row, before, after, random in zip(rows, noisy, right, randoms, strict=True):
        wrong = torch.from_numpy(random.random(len(row[1].ids)) < recipe.unit_noise)
        size = tokenizers.units.codebook_size
        others = torch.from_numpy(random.integers(0, size, len(row[1].ids)))
        if not clean:
            row[1] = Span(CLEAN_UNITS, torch.where(wrong, others, row[1].ids))
        if clean or random.random() >= recipe.prompt_dropout:
            row.append(Span(NOISY_CODES, before))
        row.append(Span(CLEAN_CODES, after))
    return rows


def _halves(rows: list[Tensor]) -> tuple[list[Tensor], list[Tensor]]:
    return rows[: len(rows) // 2], rows[len(rows) // 2 :]


def draw_batch(
    recipe: GenseRecipe,
    rows: NoisyRows,
    model: GenseLM,
    tokenizers: Tokenizers,
    batches: SecondsBatches,
) -> TrainBatch[SpanBatch]:
    """The next batch; what a row holds is drawn from epoch and utterance alone."""
    epoch = batches.epoch
    chosen = next(batches).tolist()
    randoms = [np.random.default_rng((recipe.loop.seed, epoch, i)) for i in chosen]
    pairs = [rows.pair(i, random) for i, random in zip(chosen, randoms, strict=True)]
    spans = spans_of(recipe, tokenizers, pairs, randoms)
    batch = model.batch(spans)
    return TrainBatch(
        batch=batch,
        name=BatchLabel(rows.corpus, chosen),
        audio_seconds=sum(len(pair.clean) for pair in pairs) / rows.corpus.sample_rate,
        tokens=sum(len(span.ids) + 1 for row in spans for span in row),
        padded_frames=batch.tokens.numel(),
        counts={"tokens": int((batch.targets >= 0).sum())},
    )


@torch.no_grad()
def validate(
    recipe: GenseRecipe,
    rows: NoisyRows,
    model: GenseLM,
    tokenizers: Tokenizers,
    indices: Sequence[int],
) -> Validation:
    """Of held-out speech: nats a token; and the share of tokens of the likeliest translation that
    are not the clean recording's, beside that of the noisy recording's own tokens."""
    nats, count, wrong, untouched, of = 0.0, 0, 0, 0, 0
    for place in range(0, len(indices), NUM_WRITTEN):
        some = indices[place : place + NUM_WRITTEN]
        randoms = [np.random.default_rng((0, i)) for i in some]
        pairs = [rows.pair(i, random) for i, random in zip(some, randoms, strict=True)]
        spans = spans_of(recipe, tokenizers, pairs, randoms, clean=True)
        batch = model.batch(spans).to(model.device)
        tokens = int((batch.targets >= 0).sum())
        nats, count = nats + float(model.loss(batch)) * tokens, count + tokens
        if place:
            continue
        kind = spans[0][-1].kind
        written = write_spans(
            model, [row[:-1] for row in spans], kind, [len(row[-1].ids) for row in spans],
            sampling=Sampling(temperature=0.0), generators=[torch.Generator() for _ in spans],
        )  # fmt: skip
        before = {CLEAN_UNITS: NOISY_UNITS, CLEAN_CODES: NOISY_CODES}[kind]
        for row, found in zip(spans, written, strict=True):
            wanted = row[-1].ids
            [noisy] = (span.ids for span in row if span.kind == before)
            wrong += int((found != wanted).sum())
            untouched += int((noisy != wanted).sum())
            of += len(wanted)
    values = {"loss": nats / count, "wrong": wrong / of, "wrong_before": untouched / of}
    return Validation(values=values)


def export_system(run: Run, recipe: GenseRecipe, tokenizers: Tokenizers) -> None:
    """The folder that enhances, where all its parts are known."""
    if run.rank.is_main and recipe.stage == "speaker" and recipe.cleaner:
        assert tokenizers.codec is not None
        parts = {
            "units": tokenizers.units,
            "codec": tokenizers.codec,
            "cleaner": GenseLM.from_pretrained(recipe.cleaner),
            "speaker": GenseLM.from_pretrained(run.out / "model"),
        }
        save_parts("gense", parts, run.out / "system")
    run.rank.barrier()


def train(recipe: GenseRecipe, out: Path, *, resume: bool = False) -> bool:
    """Run the recipe in `out`; True when it is over, and the model saved there as `model`."""
    seed_everything(recipe.loop.seed)
    accelerator = make_accelerator(recipe.loop, out)
    device = accelerator.device
    corpus = Corpus.open(recipe.corpus)
    tokenizers = open_tokenizers(recipe, corpus)
    model = GenseLM(SpanLMConfig(kinds=tokenizers.kinds, **vars(recipe.model))).train()
    objective = LossModule(model)
    rows = NoisyRows(corpus, recipe.damage, recipe.max_seconds)
    indices = corpus.select(split="train", min_seconds=0.5, sources=recipe.sources or None)
    held_out = corpus.select(split="test", min_seconds=0.5)[:32].tolist()
    batches = SecondsBatches(
        np.minimum(corpus.seconds, recipe.max_seconds),
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
    data = TrainingData.of(corpus)
    with start_run(recipe, out, state, accelerator=accelerator, data=data, resume=resume) as run:
        prepared = state.models["model"]

        def check() -> Validation:
            return validate(recipe, rows, model, tokenizers, held_out)

        for train_batch in each_batch(
            run, lambda: draw_batch(recipe, rows, model, tokenizers, batches)
        ):
            with accelerator.accumulate(prepared):
                loss = prepared(train_batch.batch.to(device)) * train_batch.weights["tokens"]
                update(run, loss)
            after_step(run, Losses(loss, {}), train_batch, validate=check if held_out else None)
        if complete := finish_run(run):
            export(run, "model", {"model": model})
            export_system(run, recipe, tokenizers)
    return complete


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line."""
    return recipe_main("train_gense", GenseRecipe, train, arguments)


if __name__ == "__main__":
    raise SystemExit(main())
