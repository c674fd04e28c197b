"""Evaluation of a model: held-out sentences in held-out voices, judged by others.

    python -m uslm_recipes.evaluate --model default --recognizer openai/whisper-base \\
        --speaker-model resemblyzer --dnsmos --out evaluation

Voices and recordings come from manifests (see uslm-prepare); only speakers that no training saw
are used. What is spoken is kept in --out with its prompts, `manifest.jsonl`, `report.json`,
`report.md` and `report.html`; `--judge-only` judges it again. For lists of seed-tts-eval's form
there is `uslm evaluate`.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from uslm_recipes.command import run_command
from uslm_tokenizer.errors import UserError

if TYPE_CHECKING:
    from uslm.evaluation.metrics.scores import Judges
    from uslm.evaluation.report.report import Report
    from uslm.tts import ZeroShotTTS

MANIFESTS = ("../shared/speech/manifest.jsonl", "../shared/speech/kokoro.jsonl")


def evaluate(tts: ZeroShotTTS, judges: Judges, given: argparse.Namespace) -> Report:
    """Speak (unless `given.judge_only`), judge, and return the report; files go to `given.out`."""
    import torch

    from uslm.evaluation.report.model_facts import describe_model
    from uslm.evaluation.report.report import Report
    from uslm.evaluation.suites import speaking
    from uslm.evaluation.suites.sections import Scorer, speech_section, speed_section
    from uslm_recipes.evaluating import held_out, own_voice, sections
    from uslm_tokenizer.machine import Machine

    def draw(offset: int) -> torch.Generator:
        return torch.Generator().manual_seed(given.seed + offset)

    recordings = held_out.read_recordings([Path(path) for path in given.manifest])
    low, high = given.prompt_seconds
    voices = held_out.choose_voices(
        recordings, given.voices, source=given.voice_source, seconds=(low, high), generator=draw(0)
    )
    sentences = held_out.choose_sentences(
        given.texts, given.sentences, recordings, generator=draw(1)
    )
    if given.judge_only:
        spoken = speaking.read_spoken(given.out)
    else:
        lines = held_out.lines(voices, sentences)
        spoken = speaking.speak_all(tts, lines, given.out, seed=given.seed, verify=given.verify)
    scorer = Scorer(judges, draw(2))
    speech, utterances = speech_section(spoken, given.out, scorer)
    tables = {"speech": speech}
    if judges.speaker_model is not None:
        pairs = held_out.pairs_of_one_speaker(
            recordings, given.pairs, source=given.voice_source, generator=draw(3)
        )
        tables["voices"] = sections.voices_section(pairs, voices, judges.speaker_model, draw(4))
    if given.clips:
        clips = held_out.choose_clips(recordings, given.clips, generator=draw(5))
        if given.clip_sources:
            clips = {source: clips.get(source, []) for source in given.clip_sources}
        if empty := sorted(source for source, found in clips.items() if not found):
            raise UserError(f"there are no held-out recordings with text of {', '.join(empty)}")
        tables |= sections.parts_sections(tts, clips, voices, scorer, given.seed)
    if given.own_voice:
        own = own_voice.choose_pairs(
            recordings, given.own_voice, sources=given.clip_sources, generator=draw(7)
        )
        if not own:
            raise UserError("--own-voice needs two held-out recordings of a speaker, but has none")
        tables["own_voice"] = own_voice.own_voice_section(tts, own, scorer, given.seed)
    tables["speed"] = speed_section(spoken, draw(6))
    return Report(
        title=f"Evaluation of {tts.synthesizer.settings.name}",
        config=_plain(given),
        model=describe_model(tts.synthesizer),
        sections=tables,
        utterances=utterances,
        machine=asdict(Machine.here(given.device)),
    )


def _plain(given: argparse.Namespace) -> dict[str, Any]:
    return {k: str(v) if isinstance(v, Path) else v for k, v in vars(given).items()}


def parser() -> argparse.ArgumentParser:
    """The arguments."""
    parser = argparse.ArgumentParser(
        prog="python -m uslm_recipes.evaluate", description=(__doc__ or "").partition("\n")[0]
    )
    add = parser.add_argument
    add("--model", default="default", help="folder or Hub name of a speaking model")
    add("--recognizer", required=True, help="folder or Hub name of a Whisper model")
    add("--speaker-model", help="'resemblyzer', or the path of its weights")
    add("--dnsmos", action="store_true", help="ask DNSMOS (needs speechmos and onnxruntime)")
    add("--manifest", nargs="+", default=list(MANIFESTS), help="recordings to choose from")
    add("--voice-source", default="ls", help="collection that the voices come from")
    add("--voices", type=_positive, default=3, help="held-out voices")
    add("--prompt-seconds", type=float, nargs=2, default=[3.0, 8.0], metavar=("MIN", "MAX"))
    add("--texts", default="own", metavar="own|test|FILE", help="a file has a sentence a line")
    add("--text-file", dest="texts", help="the same as --texts FILE")
    add("--sentences", type=_positive, default=10, help="sentences for each voice")
    add("--clips", type=int, default=10, help="recordings of each source for the parts; 0: none")
    add(
        "--own-voice",
        type=int,
        default=0,
        metavar="N",
        help="recordings that are made again part by part in their speakers' own voices",
    )
    add("--clip-sources", nargs="+", help="only these collections; all unless given")
    add("--pairs", type=_positive, default=20, help="real speakers that are compared to themselves")
    add(
        "--verify",
        action="store_true",
        help="let the model verify its speech and regenerate what is bad",
    )
    add("--seed", type=int, default=0)
    add("--threads", type=_positive, help="threads of PyTorch")
    add("--device", default="cpu")
    add("--dtype", help="precision of both stages")
    add("--judge-only", action="store_true", help="judge what was spoken into --out before")
    add("--force", action="store_true", help="replace an earlier evaluation in --out")
    add("--out", type=Path, required=True, help="folder of speech and reports")
    return parser


def _positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"must be 1 or more, but is {text}")
    return value


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line."""
    given = parser().parse_args(arguments)
    return run_command("evaluate", lambda: _run(given))


def _run(given: argparse.Namespace) -> None:
    if (given.out / "manifest.jsonl").exists() and not (given.force or given.judge_only):
        raise UserError(
            f"{given.out} holds an evaluation; give --force, --judge-only or another --out"
        )
    import torch

    from uslm.evaluation.judges.loading import load_judges
    from uslm.evaluation.report.writing import write_report
    from uslm.tts import ZeroShotTTS

    if given.threads:
        torch.set_num_threads(given.threads)
    tts = ZeroShotTTS.from_pretrained(given.model, device=given.device, dtype=given.dtype)
    judges = load_judges(
        given.recognizer, given.speaker_model, dnsmos=given.dnsmos, device=given.device
    )
    report = evaluate(tts, judges, given)
    write_report(report, given.out)
    print(report.to_markdown())


if __name__ == "__main__":
    raise SystemExit(main())
