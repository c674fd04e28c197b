"""Train units through a judge: differentiable k-means (phonemes), LAST (a frozen language model).

    python -m uslm_recipes.train_judged_units --config mini --out runs/units \\
        --set corpus=[data/corpus] --set encoder=openai/whisper-base
    python -m uslm_recipes.train_judged_units --config last_mini --out runs/last \\
        --set corpus=[data/corpus] --set judge=HuggingFaceTB/SmolLM2-135M

`--set stages.control=recluster` and the like train the controls, on the same data.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from jaxtyping import Float, Int
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from uslm_recipes.cards.export import export
from uslm_recipes.config import recipe_main
from uslm_recipes.data.batches import SecondsBatches, pad_ids, pad_waveforms
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
from uslm_recipes.train.judged.stages import JudgedTraining, StagesConfig
from uslm_recipes.train.judged.validation import validate
from uslm_recipes.train.teachers.features import TeacherFeatures, teacher_features
from uslm_recipes.train.units import ctc_frames
from uslm_tokenizer.codecs.judged_units.model import AdapterConfig, JudgedUnits
from uslm_tokenizer.errors import ConfigError, UserError
from uslm_tokenizer.objectives.frozen_lm import FrozenLM
from uslm_tokenizer.objectives.judged import References, Texts
from uslm_tokenizer.objectives.unit_list import ObjectiveList, ObjectivesConfig
from uslm_tokenizer.quantize.build import QuantizerConfig
from uslm_tokenizer.ssl.encoder import SSLEncoder


@dataclass(frozen=True, kw_only=True)
class JudgedUnitsRecipe:
    """Everything that decides a run of this recipe."""

    quantizer: QuantizerConfig
    """The codebook, of any kind that gives one code a frame: its keys say which."""
    objectives: ObjectivesConfig
    """What judges the units, and what keeps them alive."""
    adapter: AdapterConfig | None = None
    """What stands between encoder and codebook."""
    stages: StagesConfig = field(default_factory=StagesConfig)
    """What trains when, and which control this is."""
    encoder: str = "openai/whisper-base"
    """The speech encoder: a transformers folder or a model of the Hub."""
    encoder_layers: tuple[int, ...] = (5, 6)
    """Its layers that are used, counted from 1."""
    layer_weights: Literal["mean", "learnt"] = "learnt"
    """Whether these layers count alike or by learnt weights."""
    judge: str = ""
    """The frozen causal language model of `likelihood` and `answer`: a folder or a Hub model."""
    teacher: str = ""
    """The speech encoder whose features `objectives.teacher` wants."""
    teacher_layers: tuple[int, ...] = (5, 6)
    """Its layers whose mean is the target, counted from 1."""
    loop: LoopConfig = field(default_factory=LoopConfig)
    """Length, learning rate and the like."""
    corpus: tuple[str, ...] = ("data/corpus",)
    """Corpus folders, as uslm-prepare makes them."""
    sources: tuple[str, ...] = ()
    """Collections to learn from; empty means all."""
    seconds_per_batch: float = 60.0
    """Padded seconds of audio in a batch."""
    codebook_seconds: float = 600.0
    """Speech that statistics and the k-means start are made of."""

    def __post_init__(self) -> None:
        needs = {"judge": self.objectives.needs_judge, "teacher": bool(self.objectives.teacher)}
        for name, needed in needs.items():
            if needed and not getattr(self, name):
                raise ConfigError(f"{name} must be named, as objectives ask for it, but is empty")
        if self.stages.control == "random judge" and not self.objectives.needs_judge:
            raise ConfigError(
                'stages.control "random judge" is for likelihood and answer, '
                "but neither is among the objectives"
            )


@dataclass
class Batch:
    """Utterances side by side."""

    waveforms: Float[Tensor, "b 1 n"]
    lengths: Int[Tensor, " b"]
    references: References

    def to(self, device: torch.device) -> Batch:
        """The same on another device."""
        return Batch(self.waveforms.to(device), self.lengths.to(device), self.references.to(device))


class Source:
    """Utterances with all that the objectives compare them with."""

    def __init__(
        self,
        recipe: JudgedUnitsRecipe,
        corpus: Corpus,
        judge: FrozenLM | None,
        teacher: TeacherFeatures | None,
        hop_length: int,
    ) -> None:
        self.corpus, self.teacher, self.hop_length = corpus, teacher, hop_length
        self.judge = judge if recipe.objectives.needs_judge_texts else None

    def batch(self, indices: Sequence[int]) -> Batch:
        """Read a batch; a text that could not fit its frames is left out."""
        waveforms, lengths = pad_waveforms([self.corpus.waveform(i) for i in indices])
        frames = (-(-lengths // self.hop_length)).tolist()
        spoken = [torch.from_numpy(self.corpus.text_ids[i]) for i in indices]
        rows = [r for r, text in enumerate(spoken) if 0 < ctc_frames(text) <= frames[r]]
        references = References(phonemes=_texts(rows, spoken))
        if self.judge is not None:
            read = [self.judge.text_ids(self.corpus.utterances[i].text) for i in indices]
            references.judge_texts = _texts([r for r in rows if len(read[r])], read)
        if self.teacher is not None:
            found = pad_sequence([self.teacher[i] for i in indices], batch_first=True)
            # Teachers count whole hops only: what is missing of the last frame is repeated.
            missing = max(frames) - found.shape[1]
            last = found[:, -1:].expand(-1, max(0, missing), -1)
            references.teacher = torch.cat([found, last], dim=1)
        return Batch(waveforms, lengths, references)


def _texts(rows: list[int], texts: Sequence[Tensor]) -> Texts:
    ids, lengths = pad_ids([texts[r] for r in rows] or [texts[0][:0]])
    if not rows:
        ids, lengths = ids[:0], lengths[:0]
    return Texts(torch.tensor(rows, dtype=torch.long), ids, lengths)


def draw_batch(source: Source, batches: SecondsBatches) -> TrainBatch[Batch]:
    """The next batch."""
    chosen = next(batches).tolist()
    batch = source.batch(chosen)
    frames = -(-batch.lengths // source.hop_length)
    texts = batch.references.phonemes
    return TrainBatch(
        batch=batch,
        name=BatchLabel(source.corpus, chosen),
        audio_seconds=float(batch.lengths.sum()) / source.corpus.sample_rate,
        tokens=int(frames.sum()),
        padded_frames=len(frames) * int(frames.max()),
        counts={"frames": int(frames.sum()), "texts": 0 if texts is None else len(texts.rows)},
    )


def build(
    recipe: JudgedUnitsRecipe, device: torch.device
) -> tuple[JudgedTraining, FrozenLM | None]:
    """Tokenizer and objectives, and the language model where one judges."""
    encoder = SSLEncoder.from_pretrained(
        recipe.encoder, layers=recipe.encoder_layers, layer_weights=recipe.layer_weights
    )
    tokenizer = JudgedUnits.from_encoder(encoder, recipe.quantizer, recipe.adapter)
    judge = None
    if recipe.objectives.needs_judge:
        random = recipe.stages.control == "random judge"
        judge = FrozenLM.load(recipe.judge, random_seed=recipe.loop.seed if random else None)
        judge.to(device)
    objectives = ObjectiveList(
        recipe.objectives,
        latent_dim=recipe.quantizer.dim,
        feature_dim=encoder.dim,
        codebook_size=tokenizer.codebook_size,
        judge=judge,
        cut=recipe.stages.control == "gradient cut",
    )
    return JudgedTraining(tokenizer, objectives, recipe.stages), judge


def open_teacher(
    recipe: JudgedUnitsRecipe, corpus: Corpus, out: Path, device: torch.device
) -> TeacherFeatures | None:
    """The features that an objective wants; ConfigError where their width is another."""
    config = recipe.objectives.teacher
    if config is None:
        return None
    folder, layers = out / "teacher", recipe.teacher_layers
    found = teacher_features(corpus, folder, recipe.teacher, layers, device=device)
    if found.dim != config.teacher_dim:
        raise ConfigError(
            f"objectives.teacher.teacher_dim must be {found.dim} for {recipe.teacher}, "
            f"but is {config.teacher_dim}"
        )
    return found


def train(recipe: JudgedUnitsRecipe, out: Path, *, resume: bool = False) -> bool:
    """Run the recipe in `out`; True when it is over, and the tokenizer saved there as `model`."""
    seed_everything(recipe.loop.seed)
    accelerator = make_accelerator(recipe.loop, out)
    if accelerator.num_processes > 1:
        raise UserError(
            "train_judged_units trains in one process, as its stages freeze parts of the model, "
            f"but was started in {accelerator.num_processes}"
        )
    device = accelerator.device
    corpus = Corpus.open(recipe.corpus)
    train_indices = corpus.select(split="train", sources=recipe.sources or None)
    if not len(train_indices):
        raise UserError(f"there is nothing to train on in {recipe.corpus} of {recipe.sources}")
    teacher = open_teacher(recipe, corpus, out, device)
    model, judge = build(recipe, device)
    model.to(device)
    source = Source(recipe, corpus, judge, teacher, model.tokenizer.hop_length)
    generator = own_generator(recipe.loop.seed, accelerator)
    if not (resume and list_checkpoints(out / "checkpoints")):
        some = _some(recipe, corpus, train_indices)
        model.tokenizer.encoder.fit_statistics((x[:, 0].to(device), n.to(device)) for x, n in some)
        latents = gather_latents(model.tokenizer, some)
        model.tokenizer.quantizer.initialize(latents, generator=generator)
    batches = SecondsBatches(
        corpus.seconds,
        recipe.seconds_per_batch,
        recipe.loop.seed,
        indices=train_indices,
        world=world_of(accelerator),
        groups=corpus.shards,
    )
    rate = recipe.stages.tokenizer_rate
    state = TrainingState(
        models={"model": model},
        optimizers={
            "model": make_optimizer(
                model,
                recipe.loop,
                scale_of=lambda name: rate if name.startswith("tokenizer.") else 1.0,
            )
        },
        streams={"batches": batches},
        generators={"codebook": generator},
    )
    held_out = [int(i) for i in corpus.select(split="test", with_text=True)][:120]
    data = TrainingData.of(corpus)
    with start_run(recipe, out, state, accelerator=accelerator, data=data, resume=resume) as run:
        prepared = state.models["model"]

        def check() -> Validation:
            return validate(model, source.batch, held_out, device, recipe.loop.samples)

        for train_batch in each_batch(run, lambda: draw_batch(source, batches)):
            done = fraction_done(run.progress, recipe.loop)
            if not model.is_second and done >= recipe.stages.first_share:
                some = _some(recipe, corpus, train_indices)
                model.begin_second(gather_latents(model.tokenizer, some), generator)
            model.apply_stage(done)
            batch = train_batch.batch.to(device)
            with accelerator.accumulate(prepared):
                _, found = prepared(batch.waveforms, batch.lengths, batch.references, generator)
                total = found.total(**train_batch.weights)
                update(run, total)
            parts = {name: loss.detach() for name, loss in found.losses.items()}
            after_step(run, Losses(total, parts), train_batch, validate=check if held_out else None)
        if complete := finish_run(run):
            export(run, "model", {"model": model.tokenizer})
    return complete


def _some(
    recipe: JudgedUnitsRecipe, corpus: Corpus, indices: NDArray[np.int64]
) -> list[tuple[Tensor, Tensor]]:
    """Some of the speech, always the same, for statistics and centroids."""
    # A stream of its own: the run's may be some batches ahead.
    stream = SecondsBatches(
        corpus.seconds, recipe.seconds_per_batch, recipe.loop.seed + 1, indices=indices
    )
    found: list[tuple[Tensor, Tensor]] = []
    seconds = 0.0
    while seconds < recipe.codebook_seconds:
        waveforms, lengths = pad_waveforms([corpus.waveform(int(i)) for i in next(stream)])
        seconds += float(lengths.sum()) / corpus.sample_rate
        found.append((waveforms, lengths))
    return found


@torch.no_grad()
def gather_latents(
    tokenizer: JudgedUnits, batches: Sequence[tuple[Tensor, Tensor]]
) -> Float[Tensor, "1 d n"]:
    """Latents that the codebook is to lie among."""
    frames = []
    for waveforms, lengths in batches:
        device = tokenizer.device
        made = tokenizer(waveforms.to(device), lengths.to(device), continuous=True)
        frames.append(made.latents.transpose(1, 2)[made.mask])
    return torch.cat(frames).T[None]


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line."""
    return recipe_main("train_judged_units", JudgedUnitsRecipe, train, arguments)


if __name__ == "__main__":
    raise SystemExit(main())
