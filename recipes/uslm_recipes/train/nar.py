"""Train stage 2, the acoustic transformer: units and a voice's codes -> all codebooks.

    python -m uslm_recipes.train_nar --config mini --out runs/nar \\
        --set corpus=[data/corpus] --set tokens=[runs/tokens/0] \\
        --set tokenizer=runs/codec/model --max-minutes 20

Any speech trains it, with text or without. The prompt is a segment of another utterance of the
speaker, or of the same one; a row may begin inside the utterance with frames that are known, as
when speech is made block by block.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Int
from numpy.typing import NDArray
from torch import Tensor, nn

from uslm.generate.codebooks import fill_codebooks
from uslm.models.base import AcousticBatch, AcousticModel, AcousticRow, CodeModel, batch_rows
from uslm.models.packing import pack_rows
from uslm.systems.registry import load_model, model_class
from uslm.systems.two_stage.conv_regressor import ConvRegressor, VoicedBatch, voiced_batch
from uslm.systems.two_stage.nar import AcousticLM
from uslm.systems.two_stage.regressor import AcousticRegressor
from uslm_recipes.cards.export import export
from uslm_recipes.config import recipe_main
from uslm_recipes.data.alignments import align_for
from uslm_recipes.data.batches import SecondsBatches
from uslm_recipes.data.corpus import Corpus
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
    seed_everything,
    start_run,
    update,
    world_of,
)
from uslm_recipes.loop.pictures import count_codes, draw_codebooks, draw_mels
from uslm_recipes.loop.training_data import BatchLabel, TrainingData
from uslm_recipes.train import samples
from uslm_recipes.train.acoustic_objectives import CodeObjective, LMObjective, RegressorObjective
from uslm_tokenizer.codecs.source_filter.model import SourceFilterCodec
from uslm_tokenizer.codecs.unit_codec.model import UnitCodec
from uslm_tokenizer.config import from_dict
from uslm_tokenizer.errors import ConfigError
from uslm_tokenizer.registry import load_tokenizer

Objective = RegressorObjective | LMObjective | CodeObjective
NUM_MEASURED = 100
"""Utterances from which a regressor learns where the decoder's input lies."""


@dataclass(frozen=True, kw_only=True)
class NARRecipe:
    """Everything that decides a run of this recipe."""

    kind: str = "conv_regressor"
    """Which model of uslm/systems/registry.py: any stage 2."""
    model: dict[str, Any] = field(default_factory=dict)
    """Its config, by key."""
    initial: str = ""
    """A trained stage 2 to go on from; it brings its own kind, config and vectors."""
    loop: LoopConfig = field(default_factory=LoopConfig)
    """Length, learning rate and the like."""
    corpus: tuple[str, ...] = ("data/corpus",)
    """Corpus folders, as uslm-prepare makes them."""
    tokens: tuple[str, ...] = ("runs/tokens",)
    """Token folders, as encode makes them; one for each corpus."""
    sources: tuple[str, ...] = ()
    """Collections to learn from; empty means all."""
    seconds_per_batch: float = 200.0
    """Seconds of target speech in a batch."""
    rows: RowShape = field(default_factory=RowShape)
    """Shape of a row."""
    packed_frames: int = 0
    """acoustic_regressor: frames of a row that utterances share, so that little is padded; 0: each
    has its own. Wide models gain, narrow ones lose it again in attention."""
    tokenizer: str = ""
    """The codec whose codes are learnt: a regressor needs it; an acoustic_lm learns its decoder's
    expected input, too, where it is given."""
    input_weight: float = 10.0
    """acoustic_lm: weight of that input's error."""
    ahead_weight: float = 0.3
    """acoustic_lm: weight of the codebooks after the next one."""
    label_smoothing: float = 0.05
    """Of models that score codes: probability mass that the target code gives to the others."""


@dataclass(frozen=True)
class Rows:
    """A batch of rows; how many codebooks each shows is drawn."""

    rows: AcousticBatch | VoicedBatch
    num_known: Int[Tensor, " b"]


def draw_num_known(groups: Sequence[int], random: np.random.Generator) -> int:
    """Codebooks that a row shows: 1, or as many as there are after some passes of generation.

    Low ones are drawn more often, as all others lean on them.
    """
    starts = np.cumsum([1, *groups[:-1]])
    return int(random.choice(starts, p=(1 / starts) / (1 / starts).sum()))


def draw_batch(
    recipe: NARRecipe, model: AcousticModel, rows: AcousticRows, batches: SecondsBatches
) -> TrainBatch[Rows]:
    """The next batch. What a row shows depends on epoch and utterance alone; so a resumed run
    draws the same, and so do more processes."""
    seed, epoch = recipe.loop.seed, batches.epoch
    chosen = next(batches).tolist()
    train_batch, codebooks = [], []
    for index in chosen:
        random = np.random.default_rng((seed, epoch, index))
        train_batch.append(rows.row(index, recipe.rows, random))
        codebooks.append(draw_num_known(_groups(model), random))
    cpu = torch.device("cpu")
    most = recipe.packed_frames
    batch: AcousticBatch | VoicedBatch
    if isinstance(model, ConvRegressor):
        batch = voiced_batch(train_batch, cpu)
    elif isinstance(model, CodeModel) and not isinstance(model, AcousticLM):
        batch = model.batch(train_batch)  # with positions of its own
    else:
        batch = pack_rows(train_batch, cpu, most) if most else batch_rows(train_batch, cpu)
    return TrainBatch(
        batch=Rows(batch, torch.tensor(codebooks[: len(batch.codes)])),
        name=BatchLabel(rows.corpus, chosen),
        audio_seconds=float(rows.corpus.seconds[chosen].sum()),
        tokens=int(batch.frame_mask.sum()),
        padded_frames=batch.frame_mask.numel(),
        counts={"frames": int(batch.is_target.sum())},
    )


@torch.no_grad()
def validate(
    recipe: NARRecipe,
    objective: Objective,
    prepared: nn.Module,
    rows: AcousticRows,
    indices: list[int],
    codec: UnitCodec | SourceFilterCodec | None,
) -> Validation:
    """On held-out speakers: the error of the decoder's input, as a share of its variance, and of an
    acoustic_lm the cross-entropy of the first codebook of each pass, nats a code; and some
    utterances that the model fills, decoded."""
    random, model = np.random.default_rng(0), objective.model
    train_batch = [rows.row(index, recipe.rows.clean(), random) for index in indices]
    found: dict[str, list[float]] = {}
    for start in range(0, len(train_batch), 8):
        batch = model.batch(train_batch[start : start + 8])
        for codebook in np.cumsum([1, *_groups(model)[:-1]]).tolist():
            num_known = torch.full((len(batch.codes),), codebook, device=batch.codes.device)
            for name, value in prepared(batch, num_known)[1].items():
                found.setdefault(f"{name}_{codebook}", []).append(float(value))
    means = {name: float(np.mean(values)) for name, values in found.items()}
    shown = []
    if codec is not None:
        few = zip(range(recipe.loop.samples), indices, train_batch, strict=False)
        shown = [speak(f"filled{n}", objective, codec, rows, index, row) for n, index, row in few]
    return samples.together({"loss": float(np.mean(list(means.values()))), **means}, shown)


def speak(
    name: str,
    objective: Objective,
    codec: UnitCodec | SourceFilterCodec,
    rows: AcousticRows,
    index: int,
    row: AcousticRow,
) -> Validation:
    """An utterance whose codes stage 2 has filled, beside the same from its true codes."""
    vectors = objective.vectors if isinstance(objective, LMObjective) else None
    [filled] = fill_codebooks(objective.model, [row], vectors=vectors)
    true = row.codes[:, row.num_context :]
    made, wanted = (codec.decode(c[None].to(codec.device))[0, 0] for c in (filled, true))
    waveforms = {"from true codes": wanted, "from filled codes": made}
    counts = {
        f"codebook {k}": count_codes(codes, codec.codebook_size)
        for k, codes in enumerate(filled[1:], start=1)
    }
    rate = codec.sample_rate
    return Validation(
        values={},
        sounds={f"{name}_true": (wanted, rate), f"{name}_made": (made, rate)},
        pictures={
            f"{name}_mel": draw_mels(waveforms, rate),
            f"{name}_codebooks": draw_codebooks(counts),
        },
        texts={f"{name}_text": rows.corpus.utterances[index].text},
    )


def build(
    recipe: NARRecipe,
    codec: UnitCodec | SourceFilterCodec | None,
    tokens: TokenCorpus,
    indices: NDArray[np.int64],
) -> Objective:
    """The model, in its objective."""
    model = load_model(recipe.initial).train() if recipe.initial else new_model(recipe)
    if isinstance(model, AcousticModel):
        config: Any = model.config
        tokens.header.check_sizes(
            num_codebooks=model.num_codebooks, codebook_size=config.codebook_size
        )
    if isinstance(model, AcousticLM):
        if recipe.packed_frames:
            raise ConfigError("packed_frames must be 0 for an acoustic_lm: its rows have codebooks")
        return LMObjective(
            model,
            None if codec is None else codec.codebook_vectors(),
            input_weight=recipe.input_weight,
            ahead_weight=recipe.ahead_weight,
            label_smoothing=recipe.label_smoothing,
        )
    if isinstance(model, CodeModel):
        if recipe.packed_frames:
            raise ConfigError(f"packed_frames must be 0 for a {model.model_type}: it cannot pack")
        return CodeObjective(model, label_smoothing=recipe.label_smoothing)
    if not isinstance(model, (AcousticRegressor, ConvRegressor)):
        raise ConfigError(f"initial must name a stage 2, but names a {model.model_type}")
    if isinstance(model, ConvRegressor) != (tokens.header.pitch_codebook is not None):
        raise ConfigError(
            "a conv_regressor, and no other model, learns from tokens of a codec with pitch, but "
            f"stage 2 is a {model.model_type}"
        )
    if recipe.packed_frames and isinstance(model, ConvRegressor):
        raise ConfigError("packed_frames must be 0 for a conv_regressor: its rows stand alone")
    if recipe.initial:
        return RegressorObjective(model)
    if codec is None:
        raise ConfigError("tokenizer must name the codec whose codes a regressor learns")
    if isinstance(model, ConvRegressor):
        model.learn_vectors(codec.codebook_vectors())
        return RegressorObjective(model)
    some = indices[:: max(1, len(indices) // NUM_MEASURED)].tolist()
    model.learn_vectors(codec.codebook_vectors(), [tokens.codes(index) for index in some])
    return RegressorObjective(model)


def new_model(recipe: NARRecipe) -> Any:
    """The model that the recipe describes, untrained."""
    found = model_class(recipe.kind)
    if not issubclass(found, AcousticModel):
        raise ConfigError(f"kind must name a stage 2, but names a {recipe.kind}")
    return found(from_dict(found.config_class, recipe.model, where="model"))


def _groups(model: AcousticModel) -> tuple[int, ...]:
    return model.codebook_groups if isinstance(model, CodeModel) else (1,)


def _codec(recipe: NARRecipe) -> UnitCodec | SourceFilterCodec | None:
    codec = load_tokenizer(recipe.tokenizer) if recipe.tokenizer else None
    if codec is not None and not isinstance(codec, (UnitCodec, SourceFilterCodec)):
        raise ConfigError(f"tokenizer must be a codec with units, but is {recipe.tokenizer}")
    return codec


def train(recipe: NARRecipe, out: Path, *, resume: bool = False) -> bool:
    """Run the recipe in `out`; True when it is over, and the model saved there as `model`."""
    seed_everything(recipe.loop.seed)
    accelerator = make_accelerator(recipe.loop, out)
    corpus = Corpus.open(recipe.corpus)
    tokens = TokenCorpus.open(corpus, recipe.tokens)
    indices = corpus.select(split="train", min_seconds=1.0, sources=recipe.sources or None)
    codec = _codec(recipe)
    objective = build(recipe, codec, tokens, indices)
    model = objective.model
    held_out = corpus.select(split="test", min_seconds=1.0, max_seconds=8.0)[:48]
    with accelerator.main_process_first():
        every = np.concatenate([indices, held_out])
        alignments = align_for(model, codec, corpus, tokens, every, out)
    rows, held_out_rows = (
        AcousticRows(corpus, tokens, each, alignments) for each in (indices, held_out)
    )
    batches = SecondsBatches(
        corpus.seconds,
        recipe.seconds_per_batch,
        recipe.loop.seed,
        indices=indices,
        world=world_of(accelerator),
    )
    state = TrainingState(
        models={"model": objective},
        optimizers={"model": make_optimizer(objective, recipe.loop)},
        streams={"batches": batches},
        shardable=True,
    )
    data = TrainingData.of(corpus, tokens)
    with start_run(recipe, out, state, accelerator=accelerator, data=data, resume=resume) as run:
        prepared = state.models["model"]
        decoder = None if run.is_sharded else codec

        def check() -> Validation:
            few = held_out.tolist()
            return validate(recipe, objective, prepared, held_out_rows, few, decoder)

        for train_batch in each_batch(run, lambda: draw_batch(recipe, model, rows, batches)):
            batch = train_batch.batch.rows.to(accelerator.device)
            with accelerator.accumulate(prepared):
                loss, parts = prepared(batch, train_batch.batch.num_known.to(accelerator.device))
                loss = loss * train_batch.weights["frames"]
                update(run, loss)
            after_step(
                run, Losses(loss, parts), train_batch, validate=check if len(held_out) else None
            )
        if complete := finish_run(run):
            export(run, "model", {"model": model})
    return complete


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line."""
    return recipe_main("train_nar", NARRecipe, train, arguments)


if __name__ == "__main__":
    raise SystemExit(main())
