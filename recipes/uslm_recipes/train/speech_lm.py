"""Train a speech language model in patches (LST): it goes on from speech, and reads and writes it.

    python -m uslm_recipes.train_speech_lm --config mini --out runs/lm \\
        --set corpus=[data/corpus] --set tokens=[runs/tokens/0] --set recognizer=runs/units/model

Level 0 of the tokens is read: the units of any tokenizer. `--set patching.way=aligned` (mixed,
curriculum) cuts patches at words; without a recognizer or durations in the corpus all speech is
cut evenly and stands by itself. `--set model.patch_size=1` is a plain language model.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor, nn

from uslm.models.spans import Span
from uslm.models.speech_lm import SpeechTextBatch, sequence_nll
from uslm.systems.lst.model import PatchLM, PatchLMConfig
from uslm_recipes.cards.export import export
from uslm_recipes.config import recipe_main
from uslm_recipes.data.alignments import Alignments, align
from uslm_recipes.data.batches import SecondsBatches
from uslm_recipes.data.corpus import Corpus
from uslm_recipes.data.rows.speech import SpeechRows, TasksConfig
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
    fraction_done,
    make_accelerator,
    make_optimizer,
    seed_everything,
    start_run,
    update,
    world_of,
)
from uslm_recipes.loop.training_data import BatchLabel, TrainingData
from uslm_tokenizer.codecs.unit_tokenizer.model import UnitTokenizer
from uslm_tokenizer.errors import ConfigError, UserError
from uslm_tokenizer.registry import load_tokenizer
from uslm_tokenizer.sequence.bpe import AcousticBPE
from uslm_tokenizer.sequence.patches import PatchingConfig


@dataclass(frozen=True, kw_only=True)
class SpeechLMRecipe:
    """Everything that decides a run of this recipe."""

    model: PatchLMConfig = field(default_factory=PatchLMConfig)
    """The language model."""
    patching: PatchingConfig = field(default_factory=PatchingConfig)
    """How speech is cut into patches; its `size` has to be the model's."""
    tasks: TasksConfig = field(default_factory=TasksConfig)
    """What a row holds."""
    loop: LoopConfig = field(default_factory=LoopConfig)
    """Length, learning rate and the like."""
    corpus: tuple[str, ...] = ("data/corpus",)
    """Corpus folders, as uslm-prepare makes them."""
    tokens: tuple[str, ...] = ("runs/tokens",)
    """Token folders, as encode makes them; one for each corpus."""
    recognizer: str = ""
    """A unit tokenizer that recognises phonemes, or a codec with one, which aligns texts where the
    corpus tells no durations; empty: rows without durations are speech alone."""
    bpe_vocab_size: int = 0
    """Tokens after merging pairs of units that often follow each other (acoustic BPE); 0: none are
    merged."""
    bpe_utterances: int = 500
    """Utterances that the merges are learnt from, drawn at random."""
    sources: tuple[str, ...] = ()
    """Collections to learn from; empty means all."""
    seconds_per_batch: float = 120.0
    """Seconds of speech in a batch."""
    max_seconds: float = 16.0
    """Longer utterances are left out."""

    def __post_init__(self) -> None:
        if self.patching.size != self.model.patch_size:
            raise ConfigError(
                f"patching.size must be {self.model.patch_size}, as model.patch_size, "
                f"but is {self.patching.size}"
            )
        if self.model.merges or self.model.tokenizer:
            raise ConfigError(
                "model.merges and model.tokenizer must not be given, as the tokens tell them, but "
                f"are {self.model.merges[:3]} and {self.model.tokenizer!r}"
            )
        if self.bpe_vocab_size and self.patching.way != "static":
            raise ConfigError(
                "patching.way must be 'static' where bpe_vocab_size is not 0, as merged units do "
                f"not end with words, but is {self.patching.way!r}"
            )
        if self.bpe_vocab_size and self.bpe_vocab_size < self.model.codebook_size:
            raise ConfigError(
                f"bpe_vocab_size must be at least {self.model.codebook_size}, as "
                f"model.codebook_size, or 0, but is {self.bpe_vocab_size}"
            )
        if self.patching.way == "curriculum" and self.loop.read_ahead:
            raise ConfigError(
                "loop.read_ahead must be 0 where patching.way is 'curriculum', which follows the "
                f"run, but is {self.loop.read_ahead}"
            )


class Objective(nn.Module):
    """The loss as a module's `forward`, as wrappers for several devices need it."""

    def __init__(self, model: PatchLM) -> None:
        super().__init__()
        self.model = model

    def forward(self, batch: SpeechTextBatch) -> tuple[Float[Tensor, ""], dict[str, Tensor]]:
        """Nats a token; and of units and text apart."""
        losses = self.model.token_losses(batch)
        predicted = batch.targets >= 0
        parts = {
            name: (losses * which).sum().detach() / which.sum().clamp(min=1)
            for name, which in (
                ("speech", batch.is_speech),
                ("text", predicted & ~batch.is_speech),
            )
        }
        return losses.sum() / predicted.sum().clamp(min=1), parts


def draw_batch(
    run: Run, recipe: SpeechLMRecipe, model: PatchLM, rows: SpeechRows, batches: SecondsBatches
) -> TrainBatch[SpeechTextBatch]:
    """The next batch; what a row holds is drawn from epoch and utterance alone."""
    epoch = batches.epoch
    chosen = next(batches).tolist()
    done = fraction_done(run.progress, recipe.loop)
    train_batch = [
        rows.row(i, done, np.random.default_rng((recipe.loop.seed, epoch, i))) for i in chosen
    ]
    batch = model.batch(train_batch)
    return TrainBatch(
        batch=batch,
        name=BatchLabel(rows.corpus, chosen),
        audio_seconds=float(rows.corpus.seconds[chosen].sum()),
        tokens=int((batch.patches >= 0).sum()),
        padded_frames=batch.tokens.numel(),
        counts={"tokens": int((batch.targets >= 0).sum())},
    )


@torch.no_grad()
def validate(
    model: PatchLM, tokens: TokenCorpus, indices: Sequence[int], frame_rate: float
) -> Validation:
    """Of held-out speech: nats a token and per second; how often its own end is likelier than that
    of another utterance (pair accuracy); tokens per second; and what a second costs."""
    nats, spoken, units, right, pairs = 0.0, 0, 0, 0.0, 0
    half = [_halves(model, tokens, index) for index in indices]
    for place, (index, (first, second)) in enumerate(zip(indices, half, strict=True)):
        whole = [Span("speech", tokens.codes(index)[0])]
        batch = model.batch([whole])
        nats += float((model.token_losses(batch) * batch.is_speech).sum())
        spoken += int(batch.is_speech.sum())
        units += len(whole[0].ids)
        other = half[(place + 1) % len(half)][1]
        count = min(len(second.ids), len(other.ids))
        if len(half) > 1 and count:
            ends = [Span("speech", span.ids[:count]) for span in (second, other)]
            true, false = sequence_nll(model, [[first, end] for end in ends]).tolist()
            right += float(true < false) + 0.5 * float(true == false)
            pairs += 1
    token_rate = frame_rate * spoken / units
    length = round(10 * token_rate)
    flops = model.forward_flops(length, -(-length // model.config.patch_size)) / 10
    values = {
        "loss": nats / spoken,
        "nats_per_second": nats / units * frame_rate,
        "tokens_per_second": token_rate,
        "mflops_per_second": flops / 1e6,
    }
    if pairs:
        values["pair_accuracy"] = right / pairs
    return Validation(values=values)


def _halves(model: PatchLM, tokens: TokenCorpus, index: int) -> tuple[Span, Span]:
    """Both halves of an utterance, the first in whole patches."""
    units = tokens.codes(index)[0]
    size = model.config.patch_size
    middle = max(size, len(units) // 2 // size * size)
    return Span("speech", units[:middle]), Span("speech", units[middle:])


def train(recipe: SpeechLMRecipe, out: Path, *, resume: bool = False) -> bool:
    """Run the recipe in `out`; True when it is over, and the model saved there as `model`."""
    seed_everything(recipe.loop.seed)
    accelerator = make_accelerator(recipe.loop, out)
    corpus = Corpus.open(recipe.corpus)
    tokens = TokenCorpus.open(corpus, recipe.tokens)
    tokens.header.check_sizes(codebook_size=recipe.model.codebook_size)
    frame_rate = corpus.sample_rate / tokens.header.hop_length
    select = {"max_seconds": recipe.max_seconds, "sources": recipe.sources or None}
    spoken = {  # an utterance shorter than a frame has no units
        split: corpus.select(split=split, **select)  # type: ignore[arg-type]
        for split in ("train", "test")
    }
    spoken = {split: each[tokens.num_frames[each] > 0] for split, each in spoken.items()}
    indices = spoken["train"]
    if not len(indices):
        raise UserError(f"the unit corpus {recipe.tokens} is empty: there is nothing to train on")
    held_out = spoken["test"][:120].tolist()
    with accelerator.main_process_first():
        alignments = find_alignments(recipe, corpus, tokens, indices, out)
    merges = learn_merges(recipe, tokens, indices)
    config = replace(recipe.model, tokenizer=tokens.header.tokenizer, merges=merges)
    model = PatchLM(config).train()
    objective = Objective(model)
    rows = SpeechRows(corpus, tokens, recipe.patching, recipe.tasks, alignments)
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
    data = TrainingData.of(corpus, tokens)
    with start_run(recipe, out, state, accelerator=accelerator, data=data, resume=resume) as run:
        prepared = state.models["model"]

        def check() -> Validation:
            return validate(model, tokens, held_out, frame_rate)

        for train_batch in each_batch(run, lambda: draw_batch(run, recipe, model, rows, batches)):
            with accelerator.accumulate(prepared):
                loss, parts = prepared(train_batch.batch.to(accelerator.device))
                loss = loss * train_batch.weights["tokens"]
                update(run, loss)
            after_step(run, Losses(loss, parts), train_batch, validate=check if held_out else None)
        if complete := finish_run(run):
            export(run, "model", {"model": model})
    return complete


def learn_merges(
    recipe: SpeechLMRecipe, tokens: TokenCorpus, indices: NDArray[np.int64]
) -> tuple[tuple[int, int], ...]:
    """Merges of acoustic BPE, the same whenever the run begins anew or goes on."""
    if not recipe.bpe_vocab_size:
        return ()
    chosen = np.random.default_rng(recipe.loop.seed).permutation(indices)[: recipe.bpe_utterances]
    rows = [tokens.codes(int(i))[0] for i in chosen]
    bpe = AcousticBPE.learn(rows, recipe.model.codebook_size, recipe.bpe_vocab_size)
    return bpe.config.merges


def find_alignments(
    recipe: SpeechLMRecipe,
    corpus: Corpus,
    tokens: TokenCorpus,
    indices: NDArray[np.int64],
    out: Path,
) -> Alignments | None:
    """Frames where the symbols of the texts begin; None where nothing asks for it."""
    if recipe.patching.way == "static" and not recipe.tasks.interleaved:
        return None
    aligned = [i for i in indices.tolist() if len(corpus.text_ids[i])]
    recognizer: UnitTokenizer | None = None
    if recipe.recognizer:
        loaded = load_tokenizer(recipe.recognizer)
        found: object = getattr(loaded, "units", loaded)
        if not isinstance(found, UnitTokenizer):
            raise ConfigError(
                "recognizer must be a unit tokenizer or a codec with one, "
                f"but is {recipe.recognizer}"
            )
        recognizer = found
    else:
        aligned = [i for i in aligned if corpus.utterances[i].durations]
        if not aligned and recipe.patching.way != "static":
            raise ConfigError(
                f"patching.way {recipe.patching.way!r} needs a recognizer, as no utterance of the "
                "corpus tells the durations of its symbols"
            )
    if not aligned:
        return None
    return align(corpus, tokens, recognizer, np.array(aligned, dtype=np.int64), out)


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line."""
    return recipe_main("train_speech_lm", SpeechLMRecipe, train, arguments)


if __name__ == "__main__":
    raise SystemExit(main())
