"""Tune stage 2 and the codec's decoder to each other, on the waveform; the last stage.

    python -m uslm_recipes.tune --config mini --out runs/tune \\
        --set corpus=[data/corpus] --set tokens=[runs/tokens/0] \\
        --set tokenizer=runs/codec/model --set acoustic=runs/nar/model --max-minutes 20

What stage 2 predicts is smoother than what the codec's encoder makes, and the decoder has never
heard it. Here it does: of each row a crop is predicted, rounded to codes and decoded, beside the
same crop from its true codes, so that the codec stays a codec. The encoder and the quantizer do
not move, and so the tokens of a corpus stay what they are.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Int
from numpy.typing import NDArray
from torch import Tensor, nn

from uslm.generate.levels import nearest_codes
from uslm.models.base import AcousticBatch, AcousticRow
from uslm.models.regressor import AcousticRegressor
from uslm_recipes.checkpoint import TrainingState
from uslm_recipes.command import run_command
from uslm_recipes.config import parse_recipe_args
from uslm_recipes.data.acoustic_rows import AcousticRows, RowShape
from uslm_recipes.data.batches import SecondsBatches
from uslm_recipes.data.corpus import Corpus
from uslm_recipes.data.tokens import TokenCorpus
from uslm_recipes.loop import (
    Losses,
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
from uslm_recipes.loop_config import LoopConfig
from uslm_recipes.losses import MultiScaleMelLoss, discriminator_loss
from uslm_recipes.waveform_losses import WaveformWeights, waveform_losses
from uslm_tokenizer.acoustic.encodec_bridge import ms_stft_discriminator
from uslm_tokenizer.acoustic.unit_codec import UnitCodec


@dataclass(frozen=True, kw_only=True)
class TuneRecipe:
    """Everything that decides a run of this recipe."""

    loop: LoopConfig = field(default_factory=LoopConfig)
    """Length, learning rate and the like."""
    corpus: tuple[str, ...] = ("data/corpus",)
    """Corpus folders, as uslm-prepare makes them."""
    tokens: tuple[str, ...] = ("runs/tokens/0",)
    """Token folders, as encode makes them; one for each corpus."""
    sources: tuple[str, ...] = ()
    """Collections to learn from; empty means all."""
    tokenizer: str = "runs/codec/model"
    """The codec whose decoder is tuned."""
    acoustic: str = "runs/nar/model"
    """The acoustic_regressor that is tuned."""
    seconds_per_batch: float = 45.0
    """Seconds of target speech in a batch."""
    rows: RowShape = field(default_factory=RowShape)
    """What a row shows."""
    crop_frames: int = 40
    """Frames of each row that are decoded."""
    max_crops: int = 12
    """Rows of a batch of which a crop is decoded."""
    weights: WaveformWeights = field(default_factory=WaveformWeights)
    """What counts how much in the waveform."""
    input_weight: float = 5.0
    """Weight of the error of the predicted input."""
    adversarial_from: float = 0.2
    """Share of the run that goes by before the discriminator joins."""
    discriminate_every: int = 2
    """Steps of the voice for one of the discriminator."""
    discriminator_filters: int = 8
    """Width of the discriminator."""
    discriminator_windows: tuple[int, ...] = (1024, 512, 256)
    """Windows of its scales, samples."""


@dataclass
class Crops:
    """Where in a batch the decoded stretches lie, and how they sound in truth."""

    rows: list[int]
    """Rows of the batch."""
    starts: list[int]
    """First frame of each, counted in the batch's columns."""
    waveforms: Float[Tensor, "c 1 n"]


class Voice(nn.Module):
    """Stage 2 and the decoder, as one module to train."""

    def __init__(self, acoustic: AcousticRegressor, codec: UnitCodec) -> None:
        super().__init__()
        self.acoustic, self.codec = acoustic, codec
        codec.requires_grad_(False)
        codec.decoder.requires_grad_(True)
        codec.head.requires_grad_(True)

    def forward(
        self, batch: AcousticBatch, crops: Crops, num_frames: int
    ) -> tuple[Float[Tensor, "c2 1 n"], Float[Tensor, ""]]:
        """Crops from predicted codes, then the same from their true codes; the input's error."""
        predicted = self.acoustic(batch, torch.ones_like(batch.codes[:, 0, 0]))
        places = list(zip(crops.rows, crops.starts, strict=True))
        codes = torch.stack([batch.codes[r, :, s : s + num_frames] for r, s in places])
        wanted = torch.stack([predicted[r, s : s + num_frames] for r, s in places])
        guessed = wanted + (self._rounded(wanted) - wanted).detach()  # straight through
        true = self._vectors(codes[:, 1:])
        units = self.codec.embed_units(codes[:, 0]).repeat(2, 1, 1)
        latents = torch.cat([guessed, true]).transpose(1, 2) + units
        return self.codec.synthesize(latents), self.acoustic.loss(batch, predicted)

    @torch.no_grad()
    def _rounded(self, wanted: Float[Tensor, "c t e"]) -> Float[Tensor, "c t e"]:
        tables = list(self.acoustic.vectors.float())
        levels = nearest_codes(wanted.detach().float().flatten(0, 1), tables)
        return self._vectors(levels.reshape(-1, *wanted.shape[:2]).transpose(0, 1))

    def _vectors(self, levels: Int[Tensor, "c k t"]) -> Float[Tensor, "c t e"]:
        each = [table[levels[:, k]] for k, table in enumerate(self.acoustic.vectors)]
        return torch.stack(each).sum(dim=0).float()


def cut_crops(
    corpus: Corpus,
    chosen: Sequence[int],
    rows: Sequence[AcousticRow],
    recipe: TuneRecipe,
    hop_length: int,
    random: np.random.Generator,
) -> Crops | None:
    """A stretch of the frames to fill, of each row that is long enough; None if none is."""
    crops = Crops([], [], torch.zeros(0))
    waveforms: list[Tensor] = []
    for place, (index, row) in enumerate(zip(chosen, rows, strict=True)):
        last = row.codes.shape[1] - recipe.crop_frames
        if last < row.num_context or len(waveforms) == recipe.max_crops:
            continue
        first = int(random.integers(row.num_context, last + 1))
        start = (row.start + first) * hop_length
        waveform = corpus.waveform(index, start, start + recipe.crop_frames * hop_length)
        missing = recipe.crop_frames * hop_length - len(waveform)  # of the last frame
        waveforms.append(nn.functional.pad(waveform, (0, missing)))
        crops.rows.append(place)
        crops.starts.append(row.prompt.shape[1] + first)
    if not waveforms:
        return None
    crops.waveforms = torch.stack(waveforms)[:, None]
    return crops


@torch.no_grad()
def validate(
    voice: Voice,
    corpus: Corpus,
    rows: AcousticRows,
    indices: NDArray[np.int64],
    recipe: TuneRecipe,
) -> dict[str, float]:
    """On held-out speakers: spectral distance of crops from predicted and from true codes."""
    random = np.random.default_rng(0)
    mel_loss = MultiScaleMelLoss(corpus.sample_rate)
    guessed, true, errors = [], [], []
    for start in range(0, len(indices), recipe.max_crops):
        chosen = indices[start : start + recipe.max_crops].tolist()
        drawn = [rows.row(index, recipe.rows, random) for index in chosen]
        crops = cut_crops(corpus, chosen, drawn, recipe, voice.codec.hop_length, random)
        if crops is None:
            continue
        made, error = voice(voice.acoustic.batch(drawn), crops, recipe.crop_frames)
        first, second = made.chunk(2)
        guessed.append(float(mel_loss(first, crops.waveforms)))
        true.append(float(mel_loss(second, crops.waveforms)))
        errors.append(float(error))
    means = {"guessed": np.mean(guessed), "true": np.mean(true), "input": np.mean(errors)}
    return {"loss": float(means["guessed"]), **{k: float(v) for k, v in means.items()}}


def train(recipe: TuneRecipe, out: Path, *, resume: bool = False) -> Voice:
    """Run the recipe in `out`; saves `model` (stage 2) and `codec` there."""
    seed_everything(recipe.loop.seed)
    accelerator = make_accelerator(recipe.loop, out)
    corpus = Corpus.open(recipe.corpus)
    tokens = TokenCorpus.open(corpus, recipe.tokens)
    voice = Voice(
        AcousticRegressor.from_pretrained(recipe.acoustic),
        UnitCodec.from_pretrained(recipe.tokenizer),
    )
    discriminator = ms_stft_discriminator(
        recipe.discriminator_filters, n_ffts=recipe.discriminator_windows
    )
    mel_loss = MultiScaleMelLoss(corpus.sample_rate)
    hop_length = voice.codec.hop_length
    shortest = recipe.crop_frames * hop_length / corpus.sample_rate
    indices = corpus.select(
        split="train", min_seconds=max(1.0, 2 * shortest), sources=recipe.sources or None
    )
    rows = AcousticRows(corpus, tokens, indices)
    batches = SecondsBatches(
        corpus.seconds,
        recipe.seconds_per_batch,
        recipe.loop.seed,
        indices=indices,
        world=world_of(accelerator),
    )
    state = TrainingState(
        models={"voice": voice, "discriminator": discriminator},
        optimizers={
            "voice": make_optimizer(voice, recipe.loop),
            "discriminator": make_optimizer(discriminator, recipe.loop),
        },
        streams={"batches": batches},
        averaged=("voice",),
    )
    held_out = corpus.select(split="test", min_seconds=2 * shortest, max_seconds=8)[:48]
    held_out_rows = AcousticRows(corpus, tokens, held_out)
    with start_run(recipe.loop, out, state, accelerator=accelerator, resume=resume) as run:
        voice_, judge = state.models["voice"], state.models["discriminator"]

        def check() -> dict[str, float]:
            return validate(voice, corpus, held_out_rows, held_out, recipe)

        while keep_going(run):
            # Drawn anew from the place in the stream, so that a resumed run draws the same.
            random = np.random.default_rng((recipe.loop.seed, batches.epoch, batches.position))
            chosen = next(batches).tolist()
            drawn = [rows.row(index, recipe.rows, random) for index in chosen]
            crops = cut_crops(corpus, chosen, drawn, recipe, hop_length, random)
            if crops is None:
                continue
            playing = fraction_done(run.progress, recipe.loop) >= recipe.adversarial_from
            made, error = voice_(voice.acoustic.batch(drawn), crops, recipe.crop_frames)
            real = crops.waveforms.to(made.device)
            total, parts = waveform_losses(
                made, real.repeat(2, 1, 1), mel_loss, judge if playing else None, recipe.weights
            )
            total = total + recipe.input_weight * error
            update(run, total, "voice")
            if playing and run.progress.step % recipe.discriminate_every == 0:
                real_scores, _ = judge(real)
                fake_scores, _ = judge(made.detach())
                judged = discriminator_loss(real_scores, fake_scores)
                update(run, judged, "discriminator")
                parts["discriminator"] = judged
            after_step(
                run,
                Losses(total=total, parts={**parts, "input_error": error}),
                audio_seconds=float(corpus.seconds[chosen].sum()),
                batch=chosen,
                validate=check if len(held_out) else None,
            )
        if finish_run(run):
            for ema in state.ema.values():
                ema.copy_to_model()
            voice.acoustic.eval().save_pretrained(out / "model")
            voice.codec.eval().save_pretrained(out / "codec")
    return voice


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line."""

    def action() -> None:
        given = parse_recipe_args("tune", TuneRecipe, arguments)
        train(given.config, given.out, resume=given.resume)

    return run_command("tune", action)


if __name__ == "__main__":
    raise SystemExit(main())
