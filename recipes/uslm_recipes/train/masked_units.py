"""Train a speech encoder by masked prediction, iteration after iteration: HuBERT, BEATs, SPEAR.

    python -m uslm_recipes.train_masked_units --config mini --out runs/first \\
        --set corpus=[data/corpus]
    python -m uslm_recipes.train_masked_units --config beats_mini --out runs/second \\
        --set corpus=[data/corpus] --set teacher=runs/first/model
    python -m uslm_recipes.train_masked_units --config spear_mini --out runs/spear \\
        --set corpus=[data/corpus] --set teacher=openai/whisper-base

`labels` says where the labels come from. A source that has to be trained, "distilled", has the
first part of the run to itself. `--set control=...` trains the controls, on the same data.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from uslm_recipes.cards.export import export
from uslm_recipes.config import recipe_main
from uslm_recipes.data.batches import SecondsBatches, pad_waveforms
from uslm_recipes.data.corpus import Corpus
from uslm_recipes.loop import (
    LoopConfig,
    Losses,
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
from uslm_recipes.loop.checkpoint import list_checkpoints
from uslm_recipes.loop.training_data import BatchLabel, TrainingData
from uslm_recipes.loop.validation import codebook_perplexity
from uslm_recipes.train.teachers.labels import LabelTeacher, open_label_teacher
from uslm_tokenizer.codecs.masked_units.encoder import MaskedEncoder
from uslm_tokenizer.codecs.masked_units.model import MaskedUnits, MaskedUnitsConfig
from uslm_tokenizer.errors import ConfigError, UserError
from uslm_tokenizer.objectives.label_sources import (
    Described,
    LabelsConfig,
    LabelSource,
    build_labels,
)
from uslm_tokenizer.objectives.masked_prediction import (
    PredictionConfig,
    accuracy,
    prediction_loss,
)
from uslm_tokenizer.sequence.masks import MaskingConfig, draw_hidden

Control = Literal["none", "untrained teacher", "shifted labels"]


@dataclass(frozen=True, kw_only=True)
class MaskedUnitsRecipe:
    """Everything that decides a run of this recipe."""

    model: MaskedUnitsConfig = field(default_factory=MaskedUnitsConfig)
    """The encoder to train, and the heads that tell the labels."""
    labels: LabelsConfig = field(default_factory=LabelsConfig)
    """Where the labels come from; as many and of as many values as the model's."""
    masking: MaskingConfig = field(default_factory=MaskingConfig)
    """What is hidden."""
    prediction: PredictionConfig = field(default_factory=PredictionConfig)
    """What counts in the loss."""
    teacher: str = ""
    """Whose features the labels are made of: a model of this recipe (the iteration before), a
    transformers folder or Hub model; empty: log-mel spectra."""
    teacher_layers: tuple[int, ...] = (5, 6)
    """Layers of a transformers teacher whose mean is taken, counted from 1."""
    control: Control = "none"
    """What is left out, to see what it does: all that the teacher has learnt, or the place in time
    of the labels."""
    label_share: float = 0.4
    """Share of the run in which a source that has to be trained is trained."""
    label_seconds: float = 600.0
    """Speech that centroids are fitted to."""
    loop: LoopConfig = field(default_factory=LoopConfig)
    """Length, learning rate and the like."""
    corpus: tuple[str, ...] = ("data/corpus",)
    """Corpus folders, as uslm-prepare makes them."""
    sources: tuple[str, ...] = ()
    """Collections to learn from; empty means all."""
    seconds_per_batch: float = 60.0
    """Padded seconds of audio in a batch."""

    def __post_init__(self) -> None:
        for name in ("num_codebooks", "codebook_size"):
            wanted, found = getattr(self.labels, name), getattr(self.model, name)
            if wanted != found:
                raise ConfigError(
                    f"model.{name} must be {wanted}, as labels.{name}, but is {found}"
                )
        if self.labels.kind == "distilled" and not self.teacher:
            raise ConfigError(
                'teacher must be named where labels.kind is "distilled", but is empty'
            )
        if self.control == "untrained teacher" and not self.teacher:
            raise ConfigError('control "untrained teacher" needs a teacher, but there is none')
        if not 0 < self.label_share < 1:
            raise ConfigError(f"label_share must be in (0, 1), but is {self.label_share}")


@dataclass
class Batch:
    """Utterances side by side."""

    waveforms: Float[Tensor, "b 1 n"]
    lengths: Int[Tensor, " b"]
    hidden: Bool[Tensor, "b t"]
    features: Float[Tensor, "b t f"] | None
    """Of a teacher whose features lie on the disk."""

    def to(self, device: torch.device) -> Batch:
        """The same on another device."""
        features = None if self.features is None else self.features.to(device)
        return Batch(
            self.waveforms.to(device), self.lengths.to(device), self.hidden.to(device), features
        )


class MaskedTraining(nn.Module):
    """A model, the source of its labels, and which of them is being trained."""

    in_second_stage: Tensor

    def __init__(self, recipe: MaskedUnitsRecipe, model: MaskedUnits, source: LabelSource) -> None:
        super().__init__()
        self.recipe, self.model, self.source = recipe, model, source
        self.register_buffer("in_second_stage", torch.tensor(not source.trains))

    @property
    def is_second(self) -> bool:
        """Whether the labels are ready."""
        return bool(self.in_second_stage)

    def apply_stage(self, fraction: float) -> None:
        """Leave the first stage where its share of the run is over; freeze who does not learn."""
        if self.source.trains and fraction >= self.recipe.label_share:
            self.in_second_stage.fill_(True)
        self.model.requires_grad_(self.is_second)
        if self.source.trains:
            self.source.requires_grad_(not self.is_second)
            self.source.train(not self.is_second)

    def described(self, batch: Batch, teacher: LabelTeacher) -> Described:
        """Spectra of a batch, and what labels are made of."""
        frames, real = self.model.encoder.frames(batch.waveforms, batch.lengths)
        return Described(
            frames, teacher.features(frames, batch.waveforms, batch.lengths, batch.features), real
        )

    def labels(self, given: Described) -> Int[Tensor, "b k t"]:
        """The labels to be told; of the control, from another time of the utterance."""
        labels = self.source.labels(given)
        if self.recipe.control != "shifted labels":
            return labels
        counts = given.real.sum(1).tolist()
        moved = [row[:, :n].roll(n // 2, 1) for row, n in zip(labels, counts, strict=True)]
        return torch.stack(
            [nn.functional.pad(row, (0, labels.shape[2] - row.shape[1])) for row in moved]
        )

    def forward(
        self, given: Described, hidden: Bool[Tensor, "b t"], generator: torch.Generator | None
    ) -> tuple[Float[Tensor, ""], dict[str, Tensor]]:
        """The loss of this stage, nats a label or of the source."""
        if not self.is_second:
            loss = self.source.loss(given, generator)
            return loss, {"labels": loss.detach()}
        scores = self.model(given.frames, given.real, hidden)
        labels = self.labels(given)
        loss = prediction_loss(scores, labels, hidden, given.real, self.recipe.prediction)
        return loss, {"prediction": loss.detach()}


def collate(
    recipe: MaskedUnitsRecipe,
    corpus: Corpus,
    teacher: LabelTeacher,
    indices: list[int],
    epoch: int,
) -> Batch:
    """Utterances, and what is hidden of each: drawn from epoch and utterance alone."""
    waveforms, lengths = pad_waveforms([corpus.waveform(i) for i in indices])
    frames = (-(-lengths // MaskedEncoder.hop_length)).tolist()
    seeds = [np.random.default_rng((recipe.loop.seed, epoch, i)).integers(2**62) for i in indices]
    draws = [torch.Generator().manual_seed(int(seed)) for seed in seeds]
    hidden = draw_hidden(frames, recipe.masking, draws)
    return Batch(waveforms, lengths, hidden, teacher.stored(indices, max(frames)))


def draw_batch(
    recipe: MaskedUnitsRecipe, corpus: Corpus, teacher: LabelTeacher, batches: SecondsBatches
) -> TrainBatch[Batch]:
    """The next batch."""
    epoch = batches.epoch
    chosen = next(batches).tolist()
    batch = collate(recipe, corpus, teacher, chosen, epoch)
    frames = -(-batch.lengths // MaskedEncoder.hop_length)
    return TrainBatch(
        batch=batch,
        name=BatchLabel(corpus, chosen),
        audio_seconds=float(batch.lengths.sum()) / corpus.sample_rate,
        tokens=int(frames.sum()),
        padded_frames=batch.hidden.numel(),
        counts={"frames": int(frames.sum())},
    )


@torch.no_grad()
def validate(
    training: MaskedTraining,
    recipe: MaskedUnitsRecipe,
    corpus: Corpus,
    teacher: LabelTeacher,
    indices: list[int],
    device: torch.device,
) -> Validation:
    """Loss, labels of hidden frames that are told right, and how many labels are in use."""
    training.eval()
    total, count, right, asked = 0.0, 0, 0, 0
    used = torch.zeros(recipe.labels.num_codebooks, recipe.labels.codebook_size)
    for start in range(0, len(indices), 16):
        batch = collate(recipe, corpus, teacher, indices[start : start + 16], 0).to(device)
        given = training.described(batch, teacher)
        loss, _ = training(given, batch.hidden, None)
        labels = training.labels(given)
        for row, codes in zip(used, labels.unbind(1), strict=True):
            row += torch.bincount(codes[given.real], minlength=len(row)).cpu()
        if training.is_second:
            scores = training.model(given.frames, given.real, batch.hidden)
            more = accuracy(scores, labels, batch.hidden)
            right, asked = right + more[0], asked + more[1]
        frames = int(given.real.sum())
        total, count = total + float(loss) * frames, count + frames
    training.train()
    values = {"loss": total / count}
    values["label_perplexity"] = sum(codebook_perplexity(row) for row in used) / len(used)
    if asked:
        values["accuracy"] = right / asked
    return Validation(values=values)


def train(recipe: MaskedUnitsRecipe, out: Path, *, resume: bool = False) -> bool:
    """Run the recipe in `out`; True when it is over, and the model saved there as `model`."""
    seed_everything(recipe.loop.seed)
    accelerator = make_accelerator(recipe.loop, out)
    if accelerator.num_processes > 1:
        raise UserError(
            "train_masked_units trains in one process, as its stages freeze parts of the model, "
            f"but was started in {accelerator.num_processes}"
        )
    device = accelerator.device
    corpus = Corpus.open(recipe.corpus)
    indices = corpus.select(split="train", sources=recipe.sources or None)
    if not len(indices):
        raise UserError(f"there is nothing to train on in {recipe.corpus} of {recipe.sources}")
    teacher = open_label_teacher(
        recipe.teacher,
        recipe.teacher_layers,
        corpus,
        out / "teacher",
        device,
        untrained_seed=recipe.loop.seed if recipe.control == "untrained teacher" else None,
    )
    model = MaskedUnits(recipe.model)
    width = teacher.dim or 2 * recipe.model.num_mels
    source = build_labels(recipe.labels, num_mels=2 * recipe.model.num_mels, feature_dim=width)
    training = MaskedTraining(recipe, model, source).to(device).train()
    generator = own_generator(recipe.loop.seed, accelerator)
    if not (resume and list_checkpoints(out / "checkpoints")):
        place_labels(training, recipe, corpus, teacher, indices.tolist(), generator)
    batches = SecondsBatches(
        corpus.seconds,
        recipe.seconds_per_batch,
        recipe.loop.seed,
        indices=indices,
        world=world_of(accelerator),
        groups=corpus.shards,
    )
    state = TrainingState(
        models={"model": training},
        optimizers={"model": make_optimizer(training, recipe.loop)},
        streams={"batches": batches},
        generators={"codebook": generator},
    )
    held_out = [int(i) for i in corpus.select(split="test")][:120]
    data = TrainingData.of(corpus)
    with start_run(recipe, out, state, accelerator=accelerator, data=data, resume=resume) as run:
        prepared = state.models["model"]

        def check() -> Validation:
            return validate(training, recipe, corpus, teacher, held_out, device)

        for train_batch in each_batch(run, lambda: draw_batch(recipe, corpus, teacher, batches)):
            training.apply_stage(fraction_done(run.progress, recipe.loop))
            batch = train_batch.batch.to(device)
            with accelerator.accumulate(prepared):
                with torch.no_grad():
                    given = training.described(batch, teacher)
                loss, parts = prepared(given, batch.hidden, generator)
                loss = loss * train_batch.weights["frames"]
                update(run, loss)
            after_step(run, Losses(loss, parts), train_batch, validate=check if held_out else None)
        if complete := finish_run(run):
            export(run, "model", {"model": model})
    return complete


@torch.no_grad()
def place_labels(
    training: MaskedTraining,
    recipe: MaskedUnitsRecipe,
    corpus: Corpus,
    teacher: LabelTeacher,
    indices: list[int],
    generator: torch.Generator,
) -> None:
    """Fit the source to some of the speech, always the same."""
    order = torch.randperm(len(indices), generator=torch.Generator().manual_seed(recipe.loop.seed))
    parts: list[Described] = []
    seconds = 0.0
    for place in order.tolist():
        batch = collate(recipe, corpus, teacher, [indices[place]], 0)
        parts.append(training.described(batch.to(training.model.device), teacher))
        seconds += float(batch.lengths.sum()) / corpus.sample_rate
        if seconds >= recipe.label_seconds:
            break
    training.source.place(_side_by_side(parts), generator)


def _side_by_side(parts: Sequence[Described]) -> Described:
    def padded(rows: list[Tensor]) -> Tensor:
        return nn.utils.rnn.pad_sequence(rows, batch_first=True)

    return Described(
        frames=padded([part.frames[0] for part in parts]),
        features=padded([part.features[0] for part in parts]),
        real=padded([part.real[0] for part in parts]),
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line."""
    return recipe_main("train_masked_units", MaskedUnitsRecipe, train, arguments)


if __name__ == "__main__":
    raise SystemExit(main())
