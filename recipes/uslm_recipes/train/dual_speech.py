"""Train DualSpeechLM: a language model that answers in text and understanding units, and the
decoder that speaks them.

    python -m uslm_recipes.train_dual_speech --config mini --out runs/lm \\
        --set corpus=[data/corpus] --set units_tokens=[runs/units_tokens/0] \\
        --set backbone=HuggingFaceTB/SmolLM2-135M
    python -m uslm_recipes.train_dual_speech --config mini_decoder --out runs/decoder \\
        --set corpus=[data/corpus] --set units_tokens=[runs/units_tokens/0] \\
        --set codes_tokens=[runs/codes_tokens/0] --set units=runs/units/model \\
        --set codec=runs/simcodec/model --set language_model=runs/lm/model

Units are those of any tokenizer; USTokenizer's come from `train_judged_units --config us_mini`.
The second run leaves `system`, a folder that `uslm answer` takes, where all its parts are named.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from uslm.generate.continuation import go_on
from uslm.generate.sampling import Sampling
from uslm.models.span_lm import SpanBatch, SpanLMConfig, SpanLMSizes
from uslm.models.speech_lm import SpeechTextBatch
from uslm.models.teacher_forcing import NOT_PREDICTED
from uslm.systems.dual_speech.decoder import DualDecoder, kinds_of
from uslm.systems.dual_speech.model import DualLM
from uslm.systems.dual_speech.speaker_vector import SPEAKER_DIM
from uslm.systems.tiny_folder import save_parts
from uslm.text.subwords import VOCAB_FILE, SubwordVocab
from uslm_recipes.cards.export import export
from uslm_recipes.config import recipe_main
from uslm_recipes.data.batches import SecondsBatches
from uslm_recipes.data.corpus import Corpus
from uslm_recipes.data.rows.answer import AnswerRows, AnswerTasks, read_answers
from uslm_recipes.data.tokens import TokenCorpus
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
    seed_everything,
    start_run,
    update,
    world_of,
)
from uslm_recipes.loop.training_data import BatchLabel, TrainingData
from uslm_recipes.train.lora import LoRAConfig, add_lora, merge_lora
from uslm_tokenizer.base import AudioTokenizer
from uslm_tokenizer.errors import ConfigError, UserError
from uslm_tokenizer.objectives.frozen_lm import FrozenLM
from uslm_tokenizer.registry import load_tokenizer
from uslm_tokenizer.weight_hash import weight_hash
from uslm_tokenizer.whole_files import write_atomically

NUM_WRITTEN = 8
"""Held-out questions that are answered in a validation."""
Batch = SpeechTextBatch | SpanBatch


@dataclass(frozen=True, kw_only=True)
class DualSpeechRecipe:
    """Everything that decides a run of this recipe."""

    stage: Literal["lm", "decoder"] = "lm"
    """Which of the two: the language model, or the decoder from units to codes."""
    backbone: str = "HuggingFaceTB/SmolLM2-135M"
    """The causal language model to begin with: a folder or a model of the Hub."""
    backbone_layers: int = 0
    """Its first layers that are used; 0: all."""
    lora: LoRAConfig | None = field(default_factory=LoRAConfig)
    """What learns beside the backbone, which stays as it is; null: the backbone learns."""
    tasks: AnswerTasks = field(default_factory=AnswerTasks)
    """What the language model is asked."""
    semantic_weight: float = 1.0
    """Of the loss of units, beside that of text."""
    decoder: SpanLMSizes = field(default_factory=lambda: SpanLMSizes(num_layers=6))
    """The decoder to train."""
    text_alone: float = 1 / 3
    """Share of rows in which the decoder is given the text without the units."""
    units_alone: float = 1 / 3
    """Share of rows in which it is given the units without the text; the rest has both."""
    units: str = ""
    """The tokenizer of the units, for a folder that answers."""
    codec: str = ""
    """The codec of the codes, for the same."""
    language_model: str = ""
    """A trained language model, for the same."""
    loop: LoopConfig = field(default_factory=LoopConfig)
    """Length, learning rate and the like."""
    corpus: tuple[str, ...] = ("data/corpus",)
    """Corpus folders, as uslm-prepare makes them."""
    units_tokens: tuple[str, ...] = ("runs/units_tokens/0",)
    """Token folders of the units, as encode makes them; one for each corpus."""
    codes_tokens: tuple[str, ...] = ("runs/codes_tokens/0",)
    """The same of the codec, of one code a frame; the language model does without."""
    answers: str = ""
    """A file of lines {"question": id, "answer": id}; empty: a question is answered by saying it
    again."""
    sources: tuple[str, ...] = ()
    """Collections to learn from; empty means all."""
    seconds_per_batch: float = 60.0
    """Seconds of questions in a batch."""
    max_seconds: float = 10.0
    """Longer utterances are left out."""

    def __post_init__(self) -> None:
        alone = (self.text_alone, self.units_alone)
        if min(alone) < 0 or sum(alone) > 1:
            raise ConfigError(
                f"text_alone and units_alone must be shares of at most 1 together, but are {alone}"
            )
        if self.semantic_weight < 0:
            raise ConfigError(f"semantic_weight must be 0 or more, but is {self.semantic_weight}")
        if self.stage == "lm" and self.loop.ema_decay is not None:
            raise ConfigError(
                "loop.ema_decay must be null for the language model, whose matrices are merged at "
                f"the end, but is {self.loop.ema_decay}"
            )


class LMObjective(nn.Module):
    """The loss of text and, by its weight, that of units (the semantic loss)."""

    def __init__(self, model: DualLM, semantic_weight: float) -> None:
        super().__init__()
        self.model, self.semantic_weight = model, semantic_weight

    def forward(self, batch: SpeechTextBatch) -> dict[str, Float[Tensor, ""]]:
        """Nats a token of each."""
        losses = self.model.token_losses(batch)
        text = (batch.targets != NOT_PREDICTED) & ~batch.is_speech
        return {
            name: (losses * which).sum() / which.sum().clamp(min=1)
            for name, which in (("text", text), ("units", batch.is_speech))
        }

    def weights(self, counted: Mapping[str, Tensor | float]) -> dict[str, Tensor | float]:
        """Weights of both, where a batch comes in parts."""
        return {"text": counted["text"], "units": counted["units"] * self.semantic_weight}


class DecoderObjective(nn.Module):
    """The loss of codes."""

    def __init__(self, model: DualDecoder) -> None:
        super().__init__()
        self.model = model

    def forward(self, batch: SpanBatch) -> dict[str, Float[Tensor, ""]]:
        """Nats a code."""
        return {"codes": self.model.loss(batch)}

    def weights(self, counted: Mapping[str, Tensor | float]) -> dict[str, Tensor | float]:
        """The weight, where a batch comes in parts."""
        return {"codes": counted["codes"]}


@dataclass(frozen=True)
class Stage:
    """Objective of the stage, and the makers of its rows."""

    objective: LMObjective | DecoderObjective
    batch: Callable[[Sequence[int], Sequence[np.random.Generator]], Batch]
    validate: Callable[[Sequence[int]], dict[str, float]]
    finish: Callable[[Run], None]

    def counts(self, batch: Batch) -> dict[str, int]:
        """Targets of each loss."""
        predicted = batch.targets != NOT_PREDICTED
        if isinstance(batch, SpanBatch):
            return {"codes": int(predicted.sum())}
        speech = int(batch.is_speech.sum())
        return {"text": int(predicted.sum()) - speech, "units": speech}


def lm_stage(recipe: DualSpeechRecipe, rows: AnswerRows) -> Stage:
    """The language model, and its text beside it."""
    loaded = FrozenLM.load(recipe.backbone)
    if loaded.text_tokenizer is None:
        raise ConfigError(f"backbone {recipe.backbone!r} came without a text tokenizer")
    subwords = loaded.text_tokenizer.backend_tokenizer
    vocab = SubwordVocab(subwords)
    header = rows.units.header
    causal_lm = loaded.model.requires_grad_(True)
    keep_layers(causal_lm, recipe.backbone_layers)
    model = DualLM.from_causal_lm(
        causal_lm, codebook_size=header.codebook_size, tokenizer=header.tokenizer
    )
    handle = None if recipe.lora is None else add_lora(model.body, recipe.lora)
    objective = LMObjective(model.train(), recipe.semantic_weight)

    def batch(chosen: Sequence[int], randoms: Sequence[np.random.Generator]) -> SpeechTextBatch:
        both = zip(chosen, randoms, strict=True)
        made = [rows.row(i, recipe.tasks, vocab, random) for i, random in both]
        return model.batch(made, [1] * len(made))

    def check(indices: Sequence[int]) -> dict[str, float]:
        right = [_answers_right(model, rows, i, vocab) for i in indices[:NUM_WRITTEN]]
        return {"texts_right": sum(right) / len(right)}

    def finish(run: Run) -> None:
        if handle is not None:
            model.body = merge_lora(handle)
        export(run, "model", {"model": model})
        if run.rank.is_main:
            text = subwords.to_str()
            write_atomically(
                run.out / "model" / VOCAB_FILE, lambda path: path.write_text(text, "utf-8")
            )
        run.rank.barrier()

    return Stage(objective, batch, check, finish)


def keep_layers(causal_lm: Any, count: int) -> None:
    """Drop all layers after the first `count`, in place; 0 keeps all."""
    layers = getattr(causal_lm.base_model, "layers", None)
    found = causal_lm.config.num_hidden_layers
    if not count:
        return
    if layers is None or not 0 < count <= found:
        raise ConfigError(f"backbone_layers must be at most {found}, or 0, but is {count}")
    del layers[count:]
    causal_lm.config.num_hidden_layers = count


@torch.no_grad()
def _answers_right(model: DualLM, rows: AnswerRows, index: int, vocab: SubwordVocab) -> bool:
    """Whether the likeliest text is the answer's, letter by letter."""
    only = AnswerTasks(spoken=1.0, speak=0.0)
    question, text, _ = rows.row(index, only, vocab, np.random.default_rng(0))
    said = go_on(
        model, [question], "text", max_tokens=len(text.ids) + 4,
        sampling=Sampling(temperature=0.0), generator=torch.Generator(),
    )  # fmt: skip
    return said.tolist() == text.ids.tolist()


def decoder_stage(recipe: DualSpeechRecipe, rows: AnswerRows) -> Stage:
    """The acoustic decoder."""
    units, codes = rows.units, TokenCorpus.open(rows.corpus, recipe.codes_tokens)
    if codes.header.num_codebooks != 1:
        raise ConfigError(
            f"codes_tokens must hold one code a frame, but hold {codes.header.num_codebooks}; see "
            "kept_codes of train_waveform_codec"
        )
    rate = rows.corpus.sample_rate
    kinds = kinds_of(
        speaker_dim=SPEAKER_DIM,
        num_units=units.header.codebook_size, unit_rate=rate / units.header.hop_length,
        num_codes=codes.header.codebook_size, code_rate=rate / codes.header.hop_length,
    )  # fmt: skip
    parts = open_parts(recipe, units, codes)
    model = DualDecoder(SpanLMConfig(kinds=kinds, **vars(recipe.decoder))).train()
    alone = (recipe.text_alone, recipe.units_alone)

    def batch(chosen: Sequence[int], randoms: Sequence[np.random.Generator]) -> SpanBatch:
        both = zip(chosen, randoms, strict=True)
        return model.batch([rows.decoder_row(i, codes, r, alone=alone) for i, r in both])

    def finish(run: Run) -> None:
        export(run, "model", {"model": model})
        if run.rank.is_main and parts:
            system = {**parts, "decoder": DualDecoder.from_pretrained(run.out / "model")}
            save_parts("dual_speech", system, run.out / "system")
            text = (Path(recipe.language_model) / VOCAB_FILE).read_bytes()
            write_atomically(run.out / "system" / VOCAB_FILE, lambda path: path.write_bytes(text))
        run.rank.barrier()

    return Stage(DecoderObjective(model), batch, lambda _: {}, finish)


def open_parts(recipe: DualSpeechRecipe, units: TokenCorpus, codes: TokenCorpus) -> dict[str, Any]:
    """All that a folder which answers holds beside the decoder; nothing where a part is not named.

    Raises before any training where they do not belong together.
    """
    if not (recipe.units and recipe.codec and recipe.language_model):
        return {}
    parts: dict[str, Any] = {}
    for name, place, tokens in (("units", recipe.units, units), ("codec", recipe.codec, codes)):
        tokenizer: AudioTokenizer = load_tokenizer(place)
        found = weight_hash(tokenizer=tokenizer)
        if found != tokens.header.tokenizer:
            raise UserError(
                f"{name} must be the tokenizer {tokens.header.tokenizer}, which made the tokens, "
                f"but {place} is {found}"
            )
        parts[name] = tokenizer
    SubwordVocab.load(Path(recipe.language_model) / VOCAB_FILE)
    parts["lm"] = DualLM.from_pretrained(recipe.language_model)
    parts["lm"].check_tokenizer(units.header.tokenizer)
    return parts


@torch.no_grad()
def validate(stage: Stage, indices: Sequence[int], device: torch.device) -> Validation:
    """Of held-out speech: each loss; and which share of questions is answered with the right
    text."""
    sums: dict[str, float] = {}
    counts: dict[str, int] = {}
    for place in range(0, len(indices), NUM_WRITTEN):
        some = indices[place : place + NUM_WRITTEN]
        batch = stage.batch(some, [np.random.default_rng((0, i)) for i in some])
        counted = stage.counts(batch)
        for name, loss in stage.objective(batch.to(device)).items():
            sums[name] = sums.get(name, 0.0) + float(loss) * counted[name]
            counts[name] = counts.get(name, 0) + counted[name]
    values = {name: total / max(1, counts[name]) for name, total in sums.items()}
    return Validation(values={"loss": sum(values.values()), **values, **stage.validate(indices)})


def train(recipe: DualSpeechRecipe, out: Path, *, resume: bool = False) -> bool:
    """Run the recipe in `out`; True when it is over, and the model saved there as `model`."""
    seed_everything(recipe.loop.seed)
    accelerator = make_accelerator(recipe.loop, out)
    device = accelerator.device
    corpus = Corpus.open(recipe.corpus)
    units = TokenCorpus.open(corpus, recipe.units_tokens)
    kept = {"with_text": True, "max_seconds": recipe.max_seconds}
    indices = corpus.select(split="train", sources=recipe.sources or None, **kept)  # type: ignore[arg-type]
    if not len(indices):
        raise UserError(f"there is nothing to train on in {recipe.corpus} of {recipe.sources}")
    held_out = corpus.select(split="test", **kept)  # type: ignore[arg-type]
    answers: dict[int, int] = {}
    if recipe.answers and recipe.stage == "lm":
        for some in (indices, held_out):
            answers |= read_answers(recipe.answers, corpus, some)
        indices, held_out = (
            np.array([i for i in some if int(i) in answers], dtype=np.int64)
            for some in (indices, held_out)
        )
        if not len(indices):
            raise UserError(f"no line of {recipe.answers} is of the utterances to train on")
    rows = AnswerRows(corpus, units, answers)
    stage = (lm_stage if recipe.stage == "lm" else decoder_stage)(recipe, rows)
    objective = stage.objective
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
    )
    chosen = held_out[:32].tolist()
    data = TrainingData.of(corpus, units)
    with start_run(recipe, out, state, accelerator=accelerator, data=data, resume=resume) as run:
        prepared = state.models["model"]

        def draw() -> TrainBatch[Batch]:
            return draw_batch(recipe, stage, corpus, batches)

        def check() -> Validation:
            return validate(stage, chosen, device)

        for train_batch in each_batch(run, draw):
            with accelerator.accumulate(prepared):
                found = prepared(train_batch.batch.to(device))
                weights = objective.weights(train_batch.weights)
                loss = torch.stack([found[name] * weights[name] for name in found]).sum()
                update(run, loss)
            parts = {name: each.detach() for name, each in found.items()}
            after_step(run, Losses(loss, parts), train_batch, validate=check if chosen else None)
        if complete := finish_run(run):
            stage.finish(run)
    return complete


def draw_batch(
    recipe: DualSpeechRecipe, stage: Stage, corpus: Corpus, batches: SecondsBatches
) -> TrainBatch[Batch]:
    """The next batch; what a row holds is drawn from epoch and utterance alone."""
    epoch = batches.epoch
    chosen = next(batches).tolist()
    batch = stage.batch(
        chosen, [np.random.default_rng((recipe.loop.seed, epoch, i)) for i in chosen]
    )
    return TrainBatch(
        batch=batch,
        name=BatchLabel(corpus, chosen),
        audio_seconds=float(corpus.seconds[chosen].sum()),
        tokens=int((batch.targets != NOT_PREDICTED).sum()),
        padded_frames=batch.tokens.numel(),
        counts=stage.counts(batch),
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line."""
    return recipe_main("train_dual_speech", DualSpeechRecipe, train, arguments)


if __name__ == "__main__":
    raise SystemExit(main())
