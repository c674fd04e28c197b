"""Tune the codec's decoder to what stage 2 predicts, on the waveform; the last stage.

    python -m uslm_recipes.train_joint --config mini --out runs/joint \\
        --set corpus=[data/corpus] --set tokens=[runs/tokens/0] \\
        --set tokenizer=runs/codec/model --set acoustic=runs/nar/model --max-minutes 20

What stage 2 predicts is smoother than what the codec's encoder makes, and the decoder was never
trained on it. Here it is: of each row a crop is predicted, rounded to codes and decoded, beside the
same crop from its true codes, so that the codec stays a codec. The encoder and the quantizer do
not move, and so the tokens of a corpus stay what they are. Of the default model the decoder alone
learns; of a model on a UnitCodec stage 2 does as well (`joint_voices.py`).
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch

from uslm.generate.codebooks import fill_codebooks
from uslm.models.base import AcousticModel, AcousticRow
from uslm.systems.registry import load_model
from uslm_recipes.cards.export import export
from uslm_recipes.config import recipe_main
from uslm_recipes.data.alignments import align_for
from uslm_recipes.data.batches import SecondsBatches
from uslm_recipes.data.corpus import Corpus
from uslm_recipes.data.crops import Crops, cut_crops
from uslm_recipes.data.rows.acoustic import AcousticRows, RowShape
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
from uslm_recipes.loop.pictures import draw_mels
from uslm_recipes.loop.training_data import BatchLabel, TrainingData
from uslm_recipes.train import samples
from uslm_recipes.train.discriminator import (
    DiscriminatorConfig,
    active_discriminator,
    build_discriminator,
    discriminator_step,
)
from uslm_recipes.train.joint_voices import JointVoice, joint_voice
from uslm_recipes.train.source_filter import draw_noise
from uslm_tokenizer.errors import ConfigError
from uslm_tokenizer.objectives.weighted import WaveformWeights, waveform_losses
from uslm_tokenizer.registry import load_tokenizer


@dataclass(frozen=True, kw_only=True)
class JointRecipe:
    """Everything that decides a run of this recipe."""

    loop: LoopConfig = field(default_factory=LoopConfig)
    """Length, learning rate and the like."""
    corpus: tuple[str, ...] = ("data/corpus",)
    """Corpus folders, as uslm-prepare makes them."""
    corpus_on_device: bool = False
    """Whether all of it lies on the device, 115 MB an hour, so that nothing is read or copied."""
    tokens: tuple[str, ...] = ("runs/tokens/0",)
    """Token folders, as encode makes them; one for each corpus."""
    sources: tuple[str, ...] = ()
    """Collections to learn from; empty means all."""
    tokenizer: str = "runs/codec/model"
    """The codec whose decoder is tuned."""
    acoustic: str = "runs/nar/model"
    """The stage 2 whose predictions are decoded: a conv_regressor or an acoustic_regressor."""
    seconds_per_batch: float = 45.0
    """Seconds of target speech in a batch."""
    rows: RowShape = field(default_factory=RowShape)
    """Shape of a row."""
    crop_frames: int = 40
    """Frames of each row that are decoded."""
    max_crops: int = 12
    """Rows of a batch of which a crop is decoded."""
    weights: WaveformWeights = field(default_factory=WaveformWeights)
    """What counts how much in the waveform."""
    input_weight: float = 5.0
    """Weight of the error of the predicted input; without effect where stage 2 does not learn."""
    discriminator: DiscriminatorConfig = field(default_factory=DiscriminatorConfig)
    """The discriminator."""

    def __post_init__(self) -> None:
        longest = self.rows.max_target_frames
        if not 1 <= self.crop_frames <= longest:  # no row would ever be long enough
            raise ConfigError(
                f"crop_frames must be from 1 to rows.max_target_frames, {longest}, but is "
                f"{self.crop_frames}"
            )


@dataclass
class Batch:
    """Rows for stage 2, and the crops of them that are decoded."""

    rows: Sequence[AcousticRow]
    crops: Crops


def draw_batch(
    recipe: JointRecipe, rows: AcousticRows, batches: SecondsBatches, hop_length: int
) -> TrainBatch[Batch]:
    """The next batch with a row that is long enough. What a row shows depends on epoch and
    utterance alone; so a resumed run draws the same, and so do more processes."""
    while True:
        epoch = batches.epoch
        chosen = next(batches).tolist()
        randoms = [np.random.default_rng((recipe.loop.seed, epoch, index)) for index in chosen]
        train_batch = [
            rows.row(i, recipe.rows, random) for i, random in zip(chosen, randoms, strict=True)
        ]
        crops = cut_crops(
            rows.corpus, chosen, train_batch, randoms,
            num_frames=recipe.crop_frames, hop_length=hop_length, most=recipe.max_crops,
        )  # fmt: skip
        if crops is not None:
            break
    lengths = [row.prompt.shape[1] + row.codes.shape[1] for row in train_batch]
    return TrainBatch(
        batch=Batch(train_batch, crops),
        name=BatchLabel(rows.corpus, chosen),
        audio_seconds=float(rows.corpus.seconds[chosen].sum()),
        tokens=sum(lengths),
        padded_frames=max(lengths) * len(lengths),
        counts={
            "frames": sum(row.codes.shape[1] - row.num_context for row in train_batch),
            "crops": len(crops.rows),
        },
    )


def build(recipe: JointRecipe) -> JointVoice:
    """Stage 2 and the codec, as one module."""
    acoustic = load_model(recipe.acoustic)
    if not isinstance(acoustic, AcousticModel):
        raise ConfigError(f"acoustic must name a stage 2, but names a {acoustic.model_type}")
    return joint_voice(acoustic, load_tokenizer(recipe.tokenizer))


@torch.no_grad()
def validate(
    recipe: JointRecipe, voice: JointVoice, rows: AcousticRows, indices: list[int]
) -> Validation:
    """On held-out speakers: spectral distance of crops from predicted and from true codes; and
    some utterances spoken by both parts."""
    device = voice.codec.device
    spectral_loss = voice.spectral_loss().to(device)
    guessed, true, errors = [], [], []
    shown: list[Validation] = []
    for start in range(0, len(indices), recipe.max_crops):
        chosen = indices[start : start + recipe.max_crops]
        randoms = [np.random.default_rng((0, index)) for index in chosen]
        train_batch = [
            rows.row(i, recipe.rows.clean(), random)
            for i, random in zip(chosen, randoms, strict=True)
        ]
        crops = cut_crops(
            rows.corpus, chosen, train_batch, randoms,
            num_frames=recipe.crop_frames, hop_length=voice.codec.hop_length, most=recipe.max_crops,
        )  # fmt: skip
        if crops is None:
            continue
        real = crops.waveforms.to(device)
        noise = draw_noise(real.repeat(2, 1, 1), torch.Generator().manual_seed(start))
        batch = voice.acoustic.batch(train_batch)
        made, error = voice(batch, crops, recipe.crop_frames, noise)
        first, second = made.chunk(2)
        guessed.append(float(spectral_loss(first, real)))
        true.append(float(spectral_loss(second, real)))
        errors.append(float(error))
        for index, row in zip(chosen, train_batch, strict=True):
            if len(shown) < recipe.loop.samples:
                shown.append(speak(f"spoken{len(shown)}", voice, rows.corpus, index, row))
    if not guessed:  # no held-out utterance is long enough
        return Validation(values={})
    means = {"guessed": np.mean(guessed), "true": np.mean(true), "input": np.mean(errors)}
    values = {"loss": float(means["guessed"]), **{k: float(v) for k, v in means.items()}}
    return samples.together(values, shown)


def speak(name: str, voice: JointVoice, corpus: Corpus, index: int, row: AcousticRow) -> Validation:
    """An utterance as both parts make it from its units, beside the recording."""
    hop, rate = voice.codec.hop_length, voice.codec.sample_rate
    [codes] = fill_codebooks(voice.acoustic, [row])
    made = voice.codec.decode(codes[None])[0, 0].cpu()
    first = (row.start + row.num_context) * hop
    true = corpus.waveform(index, first, first + len(made))
    return Validation(
        values={},
        sounds={f"{name}_true": (true, rate), f"{name}_made": (made, rate)},
        pictures={f"{name}_mel": draw_mels({"recording": true, "made": made}, rate)},
        texts={f"{name}_text": corpus.utterances[index].text},
    )


def train(recipe: JointRecipe, out: Path, *, resume: bool = False) -> bool:
    """Run the recipe in `out`; True when it is over: saved as `model` (stage 2) and `codec`."""
    seed_everything(recipe.loop.seed)
    accelerator = make_accelerator(recipe.loop, out)
    device = accelerator.device
    corpus = Corpus.open(recipe.corpus, device=device if recipe.corpus_on_device else None)
    tokens = TokenCorpus.open(corpus, recipe.tokens)
    voice = build(recipe).to(device).train()
    discriminator = build_discriminator(recipe.discriminator)
    spectral_loss = voice.spectral_loss().to(device)
    generator = own_generator(recipe.loop.seed, accelerator)
    hop_length = voice.codec.hop_length
    shortest = recipe.crop_frames * hop_length / corpus.sample_rate
    indices = corpus.select(
        split="train", min_seconds=max(1.0, 2 * shortest), sources=recipe.sources or None
    )
    held_out = corpus.select(split="test", min_seconds=2 * shortest, max_seconds=8)[:48]
    with accelerator.main_process_first():
        every = np.concatenate([indices, held_out])
        alignments = align_for(voice.acoustic, voice.codec, corpus, tokens, every, out)
    rows, held_out_rows = (
        AcousticRows(corpus, tokens, each, alignments) for each in (indices, held_out)
    )
    batches = SecondsBatches(
        corpus.seconds,
        recipe.seconds_per_batch,
        recipe.loop.seed,
        indices=indices,
        world=world_of(accelerator),
        groups=corpus.shards,
    )
    models = {"voice": voice, "discriminator": discriminator}
    state = TrainingState(
        models=dict(models),
        optimizers={name: make_optimizer(model, recipe.loop) for name, model in models.items()},
        streams={"batches": batches},
        generators={"noise": generator},
        averaged=("voice",),
    )
    data = TrainingData.of(corpus, tokens)
    with start_run(recipe, out, state, accelerator=accelerator, data=data, resume=resume) as run:
        voice_, judge = state.models["voice"], state.models["discriminator"]

        def check() -> Validation:
            return validate(recipe, voice, held_out_rows, held_out.tolist())

        for train_batch in each_batch(run, lambda: draw_batch(recipe, rows, batches, hop_length)):
            crops, weights = train_batch.batch.crops, train_batch.weights
            real = crops.waveforms.to(device)
            with accelerator.accumulate(voice_, judge):
                batch = voice.acoustic.batch(train_batch.batch.rows)
                made, error = voice_(
                    batch, crops, recipe.crop_frames, draw_noise(real.repeat(2, 1, 1), generator)
                )
                judging = active_discriminator(run, recipe.discriminator)
                audio_loss, parts = waveform_losses(
                    made, real.repeat(2, 1, 1), spectral_loss, judging, recipe.weights
                )
                total = (
                    weights["crops"] * audio_loss + weights["frames"] * recipe.input_weight * error
                )
                update(run, total, "voice")
                parts |= discriminator_step(run, recipe.discriminator, real, made)
            losses = Losses(total, {**parts, "input": error})
            after_step(run, losses, train_batch, validate=check if len(held_out) else None)
        if complete := finish_run(run):
            export(run, "voice", {"model": voice.acoustic, "codec": voice.codec})
    return complete


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line."""
    return recipe_main("train_joint", JointRecipe, train, arguments)


if __name__ == "__main__":
    raise SystemExit(main())
