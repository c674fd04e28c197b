"""Train Make-A-Voice's language models: text to units, and units to the codes of a voice.

    python -m uslm_recipes.train_make_a_voice --config mini_semantic --out runs/semantic \\
        --set corpus=[data/corpus] --set units=runs/units/model
    python -m uslm_recipes.train_make_a_voice --config mini --out runs/acoustic \\
        --set corpus=[data/corpus] --set units=runs/units/model --set codec=runs/codec/model \\
        --set semantic=runs/semantic/model --set vocoder=runs/vocoder/model

The second needs neither texts nor names. With `semantic` and `vocoder` it leaves `system` as well,
a folder that speaks, converts and sings. The vocoder is trained by `train_code_vocoder`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np
import torch

from uslm.models.span_lm import SpanBatch, SpanLMConfig, SpanLMSizes, TokenKind
from uslm.models.spans import Span
from uslm.systems.make_a_voice.model import (
    PITCH,
    PROMPT,
    MakeAVoiceLM,
    acoustic_kinds,
    semantic_kinds,
)
from uslm.systems.make_a_voice.pipeline import VoiceCascade
from uslm.systems.make_a_voice.vocoder import CodeVocoder
from uslm.systems.model_parts import Parts
from uslm.systems.tiny_folder import save_parts
from uslm.text.vocab import PhonemeVocab
from uslm_recipes.cards.export import export
from uslm_recipes.config import recipe_main
from uslm_recipes.data.batches import SecondsBatches
from uslm_recipes.data.corpus import Corpus
from uslm_recipes.data.corpus_format import PHONEMES
from uslm_recipes.data.encoding import encode_corpus
from uslm_recipes.data.fitting import check_sample_rate, load_units
from uslm_recipes.data.rows.voice import ReadRows, VoiceRows, WindowsConfig
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
from uslm_recipes.loop.loss_module import LossModule
from uslm_recipes.loop.training_data import BatchLabel, TrainingData
from uslm_tokenizer.base import AudioTokenizer
from uslm_tokenizer.codecs.pitch_tokens.model import PitchTokens, PitchTokensConfig
from uslm_tokenizer.errors import ConfigError
from uslm_tokenizer.registry import load_tokenizer


@dataclass(frozen=True, kw_only=True)
class MakeAVoiceRecipe:
    """Everything that decides a run of this recipe."""

    stage: Literal["semantic", "acoustic"] = "acoustic"
    """Which of the two: text to units, or units to codes."""
    model: SpanLMSizes = field(default_factory=SpanLMSizes)
    """The model to train."""
    units: str = "runs/units/model"
    """The tokenizer of the units, or a codec whose first codes they are; it stays as it is."""
    codec: str = "runs/codec/model"
    """The codec of the codes; the semantic stage does without."""
    num_codebooks: int = 3
    """The codec's first codebooks, as many as are written."""
    unit_tokens: tuple[str, ...] = ()
    """Token folders of the units, one for each corpus; empty: they are made in the run's folder."""
    code_tokens: tuple[str, ...] = ()
    """The same of the codes."""
    pitch_tokens: tuple[str, ...] = ()
    """The same of the pitch."""
    semantic: str = ""
    """A trained semantic stage, for a folder that speaks."""
    vocoder: str = ""
    """A trained vocoder of as many codebooks, for a folder that speaks."""
    windows: WindowsConfig = field(default_factory=WindowsConfig)
    """What a row is cut from an utterance."""
    loop: LoopConfig = field(default_factory=LoopConfig)
    """Length, learning rate and the like."""
    corpus: tuple[str, ...] = ("data/corpus",)
    """Corpus folders, as uslm-prepare makes them."""
    sources: tuple[str, ...] = ()
    """Collections to learn from; empty means all."""
    seconds_per_batch: float = 60.0
    """Seconds of speech in a batch."""
    min_seconds: float = 1.0
    """Shorter utterances are left out, seconds."""

    def __post_init__(self) -> None:
        if self.num_codebooks < 1:
            raise ConfigError(f"num_codebooks must be 1 or more, but is {self.num_codebooks}")


@dataclass(frozen=True)
class Material:
    """Tokenizers, and the rows of the stage."""

    units: AudioTokenizer
    pitch: PitchTokens
    codec: AudioTokenizer | None
    rows: ReadRows | VoiceRows
    kinds: tuple[TokenKind, ...]

    def spans(
        self, index: int, random: np.random.Generator, without: tuple[str, ...] | None = None
    ) -> list[Span]:
        """A row of an utterance."""
        if isinstance(self.rows, ReadRows):
            return self.rows.row(index)
        return self.rows.row(index, random, without=without)


def open_material(recipe: MakeAVoiceRecipe, corpus: Corpus, out: Path) -> Material:
    """Tokenizers and tokens of the recipe; those that are not given are made. ConfigError where
    they do not fit together."""
    units = load_units(recipe.units)
    codec = load_tokenizer(recipe.codec) if recipe.stage == "acoustic" else None
    for name, each in (("units", units), ("codec", codec)):
        if each is not None:
            check_sample_rate(name, each, corpus)
    pitch = PitchTokens(
        PitchTokensConfig(sample_rate=units.sample_rate, hop_length=units.hop_length)
    ).eval()

    def tokens(tokenizer: AudioTokenizer, folders: tuple[str, ...], name: str) -> TokenCorpus:
        if not folders:
            return encode_corpus(tokenizer.eval(), corpus, out / "tokens" / name)
        opened = TokenCorpus.open(corpus, folders)
        for what in ("codebook_size", "hop_length"):
            if getattr(opened.header, what) != getattr(tokenizer, what):
                raise ConfigError(
                    f"{name}_tokens must be those of {name}, of {what} "
                    f"{getattr(tokenizer, what)}, but have {getattr(opened.header, what)}"
                )
        return opened

    if codec is None:
        if corpus.text_vocab != PHONEMES:
            raise ConfigError(f"the corpus must hold phonemes, but holds {corpus.text_vocab}")
        rows = ReadRows(corpus, tokens(units, recipe.unit_tokens, "unit"))
        kinds = semantic_kinds(
            text_vocab_size=PhonemeVocab().size, num_units=units.codebook_size,
            unit_rate=units.frame_rate,
        )  # fmt: skip
        return Material(units, pitch, None, rows, kinds)
    if recipe.num_codebooks > codec.num_codebooks:
        raise ConfigError(
            f"num_codebooks must be at most {codec.num_codebooks}, as many as {recipe.codec} has, "
            f"but is {recipe.num_codebooks}"
        )
    kinds = acoustic_kinds(
        num_units=units.codebook_size, unit_rate=units.frame_rate, num_pitches=pitch.codebook_size,
        num_codebooks=recipe.num_codebooks, codebook_size=codec.codebook_size,
        frame_rate=codec.frame_rate,
    )  # fmt: skip
    voices = VoiceRows(
        corpus,
        tokens(units, recipe.unit_tokens, "unit"),
        tokens(pitch, recipe.pitch_tokens, "pitch"),
        tokens(codec, recipe.code_tokens, "code"),
        recipe.num_codebooks,
        recipe.windows,
    )
    return Material(units, pitch, codec, voices, kinds)


def draw_batch(
    recipe: MakeAVoiceRecipe, material: Material, model: MakeAVoiceLM, batches: SecondsBatches
) -> TrainBatch[SpanBatch]:
    """The next batch; what a row holds is drawn from epoch and utterance alone."""
    epoch = batches.epoch
    chosen = next(batches).tolist()
    randoms = [np.random.default_rng((recipe.loop.seed, epoch, i)) for i in chosen]
    rows = [material.spans(i, random) for i, random in zip(chosen, randoms, strict=True)]
    batch = model.batch(rows)
    corpus = material.rows.corpus
    return TrainBatch(
        batch=batch,
        name=BatchLabel(corpus, chosen),
        audio_seconds=float(corpus.seconds[chosen].sum()),
        tokens=sum(len(span.ids) + 1 for row in rows for span in row),
        padded_frames=batch.tokens.numel(),
        counts={"tokens": int((batch.targets >= 0).sum())},
    )


@torch.no_grad()
def validate(material: Material, model: MakeAVoiceLM, indices: Sequence[int]) -> Validation:
    """Nats a token of held-out speech; of the acoustic stage also without the pitch, without the
    prompt, and without both."""
    values = {}
    without: dict[str, tuple[str, ...]] = {"loss": ()}
    if material.codec is not None:
        without |= {
            "loss_without_pitch": (PITCH,), "loss_without_prompt": (PROMPT,),
            "loss_without_both": (PROMPT, PITCH),
        }  # fmt: skip
    for name, kinds in without.items():
        nats, count = 0.0, 0
        for start in range(0, len(indices), 8):
            rows = [
                material.spans(i, np.random.default_rng((0, i)), kinds)
                for i in indices[start : start + 8]
            ]
            batch = model.batch(rows).to(model.device)
            tokens = int((batch.targets >= 0).sum())
            nats, count = nats + float(model.loss(batch)) * tokens, count + tokens
        values[name] = nats / count
    return Validation(values=values)


def export_system(run: Run, recipe: MakeAVoiceRecipe, material: Material) -> None:
    """The folder that speaks, converts and sings, where all its parts are known."""
    if run.rank.is_main and recipe.semantic and recipe.vocoder:
        assert material.codec is not None
        parts = {
            "units": material.units,
            "pitch": material.pitch,
            "codec": material.codec,
            "semantic": MakeAVoiceLM.from_pretrained(recipe.semantic),
            "acoustic": MakeAVoiceLM.from_pretrained(run.out / "model"),
            "vocoder": CodeVocoder.from_pretrained(recipe.vocoder),
        }
        VoiceCascade(Parts(parts))  # refuses what does not fit before it is written
        save_parts("make_a_voice", parts, run.out / "system")
    run.rank.barrier()


def train(recipe: MakeAVoiceRecipe, out: Path, *, resume: bool = False) -> bool:
    """Run the recipe in `out`; True when it is over, and the model saved there as `model`."""
    seed_everything(recipe.loop.seed)
    accelerator = make_accelerator(recipe.loop, out)
    corpus = Corpus.open(recipe.corpus)
    with accelerator.main_process_first():
        material = open_material(recipe, corpus, out)
    model = MakeAVoiceLM(SpanLMConfig(kinds=material.kinds, **vars(recipe.model))).train()
    objective = LossModule(model)
    reads = recipe.stage == "semantic"
    longest = recipe.windows.max_seconds if reads else float("inf")
    used = recipe.windows.max_seconds + (0 if reads else recipe.windows.prompt_seconds)
    indices = corpus.select(
        split="train", with_text=reads, min_seconds=recipe.min_seconds, max_seconds=longest,
        sources=recipe.sources or None,
    )  # fmt: skip
    held_out = corpus.select(
        split="test", with_text=reads, min_seconds=recipe.min_seconds, max_seconds=longest
    )[:32].tolist()
    batches = SecondsBatches(
        np.minimum(corpus.seconds, used), recipe.seconds_per_batch, recipe.loop.seed,
        indices=indices, world=world_of(accelerator),
    )  # fmt: skip
    state = TrainingState(
        models={"model": objective},
        optimizers={"model": make_optimizer(objective, recipe.loop)},
        streams={"batches": batches},
    )
    data = TrainingData.of(corpus, material.rows.units)
    with start_run(recipe, out, state, accelerator=accelerator, data=data, resume=resume) as run:
        prepared = state.models["model"]

        def check() -> Validation:
            return validate(material, model, held_out)

        for train_batch in each_batch(run, lambda: draw_batch(recipe, material, model, batches)):
            with accelerator.accumulate(prepared):
                batch = train_batch.batch.to(accelerator.device)
                loss = prepared(batch) * train_batch.weights["tokens"]
                update(run, loss)
            after_step(run, Losses(loss, {}), train_batch, validate=check if held_out else None)
        if complete := finish_run(run):
            export(run, "model", {"model": model})
            if not reads:
                export_system(run, recipe, material)
    return complete


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line."""
    return recipe_main("train_make_a_voice", MakeAVoiceRecipe, train, arguments)


if __name__ == "__main__":
    raise SystemExit(main())
