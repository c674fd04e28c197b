#!/usr/bin/env python3
"""A check for regressions: 24 fixed sentences in 4 voices, by two models, judged and paired.

    python benchmarks/voice.py --recognizer openai/whisper-small --out runs/voice
    python benchmarks/voice.py --recognizer WHISPER --against FOLDER --out runs/voice

Sentence i is spoken in voice i % 4 with seed i, by `--model` and by the model `--against`: a
folder, or `git:REVISION` for the default model of an earlier commit. Prints Markdown: each judge's
mean with its 95 % interval, and the paired difference. Ends with 1 if a difference is for the worse
and its interval leaves out 0. What was spoken stays in --out.
"""

from __future__ import annotations

import argparse
import io
import subprocess
import sys
import tarfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from uslm.evaluation.judges.loading import load_judges
from uslm.evaluation.metrics.bootstrap import Estimate, estimate
from uslm.evaluation.metrics.codec_measures import median_pitch
from uslm.evaluation.metrics.scores import Judges, Sample, Scores, judge
from uslm.evaluation.suites.speaking import Line, Spoken, speak_all, waveform_at
from uslm.tts import ZeroShotTTS

ROOT = Path(__file__).parent.parent
SENTENCES = Path(__file__).parent / "voice_sentences.txt"
VOICES = tuple(
    ROOT / "examples" / f"{name}.wav"
    for name in ("voice", "voice_low", "voice_middle", "voice_high")
)
DEFAULT_FOLDER = "uslm/assets/default"
JUDGES_RATE = 16_000


@dataclass(frozen=True)
class Measure:
    """One thing that is measured of each utterance."""

    title: str
    better: int
    """1: more is better, -1: less is better, 0: neither."""
    factor: float = 1.0
    digits: int = 2


MEASURES = {
    "wer": Measure("WER, %", -1, 100, 1),
    "cer": Measure("CER, %", -1, 100, 1),
    "cosine": Measure("speaker cosine", 1, 1, 3),
    "dnsmos": Measure("DNSMOS overall", 1),
    "dnsmos_p808": Measure("DNSMOS P.808", 1),
    "pitch_error": Measure("median F0, half-tones from the prompt's", -1),
    "rate": Measure("characters per second", 0, 1, 1),
    "real_time_factor": Measure("real-time factor", 0, 1, 3),
}


def main(arguments: Sequence[str]) -> int:
    given = parser().parse_args(arguments)
    if given.threads:
        torch.set_num_threads(given.threads)
    judges = load_judges(given.recognizer, given.speaker_model, dnsmos=given.dnsmos)
    lines = plan(given.sentences, given.voices, given.limit)
    scores: dict[str, list[dict[str, float]]] = {}
    pitches: dict[str, float | None] = {}
    for name, model in (("now", given.model), ("before", given.against)):
        if not model:
            continue
        folder = given.out / name
        tts = ZeroShotTTS.from_pretrained(unpacked(model, folder / "model"))
        spoken = speak_all(tts, lines, folder, seed=0)
        scores[name] = measure(spoken, folder, judges)
        pitches[name] = pitch_correlation(spoken, folder)
    print("\n".join(table(scores, pitches)))
    return int("before" in scores and bool(worse(scores)))


def parser() -> argparse.ArgumentParser:
    """The arguments."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    add = parser.add_argument
    add("--model", default="default", help="name or folder of the model that is judged")
    add("--against", help="a folder, or git:REVISION; nobody unless given")
    add("--recognizer", required=True, help="folder or Hub name of a Whisper model")
    add("--speaker-model", default="resemblyzer", help="see `uslm evaluate`")
    add("--dnsmos", action=argparse.BooleanOptionalAction, default=True)
    add("--sentences", type=Path, default=SENTENCES, help="a sentence on each line")
    add("--voices", type=Path, nargs="+", default=list(VOICES), help="a recording of each voice")
    add("--limit", type=int, help="only the first sentences, to see whether it runs")
    add("--threads", type=int, help="threads of PyTorch")
    add("--out", type=Path, required=True, help="folder for what is spoken")
    return parser


def plan(sentences: Path, voices: Sequence[Path], limit: int | None) -> list[Line]:
    """Sentence i in voice i % len(voices)."""
    texts = [text for text in sentences.read_text("utf-8").splitlines() if text.strip()]
    return [
        Line(
            name=f"{number:03d}", text=text, prompt=prompt, prompt_text=None,
            voice=prompt.stem, speaker=prompt.stem,
        )
        for number, text in enumerate(texts[:limit])
        for prompt in [voices[number % len(voices)]]
    ]  # fmt: skip


def unpacked(model: str, folder: Path) -> str:
    """The model, or the folder into which the default model of a commit was unpacked."""
    scheme, _, revision = model.partition(":")
    if scheme != "git":
        return model
    archive = subprocess.run(
        ["git", "-C", str(ROOT), "archive", revision, DEFAULT_FOLDER],
        check=True, stdout=subprocess.PIPE,
    )  # fmt: skip
    with tarfile.open(fileobj=io.BytesIO(archive.stdout)) as tar:
        tar.extractall(folder, filter="data")
    return str(folder / DEFAULT_FOLDER)


def measure(spoken: Sequence[Spoken], folder: Path, judges: Judges) -> list[dict[str, float]]:
    """What the judges say of each utterance."""
    speaker_model = judges.speaker_model
    prompts = {each.prompt: waveform_at(folder / each.prompt, JUDGES_RATE) for each in spoken}
    vectors = {} if speaker_model is None else {p: speaker_model(w) for p, w in prompts.items()}
    samples = [
        Sample(
            name=each.audio,
            waveform=waveform_at(folder / each.audio, JUDGES_RATE),
            text=each.text,
            voices={"cosine": vectors[each.prompt]} if vectors else {},
        )
        for each in spoken
    ]
    rows = []
    for each, sample, scores in zip(spoken, samples, judge(samples, judges), strict=True):
        row = {**counted(scores), "rate": scores.words.characters / each.seconds}
        if each.timings:
            row["real_time_factor"] = each.timings["total"] / each.seconds
        spoken_pitch, wanted = (
            median_pitch(w, JUDGES_RATE) for w in (sample.waveform, prompts[each.prompt])
        )
        if spoken_pitch and wanted:
            row["pitch_error"] = abs(half_tones(spoken_pitch, wanted))
        rows.append(row)
    return rows


def counted(scores: Scores) -> dict[str, float]:
    """What `summed` takes: errors and lengths apart, all else as it is."""
    words = scores.words
    return {
        **scores.values,
        "word_errors": words.word_errors,
        "words": words.words,
        "character_errors": words.character_errors,
        "characters": words.characters,
    }


def half_tones(pitch: float, reference: float) -> float:
    """How far above the reference."""
    return float(12 * torch.tensor(pitch / reference).log2())


def pitch_correlation(spoken: Sequence[Spoken], folder: Path) -> float | None:
    """Pearson's correlation over utterances: log median F0 of the speech and of its prompt.

    None with fewer than three utterances that have one.
    """
    pairs = [
        (median_pitch(waveform_at(folder / each.audio, JUDGES_RATE), JUDGES_RATE),
         median_pitch(waveform_at(folder / each.prompt, JUDGES_RATE), JUDGES_RATE))
        for each in spoken
    ]  # fmt: skip
    voiced = [pair for pair in pairs if all(pair)]
    if len(voiced) < 3:
        return None
    return float(torch.corrcoef(torch.tensor(voiced, dtype=torch.float64).log().T)[0, 1])


def summed(rows: Sequence[Mapping[str, float]], name: str) -> tuple[list[float], list[float]]:
    """Of each utterance that has the measure: its value and weight; error rates go by length."""
    over = {"wer": ("word_errors", "words"), "cer": ("character_errors", "characters")}
    if name in over:
        above, below = over[name]
        return [row[above] for row in rows], [row[below] for row in rows]
    values = [row[name] for row in rows if name in row]
    return values, [1.0] * len(values)


def differences(scores: Mapping[str, Sequence[Mapping[str, float]]], name: str) -> Estimate | None:
    """Now less before, paired by utterance."""
    now, before = scores["now"], scores["before"]
    if name in ("wer", "cer"):
        (above, size), (other, _) = summed(now, name), summed(before, name)
        gaps = [a - b for a, b in zip(above, other, strict=True)]
    else:
        pairs = [
            (a[name], b[name]) for a, b in zip(now, before, strict=True) if name in a and name in b
        ]
        gaps, size = [a - b for a, b in pairs], [1.0] * len(pairs)
    return estimate(gaps, size, generator=torch.Generator().manual_seed(0)) if gaps else None


def worse(scores: Mapping[str, Sequence[Mapping[str, float]]]) -> list[str]:
    """Measures that changed for the worse, with an interval that leaves out 0."""
    found = []
    for name, measure in MEASURES.items():
        gap = differences(scores, name) if measure.better else None
        if gap is not None and max(measure.better * gap.low, measure.better * gap.high) < 0:
            found.append(name)
    return found


def table(
    scores: Mapping[str, Sequence[Mapping[str, float]]], pitches: Mapping[str, float | None]
) -> Iterator[str]:
    """Markdown."""
    names = list(scores)
    paired = "before" in scores
    heads = [*names, *(["difference"] if paired else [])]
    yield f"{len(scores['now'])} sentences; in brackets 95 % bootstrap intervals over utterances\n"
    yield f"| | {' | '.join(heads)} |\n|---|{'---|' * len(heads)}"
    for key, measure in MEASURES.items():
        cells = []
        for name in names:
            values, sizes = summed(scores[name], key)
            if not values:
                break
            cells.append(
                shown(estimate(values, sizes, generator=torch.Generator().manual_seed(0)), measure)
            )
        if len(cells) < len(names):
            continue
        if paired and (gap := differences(scores, key)) is not None:
            cells.append(shown(gap, measure))
        yield f"| {measure.title} | {' | '.join(cells)} |"
    found = [pitches[name] for name in names]
    cells = ["" if value is None else f"{value:.2f}" for value in found] + [""] * paired
    yield f"| correlation of median F0 with the prompt's | {' | '.join(cells)} |"


def shown(value: Estimate, measure: Measure) -> str:
    """An estimate in the measure's own unit."""
    mean, low, high = (
        f"{measure.factor * x:.{measure.digits}f}" for x in (value.value, value.low, value.high)
    )
    return f"{mean} [{low}, {high}]"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
