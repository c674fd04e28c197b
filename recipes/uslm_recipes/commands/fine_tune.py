"""Teach a finished model a new voice or language from minutes of speech.

    python -m uslm_recipes.fine_tune my_voice --model default --out runs/my_voice \\
        --speaker-model resemblyzer

`my_voice` is anything that uslm-prepare reads: recordings with a text file beside each, a corpus of
a known layout, a manifest (of which --speaker takes one voice). Stage 2 learns how the voice
sounds, together with the codec's decoder where the model allows it; stage 1 learns its pace, or
the language, from what has text. The units stay as they are. Some recordings are held out; with a
speaker model, what the model says before and after is compared to them.

Run the same command again to go on where it was stopped.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from uslm.evaluation.judges.loading import load_speaker_model
from uslm.models.folders import resolve_bundle
from uslm.systems.two_stage.bundle import Bundle, load_bundle, save_bundle
from uslm.systems.two_stage.regressor import AcousticRegressor
from uslm.text.normalize import is_english
from uslm.tts import ZeroShotTTS
from uslm_recipes.cards.training_facts import read_run, speed_table, trained_on
from uslm_recipes.command import run_command
from uslm_recipes.commands import bundle as bundling
from uslm_recipes.commands.prepare import add_source_arguments, sources_of
from uslm_recipes.config import config_names, load_config
from uslm_recipes.data.audio_files import AudioLimits, read_samples
from uslm_recipes.data.corpus import Corpus
from uslm_recipes.data.corpus_format import HEADER_FILE
from uslm_recipes.data.encoding import encode_corpus
from uslm_recipes.data.preparing.run import PrepareConfig, prepare
from uslm_recipes.data.recording import Found, Recording, Rejected, reject
from uslm_recipes.evaluating.likeness import held_out_of, likeness, real_likeness
from uslm_recipes.train import ar as train_ar
from uslm_recipes.train import joint
from uslm_recipes.train import nar as train_nar
from uslm_tokenizer.audio.write import write_audio
from uslm_tokenizer.errors import AudioError, ConfigError, TextError, UserError
from uslm_tokenizer.whole_files import write_atomically

SENTENCES = 8
"""Sentences that are spoken before and after."""


@dataclass(frozen=True, kw_only=True)
class FineTuneRecipe:
    """Everything that decides a run of this recipe. What each part learns from is filled in."""

    minutes: float | None = None
    """Minutes of speech to learn from, at most; null takes all."""
    held_out: int = 10
    """Recordings that are kept for comparison."""
    stage1: train_ar.ARRecipe = field(default_factory=train_ar.ARRecipe)
    """From what has text."""
    voice: joint.JointRecipe = field(default_factory=joint.JointRecipe)
    """Stage 2 and the decoder, of a model whose stage 2 predicts the decoder's input."""
    stage2: train_nar.NARRecipe = field(default_factory=train_nar.NARRecipe)
    """Stage 2 alone, of a model whose stage 2 scores codes."""
    seed: int = 0
    """Draws what is held out."""


# ---- the speech


def choose(
    found: Iterable[Found], recipe: FineTuneRecipe, limits: AudioLimits, speaker: str | None
) -> Iterator[Found]:
    """Recordings in a drawn order: some to hold out, then enough to learn from."""
    recordings = [each for each in found if isinstance(each, Recording)]
    if speaker is not None:
        recordings = [each for each in recordings if each.speaker == speaker]
        if not recordings:
            raise UserError(f"there is no recording of a speaker {speaker!r}")
    order = np.random.default_rng(recipe.seed).permutation(len(recordings))
    held_out, seconds = 0, 0.0
    for recording in (recordings[place] for place in order):
        try:
            samples = read_samples(recording.audio, limits, recording.segment)
        except AudioError as problem:
            yield reject(recording, str(problem))
            continue
        is_kept = held_out < recipe.held_out
        if not is_kept and recipe.minutes is not None and seconds >= 60 * recipe.minutes:
            return
        held_out, seconds = held_out + is_kept, seconds + (not is_kept) * len(samples) / 16_000
        yield replace(recording, split="test" if is_kept else "train")


def with_phonemes(found: Iterable[Found], model: Bundle, language: str) -> Iterator[Found]:
    """Texts as the model's own front end reads them, which it will when it speaks."""
    frontend = model.frontend(language=language)
    for each in found:
        if isinstance(each, Rejected) or each.phonemes or not each.text:
            yield each
            continue
        try:
            yield replace(each, phonemes=frontend(each.text).phonemes)
        except TextError as problem:
            yield reject(each, str(problem))


def corpus_of(given: argparse.Namespace, recipe: FineTuneRecipe, model: Bundle) -> Corpus:
    """The speech as a corpus; one that is there already is kept."""
    folder = given.out / "corpus"
    if not (folder / HEADER_FILE).is_file():
        config = PrepareConfig(
            audio=AudioLimits(
                sample_rate=model.tokenizer.sample_rate,
                hop_length=model.tokenizer.hop_length,
                max_seconds=given.max_seconds,
            ),
            num_workers=given.workers,
        )
        chosen = choose(sources_of(given), recipe, config.audio, given.speaker)
        prepare(with_phonemes(chosen, model, language_of(given, model)), folder, config)
    return Corpus.open(folder)


def language_of(given: argparse.Namespace, model: Bundle) -> str:
    """Language that --language names, as espeak calls it; the model's own for English."""
    return model.config.language if is_english(given.language) else str(given.language)


# ---- the model


def train(recipe: FineTuneRecipe, given: argparse.Namespace) -> Path | None:
    """Fine-tune, and put the parts together; the finished folder, or None while it is not over."""
    model, origin = load_bundle(given.model), resolve_bundle(given.model)
    if model.config.frontend.vocab != "phonemes":
        raise ConfigError(f"{given.model} reads text, but fine_tune prepares phonemes only")
    corpus, out = corpus_of(given, recipe, model), given.out
    encode_corpus(model.tokenizer, corpus, out / "tokens")
    corpora, tokens = (str(out / "corpus"),), (str(out / "tokens" / "0"),)
    parts = {name: str(origin / name) for name in ("tokenizer", "semantic", "acoustic")}
    trained: dict[str, str] = dict(parts)
    if len(corpus.select(split="train", with_text=True)):
        stage1 = replace(
            recipe.stage1,
            initial=parts["semantic"],
            recognizer=parts["tokenizer"],
            corpus=corpora,
            tokens=tokens,
        )
        if not _finished(out / "stage1", train_ar.train, stage1):
            return None
        trained["semantic"] = str(out / "stage1" / "model")
    if isinstance(model.acoustic, AcousticRegressor):
        voice = replace(
            recipe.voice,
            tokenizer=parts["tokenizer"],
            acoustic=parts["acoustic"],
            corpus=corpora,
            tokens=tokens,
        )
        if not _finished(out / "voice", joint.train, voice):
            return None
        trained["tokenizer"] = str(out / "voice" / "codec")
        trained["acoustic"] = str(out / "voice" / "model")
    else:
        stage2 = replace(
            recipe.stage2,
            tokenizer=parts["tokenizer"],
            initial=parts["acoustic"],
            corpus=corpora,
            tokens=tokens,
        )
        if not _finished(out / "stage2", train_nar.train, stage2):
            return None
        trained["acoustic"] = str(out / "stage2" / "model")
    config = replace(model.config, name=given.name or out.name, language=language_of(given, model))
    finished = bundling.build(
        trained["tokenizer"], trained["semantic"], trained["acoustic"], config
    )
    return save_bundle(finished, out / "bundle", dtype=torch.float16)


def _finished(folder: Path, train: Callable[..., bool], recipe: Any) -> bool:
    """Train, unless that is done already."""
    return (folder / "model" / "config.json").is_file() or train(recipe, folder, resume=True)


# ---- what came of it


def compare(given: argparse.Namespace, finished: Path) -> dict[str, float]:
    """Cosines to held-out recordings, before and after; files go to `out`."""
    held_out = held_out_of(Corpus.open(given.out / "corpus"))
    write_audio(
        given.out / "prompt.wav", held_out.prompt.waveform, held_out.prompt.sample_rate, force=True
    )
    if given.speaker_model is None:
        return {}
    judge = load_speaker_model(given.speaker_model)
    sentences = held_out.texts[:SENTENCES] or ("The house is built, and now it speaks.",)
    before, after = (ZeroShotTTS.from_pretrained(model) for model in (given.model, finished))
    found = {
        "before": likeness(before, held_out, sentences, judge),
        "after": likeness(after, held_out, sentences, judge),
        "real": real_likeness(held_out, judge),
    }
    (given.out / "likeness.json").write_text(json.dumps(found, indent=2) + "\n", "utf-8")
    return found


def card(given: argparse.Namespace, finished: Path, found: dict[str, float]) -> str:
    """The text of README.md, from what was measured."""
    bundle = load_bundle(finished)
    stages = (given.out / name for name in ("stage1", "voice", "stage2"))
    runs = [read_run(folder) for folder in stages if folder.is_dir()]
    corpus = Corpus.open(given.out / "corpus")
    minutes = float(corpus.seconds[corpus.select(split="train")].sum()) / 60
    lines = [
        f"# {bundle.config.name}",
        "",
        f"{given.model}, fine-tuned on {minutes:.1f} minutes of speech on {trained_on(runs)}. "
        f"Weights: {bundle.hash}.",
        "",
        *speed_table(runs),
        "",
    ]
    if found:
        lines += [
            f"Speaker cosine ({Path(given.speaker_model).stem}) of spoken sentences to recordings "
            "that were held out:",
            "",
            "| before | after | the voice itself |",
            "|---|---|---|",
            "| " + " | ".join(f"{found[name]:.3f}" for name in ("before", "after", "real")) + " |",
            "",
        ]
    lines += ["Use it only with the consent of whose voice it is.", ""]
    return "\n".join(lines)


def parser() -> argparse.ArgumentParser:
    """The arguments."""
    parser = argparse.ArgumentParser(
        prog="python -m uslm_recipes.fine_tune", description=(__doc__ or "").partition("\n")[0]
    )
    add = parser.add_argument
    add_source_arguments(parser)
    add("--speaker", help="only recordings of this speaker, as a manifest names it")
    add("--model", default="default", help="the model to begin with: a folder or Hub name")
    add("--config", default="mini", metavar="NAME|FILE",
        help=f"one of {config_names('fine_tune')}, or a YAML file")  # fmt: skip
    add("--name", help="what the finished model is called; the name of --out unless given")
    add("--speaker-model", help="compares the voice before and after: see uslm evaluate --help")
    add("--out", type=Path, required=True, help="folder of the run; the model is its bundle/")
    add("--set", action="append", default=[], dest="overrides", metavar="KEY=VALUE",
        help="change one value of the config, such as voice.loop.steps=800")  # fmt: skip
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line."""
    given = parser().parse_args(arguments)

    def action() -> None:
        recipe = load_config(FineTuneRecipe, given.config, given.overrides, recipe="fine_tune")
        finished = train(recipe, given)
        if finished is None:
            print("stopped; the same command goes on")
            return
        text = card(given, finished, compare(given, finished))
        write_atomically(finished / "README.md", lambda path: path.write_text(text, "utf-8"))
        print(text)

    return run_command("fine_tune", action)


if __name__ == "__main__":
    raise SystemExit(main())
