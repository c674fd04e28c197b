"""Write the card of a model from what was measured: nothing in it is typed in by hand.

    python -m uslm_recipes.model_card --model runs/default/bundle --report evaluation/report.json \\
        --runs runs/default/{units,codec,ar,nar,joint} --corpus runs/default/corpus

On what machine and how fast it was trained, the logs of the runs say.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from uslm.evaluation.metrics.bootstrap import Estimate
from uslm.evaluation.report.report import load_report, sections_of, show, table
from uslm_recipes.cards.training_facts import (
    CorpusFacts,
    RunFacts,
    hours_in_words,
    read_corpora,
    read_run,
    source_table,
    speed_table,
    trained_on,
)
from uslm_recipes.command import run_command
from uslm_tokenizer.errors import UserError
from uslm_tokenizer.whole_files import write_atomically

CLARITY = (
    (0.05, "Nearly every word is understood."),
    (0.15, "Most words are understood; expect a mistake in most longer sentences."),
    (0.40, "Many words are not understood; this is a demonstration, not usable speech."),
    (float("inf"), "Most words are not understood; it shows that the chain works, no more."),
)
"""Plain words for a word error rate up to this."""
LIKENESS = (
    (0.75, "The voice often does not pass for the prompt's."),
    (0.82, "The voice is like the prompt's, but can be told apart from it."),
    (float("inf"), "The voice is about as near to the prompt as another recording of the speaker."),
)
"""Plain words for a speaker cosine (Resemblyzer) up to this."""
SHORT_TRAINING_HOURS = 10

MISUSE = """\
The model imitates a voice from a few seconds of it. Use only voices of people who have agreed to \
it, and say of what it made that it is synthetic. It must not be used to impersonate, to deceive, \
to defame, or to get past a voice check. What it says is not proof that anybody said it."""


def write_card(
    report: Mapping[str, Any],
    runs: Sequence[RunFacts],
    corpus: CorpusFacts,
    *,
    licence: str,
    machine: str | None = None,
    before: str | None = None,
) -> str:
    """The text of README.md; `machine` takes the place of what the runs say of theirs, `before`
    is what trained the weights that they went on from, in words. Without runs, whose logs are
    lost, both are needed."""
    machine = machine or trained_on(runs)
    sections = sections_of(report)
    speech = sections["speech"].rows["all"]
    parts = [
        *_front_matter(report["model"]["name"], speech, licence),
        f"# {report['model']['name']}",
        "",
        _what_it_is(report["model"], runs, corpus, machine, before),
        "",
        _in_words(speech),
        "",
        *_use(),
        "## Measured",
        "",
        _how_measured(report["config"]),
        "",
    ]
    for section in sections.values():
        parts += [f"### {section.title}", "", section.note, "", *table(section.rows), ""]
    parts += [
        "## Data",
        "",
        f"{hours_in_words(corpus)}; the table counts both. Whole speakers are held out: "
        "LibriSpeech's whose number is divisible by 5, and of the rest those that a hash of the "
        "name picks.",
        "",
        *source_table(corpus),
        "",
        "## Training",
        "",
        *_training(runs, machine, before),
        "",
        "## Limits",
        "",
        *_limits(report["config"]),
        "",
        "## Misuse",
        "",
        MISUSE,
        "",
        "## Made by",
        "",
        f"This card was written by `uslm_recipes.model_card` (uslm {report['uslm']}) from an "
        f"evaluation of {report['created']} with seed {report['config']['seed']} on "
        f"{report['machine']['cpu']}, {report['machine']['threads']} threads, "
        f"torch {report['machine']['torch']}. Weights: {report['model']['hash']}.",
        "",
    ]
    return "\n".join(parts)


def _front_matter(name: str, speech: Mapping[str, Estimate], licence: str) -> list[str]:
    results = [
        f"          - {{type: {measure}, value: {speech[key].value:.4f}}}"
        for key, measure in (("wer", "wer"), ("cer", "cer"), ("cosine", "speaker_cosine"))
        if key in speech
    ]
    return [
        "---",
        f"license: {licence}",
        "language: [en]",
        "library_name: uslm",
        "pipeline_tag: text-to-speech",
        "tags: [text-to-speech, zero-shot, voice-conversion, speech-tokenizer]",
        "metrics: [wer, cer]",
        "model-index:",
        f"  - name: {name}",
        "    results:",
        "      - task: {type: text-to-speech}",
        "        dataset: {name: held-out sentences in held-out voices, type: held-out}",
        "        metrics:",
        *results,
        "---",
        "",
    ]


def _what_it_is(
    model: Mapping[str, Any],
    runs: Sequence[RunFacts],
    corpus: CorpusFacts,
    machine: str,
    before: str | None,
) -> str:
    hours = sum(run.minutes for run in runs) / 60
    size = f", {model['megabytes']} MB" if "megabytes" in model else ""
    text = (
        f"Zero-shot text to speech in English: a text and a few seconds of a voice in, speech of "
        f"16 kHz out. {model['parameters'] / 1e6:.1f} M parameters{size}: a codec of 50 frames a "
        "second, a language model from phonemes to units, and one from units to codes. "
    )
    recordings = f"{corpus.hours_by_split.get('train', 0.0):.1f} hours of recordings"
    if not runs:
        return f"{text}It was trained on {machine}, with {recordings}: see Training."
    stages = "The runs below" if before else "All stages together"
    text += f"{stages} trained for {_duration(hours)} on {machine}, with {recordings}."
    if before:
        text += " They went on from weights that had been trained before: see Training."
    elif hours < SHORT_TRAINING_HOURS:
        text += (
            " That is very little of both, far less than pretrained models of this kind have seen."
        )
    return text


def _in_words(speech: Mapping[str, Estimate]) -> str:
    words = [next(text for most, text in CLARITY if speech["wer"].value <= most)]
    if "cosine" in speech:
        words.append(next(text for most, text in LIKENESS if speech["cosine"].value <= most))
    measured = [f"WER {show('wer', speech['wer'])} %"]
    measured += [
        f"{name} {show(key, speech[key])}"
        for key, name in (("cosine", "speaker cosine"), ("dnsmos", "DNSMOS"))
        if key in speech
    ]
    return f"**{' '.join(words)}** ({'; '.join(measured)})"


def _use() -> list[str]:
    return [
        "## Use",
        "",
        "```bash",
        'uslm-tts --text "Good morning." --prompt voice.wav --out speech.wav',
        "```",
        "",
    ]


def _how_measured(config: Mapping[str, Any]) -> str:
    judges = [f"WER and CER by {Path(config['recognizer']).name} with Whisper's normaliser"]
    if config["speaker_model"]:
        judges.append(f"speaker cosine by {Path(config['speaker_model']).stem}")
    if config["dnsmos"]:
        judges.append("quality by DNSMOS P.835")
    texts = config["texts"]
    origin = (
        "that are in no training text" if texts in ("own", "test") else f"of {Path(texts).name}"
    )
    return (
        f"{config['sentences']} sentences {origin}, in each of "
        f"{config['voices']} voices that no training heard (prompts of "
        f"{config['prompt_seconds'][0]:g} to {config['prompt_seconds'][1]:g} s without transcript"
        f"{', with --verify' if config['verify'] else ''}); {', '.join(judges)}. "
        "In brackets: 95 % bootstrap intervals over utterances."
    )


def _training(runs: Sequence[RunFacts], machine: str, before: str | None) -> list[str]:
    if not runs:
        return [f"Trained on {machine}. {before} The logs are not kept."]
    total = sum(run.minutes for run in runs)
    return [
        f"Trained on {machine}." + (f" Before these runs: {before}" if before else ""),
        "",
        *speed_table(runs),
        "",
        f"Together {total:.1f} minutes. MFU is the share of the device's peak, measured before the "
        "run, that went into frames of speech and not into padding.",
    ]


def _limits(config: Mapping[str, Any]) -> list[str]:
    return [
        "- English only; other languages are read with English sounds, badly.",
        "- 16 kHz samples: nothing above 8 kHz is heard.",
        "- Words may be dropped, repeated or swallowed, the more so in long or odd sentences; "
        "`--verify` verifies and regenerates.",
        "- Only the first seconds of a prompt are used; noise and echo in it are imitated too.",
        f"- The numbers rest on {config['sentences'] * config['voices']} utterances and on one "
        "recogniser; the intervals say how far they may be off.",
    ]


def _duration(hours: float) -> str:
    return f"{hours:.1f} hours" if hours >= 2 else f"{60 * hours:.0f} minutes"


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m uslm_recipes.model_card", description=(__doc__ or "").partition("\n")[0]
    )
    add = parser.add_argument
    add("--model", type=Path, required=True, help="folder of the model; its README.md is written")
    add("--report", type=Path, required=True, help="report.json of uslm_recipes.evaluate")
    add("--runs", type=Path, nargs="*", default=[], help="folders of the training runs")
    add("--corpus", type=Path, nargs="+", required=True, help="corpus folders")
    add("--trained-on", help="the machine in words, where the logs do not name it")
    add("--trained-before", help="what trained the weights that the runs went on from, in words")
    add("--licence", default="apache-2.0", help="licence of the weights")
    add("--source", action="append", default=[], metavar="KEY=NAME;LICENCE")
    given = parser.parse_args(arguments)

    def action() -> None:
        from uslm.systems.two_stage.bundle import load_bundle

        if not given.runs and not (given.trained_on and given.trained_before):
            raise UserError(
                "--runs must name the training runs; where their logs are lost, --trained-on and "
                "--trained-before must say in words how the model was trained"
            )
        report = load_report(given.report)
        found = load_bundle(given.model).hash
        if report["model"]["hash"] != found:
            raise UserError(
                f"{given.report} is of the model {report['model']['name']!r} "
                f"({report['model']['hash']}), but {given.model} holds {found}; evaluate it first"
            )
        card = write_card(
            report,
            [read_run(folder) for folder in given.runs],
            read_corpora(given.corpus, given.source),
            licence=given.licence,
            machine=given.trained_on,
            before=given.trained_before,
        )
        write_atomically(given.model / "README.md", lambda path: path.write_text(card, "utf-8"))
        print(f"{given.model / 'README.md'}: {len(card.splitlines())} lines")

    return run_command("model_card", action)


if __name__ == "__main__":
    raise SystemExit(main())
