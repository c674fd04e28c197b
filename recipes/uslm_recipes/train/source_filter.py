"""Train the source-filter codec: codebooks by k-means, tokens, then the decoder from the tokens.

    python -m uslm_recipes.train_source_filter --config mini --out runs/codec \\
        --set corpus=[data/corpus] --set units=runs/units/model --max-minutes 120

Nothing that encodes is learnt by gradient: units come ready, pitch is found, and the codebooks of
the mel frames are placed once. So the tokens of the corpus, which the decoder learns from, are
final before it begins; they lie in `tokens` of the run's folder, for the language models too.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from uslm_recipes.cards.export import export
from uslm_recipes.config import recipe_main
from uslm_recipes.data.batches import CropSampler
from uslm_recipes.data.corpus import Corpus
from uslm_recipes.data.encoding import encode_corpus
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
from uslm_tokenizer.codecs.source_filter.model import (
    FIRST_MEL_ROW,
    SourceFilterCodec,
    SourceFilterCodecConfig,
)
from uslm_tokenizer.codecs.unit_tokenizer.model import UnitTokenizer
from uslm_tokenizer.errors import ConfigError
from uslm_tokenizer.hub import CONFIG_FILE
from uslm_tokenizer.objectives.waveform import MultiResolutionSTFTLoss
from uslm_tokenizer.objectives.weighted import WaveformWeights, waveform_losses


@dataclass(frozen=True, kw_only=True)
class SourceFilterRecipe:
    """Everything that decides a run of this recipe."""

    model: SourceFilterCodecConfig = field(default_factory=SourceFilterCodecConfig)
    """The codec to train; its `units` are replaced by those of the tokenizer below."""
    loop: LoopConfig = field(default_factory=LoopConfig)
    """Length, learning rate and the like."""
    corpus: tuple[str, ...] = ("data/corpus",)
    """Corpus folders, as uslm-prepare makes them."""
    corpus_on_device: bool = False
    """Whether all of it lies on the device, 115 MB an hour, so that nothing is read or copied."""
    sources: tuple[str, ...] = ()
    """Collections that codebooks and decoder learn from; empty means all."""
    units: str = "runs/units/model"
    """The trained semantic tokenizer; it stays as it is."""
    trained: str = ""
    """A source-filter codec to go on from: its units and codebooks stay, its decoder learns on.
    Empty: a new one is built."""
    tokens: tuple[str, ...] = ()
    """Token folders of the corpora, made by `trained`; empty means to make them."""
    codebook_seconds: float = 1200.0
    """Speech whose mel frames the codebooks' entries are placed among."""
    batch_size: int = 16
    """Crops in a batch."""
    crop_frames: int = 50
    """Length of a crop, frames of the codec."""
    codebook_dropout: float = 0.25
    """Share of the crops that are decoded from their first few mel codebooks only."""
    weights: WaveformWeights = field(default_factory=WaveformWeights)
    """What counts how much in the waveform."""
    discriminator: DiscriminatorConfig = field(default_factory=DiscriminatorConfig)
    """The discriminators."""

    def __post_init__(self) -> None:
        if not 0 <= self.codebook_dropout <= 1:
            raise ConfigError(
                f"codebook_dropout must be from 0 to 1, but is {self.codebook_dropout}"
            )
        if self.tokens and not self.trained:
            raise ConfigError("tokens can be given only with the codec that made them: `trained`")


@dataclass
class Batch:
    """Crops and the codes that belong to them."""

    waveforms: Float[Tensor, "b 1 n"]
    codes: Int[Tensor, "b k t"]

    def to(self, device: torch.device) -> "Batch":
        """The same on another device."""
        return Batch(self.waveforms.to(device), self.codes.to(device))


def draw_batch(
    recipe: SourceFilterRecipe, corpus: Corpus, tokens: TokenCorpus, crops: CropSampler
) -> TrainBatch[Batch]:
    """The next crops; they begin at whole frames."""
    hop, length = tokens.header.hop_length, recipe.crop_frames
    train_batch = next(crops)
    places = list(zip(train_batch.indices.tolist(), train_batch.starts.tolist(), strict=True))
    codes = [tokens.codes(i, start // hop, start // hop + length) for i, start in places]
    return TrainBatch(
        batch=Batch(
            corpus.crops(train_batch.indices, train_batch.starts, length * hop), torch.stack(codes)
        ),
        name=BatchLabel(corpus, train_batch.indices.tolist()),
        audio_seconds=len(places) * length * hop / corpus.sample_rate,
        tokens=len(places) * length,
        padded_frames=len(places) * length,
    )


def draw_depth(
    recipe: SourceFilterRecipe, batch: Batch, generator: torch.Generator
) -> Int[Tensor, " b"]:
    """Number of mel codebooks of each crop that are decoded."""
    b, most = len(batch.codes), batch.codes.shape[1] - FIRST_MEL_ROW
    few = torch.rand(b, generator=generator, device=generator.device) < recipe.codebook_dropout
    train_batch = torch.randint(1, most + 1, (b,), generator=generator, device=generator.device)
    return torch.where(few, train_batch, most).to(batch.codes.device)


def draw_noise(
    waveforms: Float[Tensor, "b 1 n"], generator: torch.Generator
) -> Float[Tensor, "b n"]:
    """Another noise in each step: the decoder must not learn one by heart."""
    shape = waveforms[:, 0].shape
    noise = torch.randn(shape, generator=generator, device=generator.device)
    return noise.to(waveforms.device)


@torch.no_grad()
def validate(
    recipe: SourceFilterRecipe,
    codec: SourceFilterCodec,
    corpus: Corpus,
    tokens: TokenCorpus,
    indices: list[int],
) -> Validation:
    """Spectral distance of whole held-out utterances, decoded from their codes; some of them to
    hear and see."""
    spectral_loss = MultiResolutionSTFTLoss(corpus.sample_rate).to(codec.device)
    distances, shown = [], []
    for number, index in enumerate(indices):
        made = codec.decode(tokens.codes(index)[None].to(codec.device))
        real = corpus.waveform(index)[None, None].to(codec.device)
        made = made[..., : real.shape[-1]]
        distances.append(spectral_loss(made, real))
        if number < recipe.loop.samples:
            shown.append(_sample(f"decoded{number}", codec.sample_rate, real[0, 0], made[0, 0]))
    return samples.together({"loss": float(torch.stack(distances).mean())}, shown)


def _sample(
    name: str, rate: int, real: Float[Tensor, " n"], made: Float[Tensor, " n"]
) -> Validation:
    picture = draw_mels({"recording": real, "decoded": made}, rate)
    return Validation(
        values={},
        sounds={f"{name}_true": (real, rate), f"{name}_made": (made, rate)},
        pictures={f"{name}_mel": picture},
    )


def build(recipe: SourceFilterRecipe, corpus: Corpus, folder: Path) -> SourceFilterCodec:
    """The codec to begin with: `trained`, or one around the units, with its codebooks placed.

    It is kept in `folder`, and taken from there when the run goes on.
    """
    if recipe.trained:
        return SourceFilterCodec.from_pretrained(recipe.trained)
    if (folder / CONFIG_FILE).is_file():
        return SourceFilterCodec.from_pretrained(folder)
    units = UnitTokenizer.from_pretrained(recipe.units)
    codec = SourceFilterCodec(replace(recipe.model, units=units.config))
    codec.units.load_state_dict(units.state_dict())
    chosen = corpus.select(split="train", sources=recipe.sources or None)
    order = np.random.default_rng(recipe.loop.seed).permutation(chosen)
    enough = np.searchsorted(np.cumsum(corpus.seconds[order]), recipe.codebook_seconds) + 1
    waveforms = [corpus.waveform(int(i)).cpu()[None, None] for i in order[:enough]]
    codec.fit_codebooks(waveforms, torch.Generator().manual_seed(recipe.loop.seed))
    codec.save_pretrained(folder)
    return codec


def tokens_of(
    recipe: SourceFilterRecipe, codec: SourceFilterCodec, corpus: Corpus, folder: Path
) -> TokenCorpus:
    """Those that are given, or that the codec makes."""
    if not recipe.tokens:
        return encode_corpus(codec, corpus, folder)
    tokens = TokenCorpus.open(corpus, recipe.tokens)
    if tokens.header.num_codebooks != codec.num_codebooks:
        raise ConfigError(
            f"tokens must have the {codec.num_codebooks} codebooks of {recipe.trained}, but "
            f"{recipe.tokens[0]} has {tokens.header.num_codebooks}"
        )
    return tokens


def train(recipe: SourceFilterRecipe, out: Path, *, resume: bool = False) -> bool:
    """Run the recipe in `out`; True when it is over, and the codec saved there as `model`."""
    seed_everything(recipe.loop.seed)
    accelerator = make_accelerator(recipe.loop, out)
    device = accelerator.device
    corpus = Corpus.open(recipe.corpus, device=device if recipe.corpus_on_device else None)
    with accelerator.main_process_first():
        codec = build(recipe, corpus, out / "start").to(device)
        tokens = tokens_of(recipe, codec, corpus, out / "tokens")
    codec.requires_grad_(False)
    codec.decoder.requires_grad_(True)
    spectral_loss = MultiResolutionSTFTLoss(corpus.sample_rate).to(device)
    discriminator = build_discriminator(recipe.discriminator)
    generator = own_generator(recipe.loop.seed, accelerator)
    crops = CropSampler(
        corpus.num_samples,
        recipe.crop_frames * codec.hop_length,
        recipe.batch_size,
        recipe.loop.seed,
        indices=corpus.select(split="train", sources=recipe.sources or None),
        world=world_of(accelerator),
        align=codec.hop_length,
    )
    models: dict[str, nn.Module] = {"codec": codec.train(), "discriminator": discriminator}
    state = TrainingState(
        models=dict(models),
        optimizers={name: make_optimizer(model, recipe.loop) for name, model in models.items()},
        streams={"crops": crops},
        generators={"noise": generator},
        averaged=("codec",),
    )
    held_out = corpus.select(split="test", min_seconds=1, max_seconds=8)[:40].tolist()
    with start_run(
        recipe,
        out,
        state,
        accelerator=accelerator,
        data=TrainingData.of(corpus, tokens),
        batch_key="batch_size",
        resume=resume,
    ) as run:
        codec_, judge = state.models["codec"], state.models["discriminator"]

        def check() -> Validation:
            return validate(recipe, codec, corpus, tokens, held_out)

        for train_batch in each_batch(run, lambda: draw_batch(recipe, corpus, tokens, crops)):
            batch = train_batch.batch.to(device)
            depth, noise = (
                draw_depth(recipe, batch, generator),
                draw_noise(batch.waveforms, generator),
            )
            with accelerator.accumulate(codec_, judge):
                made = codec_(batch.codes, depth, noise)
                total, parts = waveform_losses(
                    made, batch.waveforms, spectral_loss,
                    active_discriminator(run, recipe.discriminator), recipe.weights,
                )  # fmt: skip
                update(run, total, "codec")
                parts |= discriminator_step(run, recipe.discriminator, batch.waveforms, made)
            after_step(run, Losses(total, parts), train_batch, validate=check if held_out else None)
        if complete := finish_run(run):
            export(run, "codec", {"model": codec})
    return complete


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line."""
    return recipe_main("train_source_filter", SourceFilterRecipe, train, arguments)


if __name__ == "__main__":
    raise SystemExit(main())
