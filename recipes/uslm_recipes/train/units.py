"""Train the semantic tokenizer: a frozen speech encoder teaches it, and phonemes where text is.

    python -m uslm_recipes.train_units --config mini --out runs/units \\
        --set corpus=[data/corpus] --set teacher=openai/whisper-base --max-minutes 25

The codebook comes late: for the first part of the run latents pass it untouched, then k-means
places its entries where the latents already lie. A codebook learnt from noise collapses.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from uslm_recipes.cards.export import export
from uslm_recipes.config import recipe_main
from uslm_recipes.data.batches import SecondsBatches, pad_ids, pad_waveforms
from uslm_recipes.data.corpus import Corpus
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
    fraction_done,
    make_accelerator,
    make_optimizer,
    own_generator,
    seed_everything,
    start_run,
    update,
    world_of,
)
from uslm_recipes.loop.pictures import draw_codebooks
from uslm_recipes.loop.training_data import BatchLabel, TrainingData
from uslm_recipes.loop.validation import codebook_perplexity
from uslm_recipes.train import samples
from uslm_recipes.train.teachers.features import TeacherFeatures, teacher_features
from uslm_tokenizer.codecs.unit_tokenizer.model import (
    UnitPrediction,
    UnitTokenizer,
    UnitTokenizerConfig,
)
from uslm_tokenizer.errors import ConfigError
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
    corpus_on_device: bool = False
    """Whether all of it lies on the device, 115 MB an hour, so that nothing is read or copied."""
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
    """Share of the run before the codebook is placed; one that cannot wait (`delayed_init`) is
    placed before the first step."""
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

    def to(self, device: torch.device) -> "Batch":
        """The same on another device."""
        return Batch(**{name: part.to(device) for name, part in vars(self).items()})


def collate(corpus: Corpus, teacher: TeacherFeatures, indices: list[int], hop_length: int) -> Batch:
    """Read a batch; a text that could not fit its frames is left out."""
    waveforms, lengths = pad_waveforms([corpus.waveform(i) for i in indices])
    features = torch.nn.utils.rnn.pad_sequence([teacher[i] for i in indices], batch_first=True)
    texts = [torch.from_numpy(corpus.text_ids[i]) for i in indices]
    frames = (lengths // hop_length).tolist()
    rows = [r for r, text in enumerate(texts) if 0 < ctc_frames(text) <= frames[r]]
    text_ids, text_lengths = pad_ids([texts[r] for r in rows] or [texts[0][:0]])
    return Batch(waveforms, lengths, features, torch.tensor(rows), text_ids, text_lengths)


def ctc_frames(text_ids: Int[Tensor, " s"]) -> int:
    """The fewest frames in which CTC can spell the text: repeats need a blank between them."""
    return len(text_ids) + int((text_ids[1:] == text_ids[:-1]).sum())


def draw_batch(
    recipe: UnitsRecipe, corpus: Corpus, teacher: TeacherFeatures, batches: SecondsBatches
) -> TrainBatch[Batch]:
    """The next batch, each row at a codebook that is drawn from epoch and utterance alone."""
    epoch = batches.epoch
    chosen = next(batches).tolist()
    hop = recipe.model.hop_length
    batch = collate(corpus, teacher, chosen, hop)
    draws = (np.random.default_rng((recipe.loop.seed, epoch, i)).uniform(0.4, 1.4) for i in chosen)
    gains = torch.tensor(list(draws), dtype=torch.float32)[:, None, None]
    batch.waveforms *= gains.to(batch.waveforms.device)
    frames = int((-(-batch.lengths // hop)).sum())
    return TrainBatch(
        batch=batch,
        name=BatchLabel(corpus, chosen),
        audio_seconds=float(batch.lengths.sum()) / corpus.sample_rate,
        tokens=frames,
        padded_frames=batch.waveforms.shape[0] * -(-batch.waveforms.shape[-1] // hop),
        counts={"frames": frames, "texts": len(batch.with_text)},
    )


def losses_of(
    recipe: UnitsRecipe, predicted: UnitPrediction, train_batch: TrainBatch[Batch], batch: Batch
) -> Losses:
    """Teacher distance, phoneme loss and commitment of one batch."""
    mask = predicted.mask
    features, target = predicted.features[mask], batch.features[mask]
    cosine = F.cosine_similarity(features, target, dim=-1).mean()
    teacher = 1 - cosine + 0.25 * F.smooth_l1_loss(features, target)
    # The head is in the graph also where no row has text: other processes wait for its gradient.
    phonemes = 0.0 * predicted.phoneme_logits.sum()
    if len(batch.with_text):
        phonemes = F.ctc_loss(
            predicted.phoneme_logits[batch.with_text].log_softmax(-1).transpose(0, 1),
            batch.text_ids,
            mask[batch.with_text].sum(1),
            batch.text_lengths,
        )
    return Losses(
        total=train_batch.weights["frames"] * (teacher + predicted.commitment)
        + train_batch.weights["texts"] * recipe.ctc_weight * phonemes,
        parts={"cosine": cosine, "ctc": phonemes, "commitment": predicted.commitment},
    )


@torch.no_grad()
def validate(
    recipe: UnitsRecipe,
    model: nn.Module,
    corpus: Corpus,
    teacher: TeacherFeatures,
    indices: list[int],
    device: torch.device,
) -> Validation:
    """Teacher cosine, phoneme error rate and codebook use on held-out speakers; and where the
    phonemes of some texts are heard."""
    size = recipe.model.quantizer.codebook_size
    cosine, errors, symbols, frames = 0.0, 0, 0, 0
    counts = torch.zeros(size)
    shown: list[Validation] = []
    for start in range(0, len(indices), 16):
        batch = collate(corpus, teacher, indices[start : start + 16], recipe.model.hop_length)
        batch = batch.to(device)
        predicted = model(batch.waveforms, batch.lengths)
        mask = predicted.mask
        each = F.cosine_similarity(predicted.features[mask], batch.features[mask], dim=-1)
        cosine, frames = cosine + float(each.sum()), frames + len(each)
        counts += torch.bincount(predicted.units[mask], minlength=size).cpu()
        for text, length, row in zip(
            batch.text_ids, batch.text_lengths, batch.with_text.tolist(), strict=False
        ):
            logits, truth = predicted.phoneme_logits[row][mask[row]], text[:length]
            path = torch.unique_consecutive(logits.argmax(-1))
            errors += edit_distance(path[path > 0].tolist(), truth.tolist())
            symbols += len(truth)
            if len(shown) < recipe.loop.samples:
                shown.append(samples.recognized_text(f"heard{len(shown)}", logits, truth.cpu()))
    if recipe.loop.samples:
        use = {"codebook": draw_codebooks({"units": counts})}
        shown.append(Validation(values={}, pictures=use))
    values = {
        "cosine": cosine / frames,
        "phoneme_error_rate": errors / max(symbols, 1),
        "codebook_perplexity": codebook_perplexity(counts),
    }
    return samples.together(values, shown)


def train(recipe: UnitsRecipe, out: Path, *, resume: bool = False) -> bool:
    """Run the recipe in `out`; True when it is over, and the tokenizer saved there as `model`."""
    seed_everything(recipe.loop.seed)
    accelerator = make_accelerator(recipe.loop, out)
    device = accelerator.device
    corpus = Corpus.open(recipe.corpus, device=device if recipe.corpus_on_device else None)
    corpus.check_phonemes("units", "make another corpus for them, without --vocab")
    with accelerator.main_process_first():
        teacher = teacher_features(
            corpus, out / "teacher", recipe.teacher, recipe.teacher_layers, device=device
        )
    if teacher.dim != recipe.model.teacher_dim:
        raise ConfigError(
            f"model.teacher_dim must be {teacher.dim} for {recipe.teacher}, "
            f"but is {recipe.model.teacher_dim}"
        )
    model = UnitTokenizer(recipe.model)
    generator = own_generator(recipe.loop.seed, accelerator)
    batches = SecondsBatches(
        corpus.seconds,
        recipe.seconds_per_batch,
        recipe.loop.seed,
        indices=corpus.select(split="train", sources=recipe.sources or None),
        world=world_of(accelerator),
        groups=corpus.shards,
    )
    state = TrainingState(
        models={"model": model},
        optimizers={"model": make_optimizer(model, recipe.loop)},
        streams={"batches": batches},
        generators={"codebook": generator},
    )
    held_out = [int(i) for i in corpus.select(split="test", with_text=True)][:200]
    data = TrainingData.of(corpus)
    with start_run(recipe, out, state, accelerator=accelerator, data=data, resume=resume) as run:
        prepared = state.models["model"]

        def check() -> Validation:
            return validate(recipe, prepared, corpus, teacher, held_out, device)

        if model.quantizer.is_placed and run.progress.step == 0:  # it cannot wait
            alike = torch.Generator().manual_seed(recipe.loop.seed)  # in every process
            latents = some_latents(run, recipe, model, corpus)
            model.quantizer.initialize(latents, generator=alike)
        for train_batch in each_batch(run, lambda: draw_batch(recipe, corpus, teacher, batches)):
            place_codebook_when_due(run, recipe, model, corpus, generator)
            batch = train_batch.batch.to(device)
            with accelerator.accumulate(prepared):
                predicted = prepared(batch.waveforms, batch.lengths, generator)
                losses = losses_of(recipe, predicted, train_batch, batch)
                update(run, losses.total)
            is_placed = model.quantizer.is_placed
            after_step(run, losses, train_batch, validate=check if held_out and is_placed else None)
        if complete := finish_run(run):
            export(run, "model", {"model": model})
    return complete


def place_codebook_when_due(
    run: Run,
    recipe: UnitsRecipe,
    model: UnitTokenizer,
    corpus: Corpus,
    generator: torch.Generator,
) -> None:
    """K-means over the latents of some of the speech, once, before the codebook joins."""
    due = fraction_done(run.progress, recipe.loop) >= recipe.continuous_share
    if due and not model.quantizer.is_placed:
        latents = some_latents(run, recipe, model, corpus)
        model.quantizer.initialize(latents, generator=generator)


@torch.no_grad()
def some_latents(
    run: Run, recipe: UnitsRecipe, model: UnitTokenizer, corpus: Corpus
) -> Float[Tensor, "1 d n"]:
    """Latents of some of the speech, the same in every process."""
    # A stream of its own: the run's may be some batches ahead.
    batches = SecondsBatches(
        corpus.seconds,
        recipe.seconds_per_batch,
        recipe.loop.seed + 1,
        indices=corpus.select(split="train", sources=recipe.sources or None),
    )
    frames, seconds = [], 0.0
    model.eval()
    while seconds < recipe.codebook_seconds:
        waveforms, lengths = pad_waveforms([corpus.waveform(int(i)) for i in next(batches)])
        seconds += float(lengths.sum()) / corpus.sample_rate
        framed, mask = model.frame(waveforms.to(model.device), lengths.to(model.device))
        with run.accelerator.autocast():
            latents = model.latents(framed, mask)
        frames.append(latents.transpose(1, 2)[mask])
    model.train()
    return torch.cat(frames).T[None]


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line."""
    return recipe_main("train_units", UnitsRecipe, train, arguments)


if __name__ == "__main__":
    raise SystemExit(main())
