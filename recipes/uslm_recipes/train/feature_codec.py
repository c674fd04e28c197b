"""Train a codec of a speech encoder's features, and so units: RepCodec, for MaskGCT and for Vevo.

    python -m uslm_recipes.train_feature_codec --config mini --out runs/units \\
        --set corpus=[data/corpus] --set teacher=facebook/hubert-large-ll60k \\
        --set teacher_layers=[18] --max-minutes 30

The size of the codebook decides what the units keep: thousands of codes tell how something is
said, 32 tell little but what. `model` has the finished tokenizer, `codec` the codec alone.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from uslm_recipes.cards.export import export
from uslm_recipes.cards.part_card import write_part_card
from uslm_recipes.config import recipe_main
from uslm_recipes.data.batches import CropSampler, World
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
    make_accelerator,
    make_optimizer,
    own_generator,
    seed_everything,
    start_run,
    update,
    world_of,
)
from uslm_recipes.loop.training_data import BatchLabel, TrainingData
from uslm_recipes.loop.validation import codebook_perplexity
from uslm_recipes.train.teachers.features import TeacherFeatures, teacher_encoder, teacher_features
from uslm_tokenizer.codecs.repcodec.model import RepCodec, RepCodecConfig
from uslm_tokenizer.codecs.ssl_units.model import Codec, SSLUnits
from uslm_tokenizer.codecs.vevo_content.model import VevoContentConfig, VevoContentTokenizer
from uslm_tokenizer.errors import ConfigError
from uslm_tokenizer.hub import CARD_FILE
from uslm_tokenizer.ssl.front_ends import HOP_LENGTH, SAMPLE_RATE
from uslm_tokenizer.whole_files import write_atomically


@dataclass(frozen=True, kw_only=True)
class FeatureCodecRecipe:
    """Everything that decides a run of this recipe."""

    model: RepCodecConfig | VevoContentConfig = field(default_factory=RepCodecConfig)
    """The codec; its width must be the teacher's."""
    loop: LoopConfig = field(default_factory=LoopConfig)
    """Length, learning rate and the like."""
    corpus: tuple[str, ...] = ("data/corpus",)
    """Corpus folders, as uslm-prepare makes them."""
    teacher: str = "facebook/w2v-bert-2.0"
    """The speech encoder: a transformers folder or a model of the Hub."""
    teacher_layers: tuple[int, ...] = (17,)
    """Its layers whose mean is read, counted from 1, each standardised."""
    batch_size: int = 32
    """Crops in a batch."""
    crop_frames: int = 400
    """Length of a crop, frames; longer than the shortest utterances, which are then left out."""
    kmeans_batches: int = 0
    """Batches of crops that the codebook starts among by k-means; 0: it starts at random."""


def build(recipe: FeatureCodecRecipe, teacher: TeacherFeatures) -> Codec:
    """The codec, untrained. ConfigError where its width is not the teacher's."""
    config = recipe.model
    codec: Codec = (
        RepCodec(config) if isinstance(config, RepCodecConfig) else VevoContentTokenizer(config)
    )
    widths = {codec.dim, config.output_dim if isinstance(config, VevoContentConfig) else codec.dim}
    if widths != {teacher.dim}:
        raise ConfigError(
            f"the codec must take features of width {teacher.dim}, as {recipe.teacher} makes them, "
            f"but takes {codec.dim}"
        )
    return codec


class Objective(nn.Module):
    """The codec's loss as a module's `forward`, as wrappers for several devices need it."""

    def __init__(self, codec: Codec) -> None:
        super().__init__()
        self.codec = codec

    def forward(
        self, features: Float[Tensor, "b t d"], generator: torch.Generator | None
    ) -> tuple[Float[Tensor, ""], dict[str, Tensor]]:
        """The loss, and the commitment in it."""
        made = self.codec(features, generator=generator)
        return made.loss, {"commitment": made.quantized.commitment}


def draw_batch(
    recipe: FeatureCodecRecipe, corpus: Corpus, teacher: TeacherFeatures, crops: CropSampler
) -> TrainBatch[Tensor]:
    """The teacher's features of the next crops."""
    train_batch, length = next(crops), recipe.crop_frames
    places = zip(
        train_batch.indices.tolist(), (train_batch.starts // HOP_LENGTH).tolist(), strict=True
    )
    features = torch.stack([teacher[i][start : start + length] for i, start in places])
    frames = features.shape[0] * features.shape[1]
    return TrainBatch(
        batch=features,
        name=BatchLabel(corpus, train_batch.indices.tolist()),
        audio_seconds=frames * HOP_LENGTH / SAMPLE_RATE,
        tokens=frames,
        padded_frames=frames,
    )


@torch.no_grad()
def validate(codec: Codec, teacher: TeacherFeatures, indices: list[int]) -> Validation:
    """Share of the variance of held-out features that the codes leave open, and codes in use."""
    error, whole = 0.0, 0.0
    counts = torch.zeros(codec.codebook_size)
    for index in indices:
        features = teacher[index][None].to(codec.device)
        codes = codec.encode(features)
        restored = codec.decode(codes).float()
        t = min(restored.shape[1], features.shape[1])
        error += float((restored[:, :t] - features[:, :t]).square().sum())
        whole += float((features[:, :t] - features.mean(1, keepdim=True)).square().sum())
        counts += torch.bincount(codes[0, 0].cpu(), minlength=codec.codebook_size)
    values = {"loss": error / whole, "codes_used": codebook_perplexity(counts)}
    return Validation(values=values)


def train(recipe: FeatureCodecRecipe, out: Path, *, resume: bool = False) -> bool:
    """Run the recipe in `out`; True when it is over, and the units saved there as `model`."""
    seed_everything(recipe.loop.seed)
    accelerator = make_accelerator(recipe.loop, out)
    device = accelerator.device
    corpus = Corpus.open(recipe.corpus)
    if corpus.sample_rate != SAMPLE_RATE:
        raise ConfigError(f"the corpus must have {SAMPLE_RATE} Hz, but has {corpus.sample_rate}")
    with accelerator.main_process_first():
        teacher = teacher_features(
            corpus, out / "teacher", recipe.teacher, recipe.teacher_layers, device=device
        )
    codec = build(recipe, teacher)
    objective = Objective(codec)
    generator = own_generator(recipe.loop.seed, accelerator)
    if recipe.kmeans_batches:  # a resumed run writes its own over it
        start_codebook(recipe, codec, corpus, teacher)
    crops = sampler(recipe, corpus, world_of(accelerator))
    state = TrainingState(
        models={"model": objective},
        optimizers={"model": make_optimizer(objective, recipe.loop)},
        streams={"crops": crops},
        generators={"codebook": generator},
    )
    held_out = corpus.select(split="test", min_seconds=1.0)[:100].tolist()
    data = TrainingData.of(corpus)
    with start_run(
        recipe, out, state, accelerator=accelerator, data=data, batch_key="batch_size",
        resume=resume,
    ) as run:  # fmt: skip
        prepared = state.models["model"]

        def check() -> Validation:
            return validate(codec, teacher, held_out)

        for train_batch in each_batch(run, lambda: draw_batch(recipe, corpus, teacher, crops)):
            with accelerator.accumulate(prepared):
                loss, parts = prepared(train_batch.batch.to(device), generator)
                update(run, loss)
            after_step(run, Losses(loss, parts), train_batch, validate=check if held_out else None)
        if complete := finish_run(run):
            export(run, "model", {"codec": codec})
            save_units(run, recipe, out)
    return complete


def sampler(recipe: FeatureCodecRecipe, corpus: Corpus, world: World, more: int = 0) -> CropSampler:
    """Crops of whole frames; a frame longer than they are read, which the encoder may not make."""
    return CropSampler(
        corpus.num_samples - HOP_LENGTH,
        recipe.crop_frames * HOP_LENGTH,
        recipe.batch_size,
        recipe.loop.seed + more,
        indices=corpus.select(split="train"),
        world=world,
        align=HOP_LENGTH,
    )


@torch.no_grad()
def start_codebook(
    recipe: FeatureCodecRecipe, codec: Codec, corpus: Corpus, teacher: TeacherFeatures
) -> None:
    """K-means among what the untrained encoder makes of some crops."""
    crops = sampler(recipe, corpus, World(), more=1)
    train_batch = [
        draw_batch(recipe, corpus, teacher, crops).batch for _ in range(recipe.kmeans_batches)
    ]
    generator = torch.Generator().manual_seed(recipe.loop.seed)
    codec.quantizer.initialize(codec.latents(torch.cat(train_batch)), generator=generator)


def save_units(run: Run, recipe: FeatureCodecRecipe, out: Path) -> None:
    """The tokenizer: the speech encoder with its statistics, and the codec after it."""
    if run.rank.is_main:
        kind: Any = RepCodec if isinstance(recipe.model, RepCodecConfig) else VevoContentTokenizer
        codec = kind.from_pretrained(out / "codec")
        encoder = teacher_encoder(out / "teacher", recipe.teacher, recipe.teacher_layers)
        units = SSLUnits.from_parts(encoder, codec)
        units.save_pretrained(out / "model")
        card = write_part_card(units, run.out, run.data.folders, licence=run.config.licence)
        write_atomically(out / "model" / CARD_FILE, lambda path: path.write_text(card, "utf-8"))
    run.rank.barrier()


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line."""
    return recipe_main("train_feature_codec", FeatureCodecRecipe, train, arguments)


if __name__ == "__main__":
    raise SystemExit(main())
