"""Training steps of each recipe on made-up data, for `train.py`; models of the shipped configs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from uslm.models.base import AcousticRow, batch_rows
from uslm.models.packing import pack_rows
from uslm_recipes.config import load_config
from uslm_recipes.loop import LoopConfig, make_optimizer
from uslm_recipes.loop.launch import precision_of
from uslm_recipes.train import ar as train_ar
from uslm_recipes.train import nar as train_nar
from uslm_recipes.train import unit_codec as train_codec
from uslm_recipes.train import units as train_units
from uslm_recipes.train import waveform_codec as train_waveform_codec
from uslm_recipes.train.acoustic_objectives import RegressorObjective
from uslm_recipes.train.discriminator import build_discriminator
from uslm_tokenizer.codecs.unit_codec.model import UnitCodec
from uslm_tokenizer.codecs.unit_tokenizer.model import UnitTokenizer
from uslm_tokenizer.objectives.taught import TaughtCodec, TeacherCosine
from uslm_tokenizer.objectives.waveform import MultiScaleMelLoss, discriminator_loss
from uslm_tokenizer.objectives.weighted import waveform_losses

FRAME_RATE = 50
FEATURE_DIM = 768
"""Width of a teacher's features."""
PACKED_FRAMES = 1_000
SYMBOLS_PER_SECOND = 15
MEDIAN_SECONDS, SPREAD = 4.5, 0.5
"""Of the made-up utterances: log-normal, about as LibriTTS has them."""


@dataclass
class Work:
    """A training step, to be taken again and again."""

    step: Callable[[], object]
    frames: int
    """Frames of speech in it, padding not counted."""
    padded_frames: int
    """The same with padding."""
    precision: torch.dtype


@dataclass(frozen=True, kw_only=True)
class Variant:
    """How a step is computed."""

    compile: bool = False
    batches: str = "alike"
    """alike: utterances of like length, padded, as the recipes draw them; packed: the same sharing
    rows (stage 2); random: of any length, padded."""

    def __str__(self) -> str:
        return f"{'compiled' if self.compile else 'eager'}, {self.batches}"


def variants_of(recipe: str, *, compiled: bool) -> list[Variant]:
    """What is compared for a recipe."""
    batches = {
        "codec": ["alike"],
        "waveform_codec": ["alike"],
        "nar": ["alike", "packed", "random"],
    }
    drawn = batches.get(recipe, ["alike", "random"])
    modes = [False, True] if compiled else [False]
    return [Variant(compile=mode, batches=each) for mode in modes for each in drawn]


def build(recipe: str, size: str, variant: Variant, device: torch.device) -> Work:
    """The step of a recipe; the same data for each variant of one batching."""
    torch.manual_seed(0)
    random = np.random.default_rng(0)
    return BUILDERS[recipe](size, variant, device, random)


def utterances(
    seconds_per_batch: float, variant: Variant, random: np.random.Generator
) -> list[int]:
    """Frames of the utterances of a batch: padded they fill it."""
    longest = min(16.0, seconds_per_batch)
    drawn = np.minimum(random.lognormal(np.log(MEDIAN_SECONDS), SPREAD, 4096), longest)
    if variant.batches != "random":
        middle = np.sort(drawn)[len(drawn) // 2 :]
        drawn = middle[: max(1, int(seconds_per_batch / middle[0]))]
    frames = [max(8, int(each * FRAME_RATE)) for each in drawn]
    budget, chosen = seconds_per_batch * FRAME_RATE, frames[:1]
    for each in frames[1:]:
        if max(*chosen, each) * (len(chosen) + 1) > budget:
            break
        chosen.append(each)
    return chosen


def _work(
    objective: nn.Module, inputs: Sequence[Any], loop: LoopConfig, variant: Variant, **counts: int
) -> Work:
    """A step of one model whose forward is its loss."""
    optimizer = make_optimizer(objective, loop)
    called: Any = torch.compile(objective) if variant.compile else objective
    device = next(objective.parameters()).device
    precision = precision_of(loop, device)

    def step() -> None:
        with torch.autocast(device.type, precision, enabled=precision != torch.float32):
            loss = called(*inputs)
            loss = loss[0] if isinstance(loss, tuple) else loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(objective.parameters(), loop.max_grad_norm)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)

    return Work(step, precision=precision, **counts)


def _ar(size: str, variant: Variant, device: torch.device, random: np.random.Generator) -> Work:
    recipe = load_config(train_ar.ARRecipe, size, ["model.pitch_reach=0"], recipe="train_ar")
    objective = train_ar.Objective(train_ar.build(recipe)).to(device)
    model = objective.model
    lengths = utterances(recipe.seconds_per_batch, variant, random)
    texts = [torch.randint(1, 50, (n * SYMBOLS_PER_SECOND // FRAME_RATE + 1,)) for n in lengths]
    units = [torch.randint(model.codebook_size, (n,)) for n in lengths]
    batch = model.batch(texts, units).to(device)
    padded_frames = max(lengths) * len(lengths)
    return _work(
        objective, [batch], recipe.loop, variant, frames=sum(lengths), padded_frames=padded_frames
    )


def _nar(size: str, variant: Variant, device: torch.device, random: np.random.Generator) -> Work:
    recipe = load_config(train_nar.NARRecipe, f"unit_codec_{size}", recipe="train_nar")
    model = train_nar.new_model(recipe)
    objective = RegressorObjective(model).to(device)
    shape, rows = recipe.rows, []
    for n in utterances(recipe.seconds_per_batch, variant, random):
        prompt = int(random.integers(shape.min_prompt_frames, shape.max_prompt_frames + 1))
        codes = torch.randint(model.config.codebook_size, (model.num_codebooks, prompt + n))
        text = torch.randint(1, 50, (n * SYMBOLS_PER_SECOND // FRAME_RATE + 1,))
        target = codes[:, prompt : prompt + shape.max_target_frames]
        rows.append(AcousticRow(prompt=codes[:, :prompt], codes=target, text_ids=text))
    is_packed = variant.batches == "packed"
    batch = pack_rows(rows, device, PACKED_FRAMES) if is_packed else batch_rows(rows, device)
    known = torch.ones(len(batch.codes), dtype=torch.long, device=device)
    frames, padded_frames = int(batch.frame_mask.sum()), batch.frame_mask.numel()
    return _work(
        objective, [batch, known], recipe.loop, variant, frames=frames, padded_frames=padded_frames
    )


class _Units(nn.Module):
    """The tokenizer's loss against random features, without texts."""

    def __init__(self, model: UnitTokenizer, targets: Tensor) -> None:
        super().__init__()
        self.model, self.targets = model, targets

    def forward(self, waveforms: Tensor, lengths: Tensor) -> Tensor:
        predicted = self.model(waveforms, lengths)
        far = (predicted.features - self.targets)[predicted.mask].square().mean()
        loss: Tensor = far + predicted.commitment + predicted.phoneme_logits.mean()
        return loss


def _units(size: str, variant: Variant, device: torch.device, random: np.random.Generator) -> Work:
    recipe = load_config(train_units.UnitsRecipe, size, recipe="train_units")
    config = recipe.model
    lengths = utterances(recipe.seconds_per_batch, variant, random)
    targets = torch.randn(len(lengths), max(lengths), config.teacher_dim, device=device)
    objective = _Units(UnitTokenizer(config), targets).to(device)
    samples = torch.tensor(lengths, device=device) * config.hop_length
    waveforms = torch.randn(len(lengths), 1, int(samples.max()), device=device) * 0.1
    padded_frames = max(lengths) * len(lengths)
    return _work(
        objective,
        [waveforms, samples],
        recipe.loop,
        variant,
        frames=sum(lengths),
        padded_frames=padded_frames,
    )


def _codec(size: str, variant: Variant, device: torch.device, random: np.random.Generator) -> Work:
    """With the discriminator, which learns in every step: the dearest step there is."""
    recipe = load_config(train_codec.CodecRecipe, size, recipe="train_codec")
    units = load_config(train_units.UnitsRecipe, size, recipe="train_units").model
    codec: Any = UnitCodec(replace(recipe.model, units=units)).to(device)
    judge: Any = build_discriminator(recipe.discriminator).to(device)
    mel_loss = MultiScaleMelLoss(codec.sample_rate).to(device)
    optimizers = [make_optimizer(model, recipe.loop) for model in (codec, judge)]
    shape = (recipe.batch_size, recipe.crop_frames)
    codes = torch.randint(codec.codebook_size, shape, device=device)
    real = torch.randn(shape[0], 1, shape[1] * codec.hop_length, device=device) * 0.1
    precision = precision_of(recipe.loop, device)
    if variant.compile:
        codec, judge = torch.compile(codec), torch.compile(judge)

    def step() -> None:
        with torch.autocast(device.type, precision, enabled=precision != torch.float32):
            made = codec(real, codes)
            total, _ = waveform_losses(made.waveform.float(), real, mel_loss, judge, recipe.weights)
            total = total + recipe.quantizer_weight * made.quantized.loss
        total.backward()
        with torch.autocast(device.type, precision, enabled=precision != torch.float32):
            scores, _ = judge(torch.cat([real, made.waveform.detach().float()]))
            judged = discriminator_loss(
                [score[: len(real)] for score in scores], [score[len(real) :] for score in scores]
            )
        judged.backward()
        for optimizer in optimizers:
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)

    return Work(step, frames=codes.numel(), padded_frames=codes.numel(), precision=precision)


def _waveform_codec(
    size: str, variant: Variant, device: torch.device, random: np.random.Generator
) -> Work:
    """SpeechTokenizer's, at `base` with its own sizes, taught by features that are made up; the
    discriminators learn in every step."""
    name = "speech_tokenizer" if size == "base" else size
    recipe = load_config(
        train_waveform_codec.WaveformCodecRecipe, name, recipe="train_waveform_codec"
    )
    codec = train_waveform_codec.build_untrained(recipe)
    shape = (recipe.batch_size, recipe.crop_frames)
    features = torch.randn(*shape, FEATURE_DIM, device=device)
    objectives = recipe.objectives or (TeacherCosine(kind="teacher_cosine", weight=1.0),)
    learnt: Any = TaughtCodec(codec, objectives, features.flatten(0, 1).cpu()).to(device).train()
    judge: Any = build_discriminator(recipe.discriminator).to(device)
    spectral = train_waveform_codec.SPECTRAL[recipe.spectral](codec.sample_rate).to(device)
    optimizers = [make_optimizer(model, recipe.loop) for model in (learnt, judge)]
    real = torch.randn(shape[0], 1, shape[1] * codec.hop_length, device=device) * 0.1
    precision = precision_of(recipe.loop, device)
    generator = torch.Generator(device).manual_seed(0)
    if variant.compile:
        learnt, judge = torch.compile(learnt), torch.compile(judge)

    def step() -> None:
        with torch.autocast(device.type, precision, enabled=precision != torch.float32):
            made, _, taught = learnt(real, features, generator)
            waveform = made.waveform.float()
            total, _ = waveform_losses(waveform, real, spectral, judge, recipe.weights)
            total = total + taught + recipe.quantizer_weight * made.quantized.loss
        total.backward()
        with torch.autocast(device.type, precision, enabled=precision != torch.float32):
            scores, _ = judge(torch.cat([real, waveform.detach()]))
            judged = discriminator_loss(
                [score[: len(real)] for score in scores],
                [score[len(real) :] for score in scores],
                recipe.discriminator.rules,
            )
        judged.backward()
        for optimizer in optimizers:
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)

    count = shape[0] * shape[1]
    return Work(step, frames=count, padded_frames=count, precision=precision)


BUILDERS = {
    "units": _units,
    "codec": _codec,
    "waveform_codec": _waveform_codec,
    "ar": _ar,
    "nar": _nar,
}
