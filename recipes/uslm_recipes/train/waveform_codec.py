"""Train a codec of waveforms of any design: SpeechTokenizer, its relatives, or one of your own.

    python -m uslm_recipes.train_waveform_codec --config mini --out runs/codec \\
        --set corpus=[data/corpus] --set teacher=facebook/hubert-base-ls960 --max-minutes 60

Reconstruction, the discriminators' opinion, the quantizer's own loss, and a list of objectives:
`uslm_tokenizer/objectives/taught.py`. The discriminators come late, the codebooks from k-means.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn

from uslm_recipes.cards.export import export
from uslm_recipes.config import recipe_main
from uslm_recipes.data.batches import CropSampler, World
from uslm_recipes.data.corpus import Corpus
from uslm_recipes.loop import (
    LoopConfig,
    Losses,
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
from uslm_recipes.loop.pictures import count_codes
from uslm_recipes.loop.training_data import TrainingData
from uslm_recipes.loop.validation import codebook_perplexity
from uslm_recipes.train import samples
from uslm_recipes.train.codec_crops import Batch, Teachers, draw_batch
from uslm_recipes.train.discriminator import (
    DiscriminatorConfig,
    active_discriminator,
    build_discriminator,
    discriminator_step,
)
from uslm_recipes.train.teachers.features import TeacherFeatures, teacher_features
from uslm_recipes.train.teachers.language import LanguageTeacherConfig, language_features
from uslm_tokenizer.base import TrainableCodec
from uslm_tokenizer.codecs.waveform_codec.model import WaveformCodec
from uslm_tokenizer.codecs.waveform_codec.pairs import with_pairs
from uslm_tokenizer.config import from_dict
from uslm_tokenizer.errors import ConfigError
from uslm_tokenizer.nn.unit_variance import start_with_unit_variance
from uslm_tokenizer.objectives.balancer import Balancer
from uslm_tokenizer.objectives.taught import LanguageCosine, Objective, Restoration, TaughtCodec
from uslm_tokenizer.objectives.waveform import MultiScaleMelLoss, speech_tokenizer_mel_loss
from uslm_tokenizer.objectives.weighted import WaveformWeights, build_balancer, waveform_losses
from uslm_tokenizer.registry import load_tokenizer, tokenizer_class
from uslm_tokenizer.ssl.encoder import SSLEncoder
from uslm_tokenizer.ssl.front_ends import HOP_LENGTH, SAMPLE_RATE

SPECTRAL: Mapping[str, Callable[[int], MultiScaleMelLoss]] = {
    "dac": MultiScaleMelLoss,
    "speech_tokenizer": speech_tokenizer_mel_loss,
}
NUM_COUNTED = 64
"""Batches of crops in which the use of the codes of groups is counted."""
NUM_CLUSTERED = 200
"""Utterances whose teacher features the pseudo-labels are fitted to."""


@dataclass(frozen=True, kw_only=True)
class WaveformCodecRecipe:
    """Everything that decides a run of this recipe."""

    kind: str = "waveform_codec"
    """Which codec of the registry: any that learns from its own reconstruction."""
    model: dict[str, Any] = field(default_factory=dict)
    """Its config, by key."""
    initial: str = ""
    """A trained codec of this kind that the run goes on from, with its config; empty: it begins
    with random weights."""
    kept_codes: tuple[int, ...] = ()
    """Of `initial` with a quantizer of groups: how many of the most used codes of each group are
    kept; their pairs become one codebook (SimCodec). Empty: all stays as it is."""
    loop: LoopConfig = field(default_factory=LoopConfig)
    """Length, learning rate and the like."""
    corpus: tuple[str, ...] = ("data/corpus",)
    """Corpus folders, as uslm-prepare makes them."""
    teacher: str = ""
    """The speech encoder of the objectives, or of the codec's semantic branch: a transformers
    folder or a model of the Hub, Whisper too. Empty: none."""
    teacher_layers: tuple[int, ...] = (9,)
    """Its layers whose mean is the target, counted from 1."""
    objectives: tuple[Objective, ...] = ()
    """What is learnt from the teachers, beside the reconstruction."""
    language: LanguageTeacherConfig = field(default_factory=LanguageTeacherConfig)
    """The language model of a language_cosine, which reads the corpus's texts."""
    batch_size: int = 16
    """Crops in a batch."""
    crop_frames: int = 48
    """Length of a crop, frames of the codec."""
    kmeans_batches: int = 0
    """Batches of crops that the codebooks start among by k-means; 0: they start at random."""
    unit_variance: bool = False
    """Whether the convolutions of the encoder start so that all they make of these crops, of one
    batch at least, varies by one (`uslm_tokenizer.nn.unit_variance`). Short runs need it."""
    spectral: Literal["dac", "speech_tokenizer"] = "dac"
    """Which spectral distance: see `uslm_tokenizer.objectives.waveform`."""
    weights: WaveformWeights = field(default_factory=WaveformWeights)
    """What counts how much in the waveform."""
    quantizer_weight: float = 10.0
    """Weight of the quantizer's loss, a mean over the codebooks."""
    discriminator: DiscriminatorConfig = field(default_factory=DiscriminatorConfig)
    """The discriminators."""

    def __post_init__(self) -> None:
        if self.weights.rules != self.discriminator.rules:
            raise ConfigError(
                f"discriminator.rules must be weights.rules, {self.weights.rules!r}, "
                f"but is {self.discriminator.rules!r}"
            )
        if self.kept_codes and not self.initial:
            raise ConfigError("kept_codes needs initial, a trained codec, but there is none")
        if self.initial and self.model:
            raise ConfigError(
                f"model must not be given beside initial, which tells it, but has "
                f"{sorted(self.model)}"
            )


def build(recipe: WaveformCodecRecipe, corpus: Corpus) -> TrainableCodec:
    """The codec, untrained or as `initial` is. ConfigError for one that cannot be trained so."""
    if not recipe.initial:
        return build_untrained(recipe)
    codec = load_tokenizer(recipe.initial).train()
    if not isinstance(codec, TrainableCodec) or codec.model_type != recipe.kind:
        raise ConfigError(
            f"initial must hold a {recipe.kind} that can train, but holds a {codec.model_type}"
        )
    if not recipe.kept_codes:
        return codec
    if not isinstance(codec, WaveformCodec):
        raise ConfigError(f"kept_codes is of a waveform_codec, but initial is a {codec.model_type}")
    check_rates(recipe, codec, corpus)
    crops = sampler(recipe, codec, corpus, World(), more=2)
    length = recipe.crop_frames * codec.hop_length
    train_batch = [next(crops) for _ in range(NUM_COUNTED)]
    waveforms = (corpus.crops(each.indices, each.starts, length) for each in train_batch)
    return with_pairs(codec, waveforms, recipe.kept_codes)


def build_untrained(recipe: WaveformCodecRecipe) -> TrainableCodec:
    """The codec of the recipe's config."""
    found = tokenizer_class(recipe.kind)
    if not issubclass(found, TrainableCodec):
        raise ConfigError(f"kind must name a codec that can train, but {recipe.kind} cannot")
    config: Any = from_dict(found.config_class, recipe.model, where="model")
    codec = found(config)
    branch: Any = getattr(codec, "branch", None)
    if branch is not None and recipe.teacher:
        encoder = SSLEncoder.from_pretrained(recipe.teacher, layers=config.semantic.layers)
        if encoder.config.backbone != branch.encoder.config.backbone:
            codec = found(replace(config, semantic=encoder.config))
            branch = codec.branch
        branch.encoder.load_state_dict(encoder.state_dict())
    return codec


def check_rates(recipe: WaveformCodecRecipe, codec: TrainableCodec, corpus: Corpus) -> None:
    """ConfigError unless corpus, codec and teacher count alike."""
    if codec.sample_rate != corpus.sample_rate:
        raise ConfigError(
            f"the corpus must have {codec.sample_rate} Hz, as the codec has, "
            f"but has {corpus.sample_rate}"
        )
    wanted, found = (SAMPLE_RATE, HOP_LENGTH), (codec.sample_rate, codec.hop_length)
    if any(not isinstance(each, Restoration) for each in recipe.objectives) and found != wanted:
        raise ConfigError(
            f"with a teacher the codec must have {wanted[0]} Hz and a hop of {wanted[1]} samples, "
            f"but has {found[0]} and {found[1]}"
        )


def needs_teacher(recipe: WaveformCodecRecipe) -> bool:
    """Whether an objective looks at the speech encoder's features."""
    return any(not isinstance(each, (Restoration, LanguageCosine)) for each in recipe.objectives)


def needs_language(recipe: WaveformCodecRecipe) -> bool:
    """Whether an objective looks at a language model's states."""
    return any(isinstance(each, LanguageCosine) for each in recipe.objectives)


def generator_losses(
    recipe: WaveformCodecRecipe,
    taught: nn.Module,
    discriminator: nn.Module | None,
    mel_loss: MultiScaleMelLoss,
    batch: Batch,
    generator: torch.Generator,
    balancer: Balancer | None = None,
) -> tuple[Losses, Float[Tensor, "b 1 n"]]:
    """The codec's side; without a discriminator no opinion of it."""
    made, learnt, taught_total = taught(
        batch.waveforms, batch.teacher, generator, language=batch.language
    )
    total, parts = waveform_losses(
        made.waveform, batch.waveforms, mel_loss, discriminator, recipe.weights, balancer
    )
    total = total + taught_total + recipe.quantizer_weight * made.quantized.loss
    parts |= {**learnt, "commitment": made.quantized.commitment}
    return Losses(total=total, parts=parts), made.waveform.detach()


@torch.no_grad()
def validate(
    codec: TrainableCodec, mel_loss: MultiScaleMelLoss, corpus: Corpus, indices: list[int]
) -> Validation:
    """Spectral distance of whole held-out utterances, decoded from their codes; and how many codes
    of each codebook are in use."""
    distances = []
    counts = torch.zeros(codec.num_codebooks, codec.codebook_size)
    for index in indices:
        waveform = corpus.waveform(index)[None, None].to(codec.device)
        waveform = waveform[..., : waveform.shape[-1] // codec.hop_length * codec.hop_length]
        codes = codec.encode(waveform)
        distances.append(mel_loss(codec.decode(codes), waveform))
        for codebook, row in enumerate(codes[0]):
            counts[codebook] += count_codes(row, codec.codebook_size)
    use = {f"codes_used_{k}": codebook_perplexity(each) for k, each in enumerate(counts)}
    return samples.together({"loss": float(torch.stack(distances).mean()), **use}, [])


def open_teachers(
    recipe: WaveformCodecRecipe, corpus: Corpus, out: Path, device: torch.device
) -> Teachers:
    """The teachers' features of the corpus, made if they are not there."""
    speech = language = None
    if needs_teacher(recipe):
        if not recipe.teacher:
            raise ConfigError("teacher must name a speech encoder, which the objectives need")
        speech = teacher_features(
            corpus, out / "teacher", recipe.teacher, recipe.teacher_layers, device=device
        )
    if needs_language(recipe):
        if not recipe.language.name:
            raise ConfigError("language.name must name a language model for language_cosine")
        language = language_features(corpus, out / "language", recipe.language, device=device)
    return Teachers(speech, language)


def some_features(teacher: TeacherFeatures, corpus: Corpus) -> Float[Tensor, "n e"]:
    """Of utterances spread over the corpus, for clusters."""
    indices = corpus.select(split="train")
    step = max(1, len(indices) // NUM_CLUSTERED)
    return torch.cat([teacher[i] for i in indices[::step].tolist()])


def train(recipe: WaveformCodecRecipe, out: Path, *, resume: bool = False) -> bool:
    """Run the recipe in `out`; True when it is over, and the codec saved there as `model`."""
    seed_everything(recipe.loop.seed)
    accelerator = make_accelerator(recipe.loop, out)
    device = accelerator.device
    corpus = Corpus.open(recipe.corpus)
    codec = build(recipe, corpus)
    check_rates(recipe, codec, corpus)
    with accelerator.main_process_first():
        teachers = open_teachers(recipe, corpus, out, device)
    start = torch.Generator().manual_seed(recipe.loop.seed)
    taught = TaughtCodec(
        codec,
        recipe.objectives,
        None if teachers.speech is None else some_features(teachers.speech, corpus),
        language_dim=None if teachers.language is None else teachers.language.dim,
        generator=start,
    )
    if (balancer := build_balancer(recipe.weights)) is not None:
        taught.balancer = balancer  # its averages are kept with the codec's weights
    generator = own_generator(recipe.loop.seed, accelerator)
    mel_loss = SPECTRAL[recipe.spectral](corpus.sample_rate).to(device)
    models = {"codec": taught, "discriminator": build_discriminator(recipe.discriminator)}
    crops = sampler(recipe, codec, corpus, world_of(accelerator))
    start_codec(recipe, codec.to(device), corpus)  # a resumed run writes its own over it
    state = TrainingState(
        models=dict(models),
        optimizers={name: make_optimizer(model, recipe.loop) for name, model in models.items()},
        streams={"crops": crops},
        generators={"levels": generator},
        averaged=("codec",),
    )
    held_out = corpus.select(split="test", max_seconds=8)[:40].tolist()
    with start_run(
        recipe,
        out,
        state,
        accelerator=accelerator,
        data=TrainingData.of(corpus),
        batch_key="batch_size",
        resume=resume,
    ) as run:
        taught_, judge = state.models["codec"], state.models["discriminator"]
        hop = codec.hop_length

        def check() -> Validation:
            return validate(codec, mel_loss, corpus, held_out)

        for train_batch in each_batch(
            run, lambda: draw_batch(recipe.crop_frames, hop, corpus, teachers, crops)
        ):
            batch = train_batch.batch.to(device)
            with accelerator.accumulate(taught_, judge):
                losses, fake = generator_losses(
                    recipe,
                    taught_,
                    active_discriminator(run, recipe.discriminator),
                    mel_loss,
                    batch,
                    generator,
                    balancer,
                )
                update(run, losses.total, "codec")
                judged = discriminator_step(run, recipe.discriminator, batch.waveforms, fake)
            losses = replace(losses, parts={**losses.parts, **judged})
            after_step(run, losses, train_batch, validate=check if held_out else None)
        if complete := finish_run(run):
            export(run, "codec", {"model": codec})
    return complete


def sampler(
    recipe: WaveformCodecRecipe, codec: TrainableCodec, corpus: Corpus, world: World, more: int = 0
) -> CropSampler:
    """Crops of whole frames; `more` than the run's seed makes another stream."""
    return CropSampler(
        corpus.num_samples,
        recipe.crop_frames * codec.hop_length,
        recipe.batch_size,
        recipe.loop.seed + more,
        indices=corpus.select(split="train"),
        world=world,
        align=codec.hop_length,
    )


def start_codec(recipe: WaveformCodecRecipe, codec: TrainableCodec, corpus: Corpus) -> None:
    """Scale the untrained encoder by some crops, then k-means among the latents that it makes of
    them, as the recipe says."""
    count = max(recipe.kmeans_batches, int(recipe.unit_variance))
    if not count or recipe.initial:
        return
    length = recipe.crop_frames * codec.hop_length
    crops = sampler(recipe, codec, corpus, World(), more=1)
    train_batch = [next(crops) for _ in range(count)]
    waveforms = torch.cat([corpus.crops(each.indices, each.starts, length) for each in train_batch])
    waveforms = waveforms.to(codec.device)
    if recipe.unit_variance:
        start_with_unit_variance(codec, lambda: codec.encode(waveforms))
    if recipe.kmeans_batches:
        codec.initialize(waveforms, torch.Generator().manual_seed(recipe.loop.seed))


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line."""
    return recipe_main("train_waveform_codec", WaveformCodecRecipe, train, arguments)


if __name__ == "__main__":
    raise SystemExit(main())
