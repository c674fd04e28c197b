"""Train Vec-Tok: units of features less their mean, and the way back with a prompt's vectors.

    python -m uslm_recipes.train_vec_tok --config mini --out runs/vec_tok \\
        --set corpus=[data/corpus] --set encoder=openai/whisper-base

Leaves two models: `tokenizer`, the k-means units, which are placed before the first step, and
`model`, the inverse. A language model of the units, merged or not, is `train_speech_lm`'s.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from uslm.systems.vec_tok.model import InverseKMeans, InverseKMeansConfig
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
from uslm_tokenizer.codecs.kmeans_units.model import KMeansUnits
from uslm_tokenizer.errors import ConfigError, UserError
from uslm_tokenizer.ssl.encoder import SSLEncoder
from uslm_tokenizer.weight_hash import weight_hash


@dataclass(frozen=True, kw_only=True)
class VecTokRecipe:
    """Everything that decides a run of this recipe."""

    model: InverseKMeansConfig = field(default_factory=InverseKMeansConfig)
    """The inverse; its `codebook_size` is the number of units."""
    encoder: str = "openai/whisper-base"
    """The speech encoder whose features are the vectors: a transformers folder or a Hub model."""
    encoder_layers: tuple[int, ...] = (3,)
    """Its layers whose mean is taken, counted from 1."""
    subtract_mean: bool = True
    """Whether units are of features less their mean over the utterance; False is a control."""
    prompt_share: float = 0.4
    """Share of an utterance whose vectors are the prompt; units of the rest come back."""
    max_prompt_frames: int = 150
    """Longest prompt."""
    kmeans_seconds: float = 600.0
    """Speech that the centroids are fitted to."""
    loop: LoopConfig = field(default_factory=LoopConfig)
    """Length, learning rate and the like."""
    corpus: tuple[str, ...] = ("data/corpus",)
    """Corpus folders, as uslm-prepare makes them."""
    sources: tuple[str, ...] = ()
    """Collections to learn from; empty means all."""
    seconds_per_batch: float = 60.0
    """Padded seconds of audio in a batch."""

    def __post_init__(self) -> None:
        if not 0 <= self.prompt_share < 1:
            raise ConfigError(f"prompt_share must be in [0, 1), but is {self.prompt_share}")
        if self.max_prompt_frames < 0:
            raise ConfigError(
                f"max_prompt_frames must not be negative, but is {self.max_prompt_frames}"
            )


@dataclass
class Split:
    """Vectors and units of a batch, the prompts before what comes back."""

    units: Int[Tensor, "b t"]
    target: Float[Tensor, "b t f"]
    mask: Bool[Tensor, "b t"]
    prompt: Float[Tensor, "b p f"]
    prompt_mask: Bool[Tensor, "b p"]


class VecTokTraining(nn.Module):
    """The units, which stay as they were placed, and their inverse."""

    def __init__(self, recipe: VecTokRecipe, tokenizer: KMeansUnits, model: InverseKMeans) -> None:
        super().__init__()
        self.recipe, self.model = recipe, model
        self.tokenizer = tokenizer.requires_grad_(False)

    def split(self, waveforms: Float[Tensor, "b 1 n"], lengths: Int[Tensor, " b"]) -> Split:
        """Prompt and rest of each utterance, both padded at their right."""
        with torch.no_grad():
            vectors, mask = self.tokenizer.vectors(waveforms, lengths)
            units = self.tokenizer.encode(waveforms, lengths)[:, 0]
        counts = mask.sum(1)
        share, most = self.recipe.prompt_share, self.recipe.max_prompt_frames
        cuts = (share * counts).long().clamp(max=most)
        places = torch.arange(vectors.shape[1], device=vectors.device)
        prompt_mask = places < cuts[:, None]
        rest = (places + cuts[:, None]) % vectors.shape[1]
        return Split(
            units=units.gather(1, rest),
            target=vectors.gather(1, rest[..., None].expand_as(vectors)),
            mask=places < (counts - cuts)[:, None],
            prompt=vectors[:, : int(cuts.max())],
            prompt_mask=prompt_mask[:, : int(cuts.max())],
        )

    def forward(
        self,
        waveforms: Float[Tensor, "b 1 n"],
        lengths: Int[Tensor, " b"],
        generator: torch.Generator | None = None,
    ) -> tuple[Float[Tensor, ""], Float[Tensor, ""]]:
        """The loss, and the mean squared distance alone."""
        parts = self.split(waveforms, lengths)
        made = self.model(parts.units, parts.mask, parts.prompt, parts.prompt_mask, generator)
        loss = self.model.loss(made, parts.target, parts.mask)
        far = (made.detach() - parts.target).square()[parts.mask].mean()
        return loss, far


def draw_batch(corpus: Corpus, batches: SecondsBatches) -> TrainBatch[tuple[Tensor, Tensor]]:
    """The next batch: waveforms and lengths."""
    chosen = next(batches).tolist()
    waveforms, lengths = pad_waveforms([corpus.waveform(i) for i in chosen])
    frames = -(-lengths // SSLEncoder.hop_length)
    return TrainBatch(
        batch=(waveforms, lengths),
        name=BatchLabel(corpus, chosen),
        audio_seconds=float(lengths.sum()) / corpus.sample_rate,
        tokens=int(frames.sum()),
        padded_frames=len(frames) * int(frames.max()),
        counts={"frames": int(frames.sum())},
    )


@torch.no_grad()
def validate(
    training: VecTokTraining, corpus: Corpus, indices: Sequence[int], device: torch.device
) -> Validation:
    """Squared distance of held-out vectors that come back; of the centroids alone, beside it."""
    training.eval()
    sums, frames = [0.0, 0.0], 0
    for start in range(0, len(indices), 16):
        rows = indices[start : start + 16]
        waveforms, lengths = pad_waveforms([corpus.waveform(i) for i in rows])
        parts = training.split(waveforms.to(device), lengths.to(device))
        made = training.model(parts.units, parts.mask, parts.prompt, parts.prompt_mask)
        bare = training.model.centroids[parts.units]
        real = int(parts.mask.sum())
        for place, vectors in enumerate((made, bare)):
            distance = (vectors - parts.target).square()[parts.mask]
            sums[place] += float(distance.mean()) * real
        frames += real
    training.train()
    return Validation(values={"loss": sums[0] / frames, "centroids_alone": sums[1] / frames})


def train(recipe: VecTokRecipe, out: Path, *, resume: bool = False) -> bool:
    """Run the recipe in `out`; True when it is over, with `tokenizer` and `model` saved there."""
    seed_everything(recipe.loop.seed)
    accelerator = make_accelerator(recipe.loop, out)
    device = accelerator.device
    corpus = Corpus.open(recipe.corpus)
    indices = corpus.select(split="train", sources=recipe.sources or None)
    if not len(indices):
        raise UserError(f"there is nothing to train on in {recipe.corpus} of {recipe.sources}")
    encoder = SSLEncoder.from_pretrained(recipe.encoder, layers=recipe.encoder_layers)
    if encoder.dim != recipe.model.feature_dim:
        raise ConfigError(
            f"model.feature_dim must be {encoder.dim} for {recipe.encoder}, "
            f"but is {recipe.model.feature_dim}"
        )
    tokenizer = KMeansUnits.from_encoder(
        encoder, recipe.model.codebook_size, subtract_mean=recipe.subtract_mean
    )
    model = InverseKMeans(recipe.model)
    training = VecTokTraining(recipe, tokenizer, model).to(device).train()
    generator = own_generator(recipe.loop.seed, accelerator)
    if not (resume and list_checkpoints(out / "checkpoints")):
        place_units(training, recipe, corpus, indices.tolist())
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
        generators={"dropped": generator},
    )
    held_out = [int(i) for i in corpus.select(split="test")][:120]
    data = TrainingData.of(corpus)
    with start_run(recipe, out, state, accelerator=accelerator, data=data, resume=resume) as run:
        prepared = state.models["model"]

        def check() -> Validation:
            return validate(training, corpus, held_out, device)

        for train_batch in each_batch(run, lambda: draw_batch(corpus, batches)):
            waveforms, lengths = (part.to(device) for part in train_batch.batch)
            with accelerator.accumulate(prepared):
                loss, far = prepared(waveforms, lengths, generator)
                loss = loss * train_batch.weights["frames"]
                update(run, loss)
            losses = Losses(loss, {"distance": far})
            after_step(run, losses, train_batch, validate=check if held_out else None)
        if complete := finish_run(run):
            made_for = weight_hash(tokenizer=tokenizer)
            model.config = replace(model.config, tokenizer_hash=made_for)
            export(run, "model", {"tokenizer": tokenizer, "model": model})
    return complete


@torch.no_grad()
def place_units(
    training: VecTokTraining, recipe: VecTokRecipe, corpus: Corpus, indices: list[int]
) -> None:
    """Fit the units to some of the speech, and hand their centroids to the inverse."""
    order = np.random.default_rng(recipe.loop.seed).permutation(indices)
    chosen: list[int] = []
    for index in order.tolist():
        chosen.append(index)
        if float(corpus.seconds[chosen].sum()) >= recipe.kmeans_seconds:
            break
    parts = [
        pad_waveforms([corpus.waveform(i) for i in chosen[start : start + 8]])
        for start in range(0, len(chosen), 8)
    ]
    device = training.model.device
    batches = [(waveforms[:, 0].to(device), lengths.to(device)) for waveforms, lengths in parts]
    draw = torch.Generator().manual_seed(recipe.loop.seed)
    training.tokenizer.fit(batches, generator=draw)
    training.model.centroids.copy_(training.tokenizer.quantizer.centroids)


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line."""
    return recipe_main("train_vec_tok", VecTokRecipe, train, arguments)


if __name__ == "__main__":
    raise SystemExit(main())
