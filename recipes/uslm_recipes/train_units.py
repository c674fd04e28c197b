"""Train the semantic tokenizer: a frozen speech encoder teaches it, and phonemes where text is.

    python -m uslm_recipes.train_units --config mini --out runs/units \\
        --set corpus=[data/corpus] --set teacher=openai/whisper-base --max-minutes 25

The codebook comes late: for the first part of the run latents pass it untouched, then k-means
places its entries where the latents already lie. A codebook learnt from noise collapses.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from uslm_recipes.checkpoint import TrainingState, unwrap
from uslm_recipes.command import run_command
from uslm_recipes.config import parse_recipe_args
from uslm_recipes.data.batches import SecondsBatches, pad_ids, pad_waveforms
from uslm_recipes.data.corpus import Corpus
from uslm_recipes.loop import (
    LoopConfig,
    Losses,
    Run,
    after_step,
    finish_run,
    fraction_done,
    keep_going,
    make_accelerator,
    make_optimizer,
    seed_everything,
    start_run,
    update,
    world_of,
)
from uslm_recipes.teacher import TeacherFeatures, teacher_features
from uslm_tokenizer.errors import ConfigError
from uslm_tokenizer.semantic.unit_tokenizer import (
    UnitPrediction,
    UnitTokenizer,
    UnitTokenizerConfig,
)
from uslm_tokenizer.sequence.edit_distance import edit_distance


@dataclass(frozen=True, kw_only=True)
class UnitsRecipe:
    """Everything that decides a run of this recipe."""

    model: UnitTokenizerConfig = field(default_factory=UnitTokenizerConfig)
    """The tokenizer to train."""
    loop: LoopConfig = field(default_factory=LoopConfig)
    """Length, learning rate and the like."""
    corpus: tuple[str, ...] = ("data/corpus",)
    """Corpus folders, as uslm-prepare makes them."""
    sources: tuple[str, ...] = ()
    """Collections to learn from; empty means all."""
    teacher: str = "openai/whisper-base"
    """The speech encoder to learn from: a transformers folder or a model of the Hub."""
    teacher_layers: tuple[int, ...] = (5, 6)
    """Its layers whose mean is the target, counted from 1."""
    seconds_per_batch: float = 240.0
    """Padded seconds of audio in a batch."""
    ctc_weight: float = 0.3
    """Weight of the phoneme loss beside the teacher's."""
    continuous_share: float = 0.5
    """Share of the run before the codebook is placed."""
    codebook_seconds: float = 1200.0
    """Speech whose latents the codebook's entries are placed among."""


@dataclass
class Batch:
    """Utterances side by side."""

    waveforms: Float[Tensor, "b 1 n"]
    lengths: Int[Tensor, " b"]
    features: Float[Tensor, "b t d"]
    with_text: Int[Tensor, " u"]
    """Rows that have text."""
    text_ids: Int[Tensor, "u s"]
    text_lengths: Int[Tensor, " u"]


def collate(corpus: Corpus, teacher: TeacherFeatures, indices: list[int]) -> Batch:
    """Read a batch; a text that could not fit its frames is left out."""
    waveforms, lengths = pad_waveforms([corpus.waveform(i) for i in indices])
    features = torch.nn.utils.rnn.pad_sequence([teacher[i] for i in indices], batch_first=True)
    texts = [torch.from_numpy(corpus.text_ids[i]) for i in indices]
    frames = (lengths // 320).tolist()
    rows = [r for r, text in enumerate(texts) if 0 < ctc_frames(text) <= frames[r]]
    text_ids, text_lengths = pad_ids([texts[r] for r in rows] or [texts[0][:0]])
    return Batch(waveforms, lengths, features, torch.tensor(rows), text_ids, text_lengths)


def ctc_frames(text_ids: Int[Tensor, " s"]) -> int:
    """The fewest frames in which CTC can spell the text: repeats need a blank between them."""
    return len(text_ids) + int((text_ids[1:] == text_ids[:-1]).sum())


def losses_of(recipe: UnitsRecipe, predicted: UnitPrediction, batch: Batch) -> Losses:
    """Teacher distance, phoneme loss and commitment of one batch."""
    mask = predicted.mask
    features, target = predicted.features[mask], batch.features[mask]
    cosine = F.cosine_similarity(features, target, dim=-1).mean()
    teacher = 1 - cosine + 0.25 * F.smooth_l1_loss(features, target)
    phonemes = teacher.new_zeros(())
    if len(batch.with_text):
        phonemes = F.ctc_loss(
            predicted.phoneme_logits[batch.with_text].log_softmax(-1).transpose(0, 1),
            batch.text_ids,
            mask[batch.with_text].sum(1),
            batch.text_lengths,
        )
    return Losses(
        total=teacher + recipe.ctc_weight * phonemes + predicted.commitment,
        parts={"cosine": cosine, "ctc": phonemes, "commitment": predicted.commitment},
    )


def augment(
    waveforms: Float[Tensor, "b 1 n"], generator: torch.Generator
) -> Float[Tensor, "b 1 n"]:
    """A random level for each row."""
    gain = torch.empty(len(waveforms), 1, 1).uniform_(0.4, 1.4, generator=generator)
    return waveforms * gain


@torch.no_grad()
def validate(
    model: nn.Module,
    codebook_size: int,
    corpus: Corpus,
    teacher: TeacherFeatures,
    indices: list[int],
) -> dict[str, float]:
    """Teacher cosine, phoneme error rate and codebook use on held-out speakers."""
    cosine, errors, symbols, frames = 0.0, 0, 0, 0
    counts = torch.zeros(codebook_size)
    for start in range(0, len(indices), 16):
        batch = collate(corpus, teacher, indices[start : start + 16])
        predicted = model(batch.waveforms, batch.lengths)
        mask = predicted.mask
        each = F.cosine_similarity(predicted.features[mask], batch.features[mask], dim=-1)
        cosine, frames = cosine + float(each.sum()), frames + len(each)
        counts += torch.bincount(predicted.units[mask], minlength=codebook_size)
        best = predicted.phoneme_logits.argmax(-1)
        for text, length, row in zip(
            batch.text_ids, batch.text_lengths, batch.with_text.tolist(), strict=False
        ):
            path = torch.unique_consecutive(best[row][mask[row]])
            truth = text[:length].tolist()
            errors += edit_distance(path[path > 0].tolist(), truth)
            symbols += len(truth)
    share = counts / counts.sum()
    perplexity = math.exp(-float(torch.special.xlogy(share, share).sum()))
    return {
        "cosine": cosine / frames,
        "phoneme_error_rate": errors / max(symbols, 1),
        "codebook_perplexity": perplexity,
    }


def train(recipe: UnitsRecipe, out: Path, *, resume: bool = False) -> UnitTokenizer:
    """Run the recipe in `out`; the finished tokenizer is saved there as `model`."""
    seed_everything(recipe.loop.seed)
    accelerator = make_accelerator(recipe.loop, out)
    corpus = Corpus.open(recipe.corpus)
    teacher = teacher_features(
        corpus, out / "teacher", recipe.teacher, recipe.teacher_layers, device=accelerator.device
    )
    if teacher.dim != recipe.model.teacher_dim:
        raise ConfigError(
            f"model.teacher_dim must be {teacher.dim} for {recipe.teacher}, "
            f"but is {recipe.model.teacher_dim}"
        )
    model = UnitTokenizer(recipe.model)
    generator = torch.Generator().manual_seed(recipe.loop.seed)
    batches = SecondsBatches(
        corpus.seconds,
        recipe.seconds_per_batch,
        recipe.loop.seed,
        indices=corpus.select(split="train", sources=recipe.sources or None),
        world=world_of(accelerator),
    )
    state = TrainingState(
        models={"model": model},
        optimizers={"model": make_optimizer(model, recipe.loop)},
        streams={"batches": batches},
        generators={"augment": generator},
    )
    held_out = [int(i) for i in corpus.select(split="test", with_text=True)][:200]
    with start_run(recipe.loop, out, state, accelerator=accelerator, resume=resume) as run:
        prepared = state.models["model"]

        def check() -> dict[str, float]:
            return validate(prepared, model.codebook_size, corpus, teacher, held_out)

        while keep_going(run):
            if not model.quantizer.initialized and (
                fraction_done(run.progress, recipe.loop) >= recipe.continuous_share
            ):
                place_codebook(recipe, model, corpus, batches, generator)
            indices = next(batches).tolist()
            batch = collate(corpus, teacher, indices)
            with accelerator.accumulate(prepared):
                waveforms = augment(batch.waveforms, generator)
                predicted = prepared(waveforms, batch.lengths, generator)
                losses = losses_of(recipe, predicted, batch)
                update(run, losses.total)
            after_step(
                run,
                losses,
                audio_seconds=float(batch.lengths.sum()) / corpus.sample_rate,
                batch=indices,
                validate=check if held_out and model.quantizer.initialized else None,
            )
        if finish_run(run):
            export(run, out)
    return model


@torch.no_grad()
def place_codebook(
    recipe: UnitsRecipe,
    model: UnitTokenizer,
    corpus: Corpus,
    batches: SecondsBatches,
    generator: torch.Generator,
) -> None:
    """K-means over the latents of the next batches."""
    frames, seconds = [], 0.0
    model.eval()
    while seconds < recipe.codebook_seconds:
        waveforms, lengths = pad_waveforms([corpus.waveform(int(i)) for i in next(batches)])
        waveforms, mask = model.frame(waveforms, lengths)
        with torch.autocast("cpu", torch.bfloat16):
            latents = model.latents(waveforms, mask)
        frames.append(latents.transpose(1, 2)[mask])
        seconds += float(lengths.sum()) / corpus.sample_rate
    model.train()
    model.quantizer.initialize(torch.cat(frames).T[None], generator=generator)


def export(run: Run, out: Path) -> None:
    """Save the trained tokenizer, with averaged weights where there are some."""
    for ema in run.state.ema.values():
        ema.copy_to_model()
    model = unwrap(run.state.models["model"])
    assert isinstance(model, UnitTokenizer)
    model.eval().save_pretrained(out / "model")


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line."""

    def action() -> None:
        given = parse_recipe_args("train_units", UnitsRecipe, arguments)
        train(given.config, given.out, resume=given.resume)

    return run_command("train_units", action)


if __name__ == "__main__":
    raise SystemExit(main())
