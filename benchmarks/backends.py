#!/usr/bin/env python3
"""Both backends and their precisions side by side: speed, memory, start, and what judges say.

    python benchmarks/backends.py --out runs/backends
    python benchmarks/backends.py --recognizer openai/whisper-small --dnsmos --out runs/backends

Exports the model, makes one voice, and lets each arm speak the same sentences with the same seeds,
each sentence in a process of its own and the arms taking turns. Prints Markdown: medians over the
sentences, and the judges' means. What was spoken stays in --out.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parent.parent
SENTENCES = Path(__file__).parent / "voice_sentences.txt"
PROMPT = ROOT / "examples" / "voice.wav"
USLM = [sys.executable, "-c", "import sys; from uslm_app.cli import main; sys.exit(main())"]
ARMS = {
    "torch float32": ("torch", "float32"),
    "torch bfloat16": ("torch", "bfloat16"),
    "onnx float32": ("onnx", "float32"),
    "onnx int8": ("onnx", "int8"),
}


@dataclass(frozen=True)
class Run:
    """One sentence, spoken by one arm in a process of its own."""

    text: str
    audio: Path
    start_seconds: float
    """From the start of the process to the request: imports and loading."""
    first_audio_seconds: float
    """From the request to the first samples."""
    total_seconds: float
    """From the request to the last samples."""
    seconds: float
    """Length of the speech."""
    peak_bytes: int
    """The most memory that the process held."""


def main(arguments: Sequence[str]) -> int:
    given = parser().parse_args(arguments)
    given.out.mkdir(parents=True, exist_ok=True)
    folders = exported(given.model, given.arms, given.out)
    voice = given.out / "voice.safetensors"
    run([*USLM, "voice", "create", "--model", given.model, "--prompt", str(given.prompt),
         "--out", str(voice), "--force", "--quiet"])  # fmt: skip
    texts = [text for text in given.sentences.read_text("utf-8").splitlines() if text.strip()]
    runs: dict[str, list[Run]] = {arm: [] for arm in given.arms}
    for number, text in enumerate(texts[: given.limit]):
        for arm in given.arms:
            audio = given.out / f"{arm.replace(' ', '-')}-{number:02d}.wav"
            runs[arm].append(spoken(arm, folders[arm], voice, text, number, audio, given.threads))
    sizes = {arm: folder_bytes(Path(folder)) for arm, folder in folders.items()}
    verdicts = judged(runs, given) if given.recognizer else {}
    print("\n".join(table(runs, sizes, verdicts, given.threads)))
    return 0


def parser() -> argparse.ArgumentParser:
    """The arguments."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    add = parser.add_argument
    add("--model", default="default", help="name or folder of the model")
    add("--arms", nargs="+", choices=ARMS, default=list(ARMS), help="what is compared")
    add("--sentences", type=Path, default=SENTENCES, help="a sentence on each line")
    add("--prompt", type=Path, default=PROMPT, help="recording of the voice")
    add("--limit", type=int, default=8, help="the first so many sentences")
    add("--threads", type=int, default=2, help="CPU threads of each process")
    add("--recognizer", help="folder or Hub name of a Whisper model, for WER")
    add("--dnsmos", action="store_true", help="with a recogniser: judge the quality, too")
    add("--out", type=Path, required=True, help="folder for the models and what is spoken")
    return parser


def exported(model: str, arms: Sequence[str], out: Path) -> dict[str, str]:
    """The model of each arm; what has to be exported for it, is."""
    from uslm.models.folders import resolve_bundle

    folders: dict[str, str] = {}
    for arm in arms:
        backend, precision = ARMS[arm]
        folders[arm] = str(resolve_bundle(model))
        if backend == "onnx":
            folders[arm] = str(out / f"model-{precision}")
            run([*USLM, "export", model, "--format", "onnx", "--precision", precision, "--out",
                 folders[arm], "--force", "--quiet"])  # fmt: skip
    return folders


def spoken(
    arm: str, model: str, voice: Path, text: str, seed: int, audio: Path, threads: int
) -> Run:
    """Let an arm speak a sentence."""
    backend, precision = ARMS[arm]
    options = ["--dtype", precision] if backend == "torch" else []
    command = [
        *USLM, "say", "--text", text, "--voice", str(voice), "--out", str(audio), "--force",
        "--seed", str(seed), "--json", "--model", model, "--backend", backend,
        "--threads", str(threads), *options,
    ]  # fmt: skip
    start = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.PIPE)
    assert process.stdout is not None
    with process.stdout as pipe:
        output = pipe.read()
    _, status, usage = os.wait4(process.pid, 0)
    wall = time.perf_counter() - start
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{arm} failed")
    record = json.loads(output)
    total = record["timings"]["total"]
    return Run(
        text=text,
        audio=audio,
        start_seconds=wall - total,
        first_audio_seconds=record["timings"]["first_audio"],
        total_seconds=total,
        seconds=record["seconds"],
        peak_bytes=usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024),
    )


def judged(
    runs: Mapping[str, Sequence[Run]], given: argparse.Namespace
) -> dict[str, dict[str, float]]:
    """Means of the judges over the sentences of each arm; word errors by length."""
    from uslm.evaluation.judges.loading import load_judges
    from uslm.evaluation.metrics.scores import Sample, judge
    from uslm.evaluation.suites.speaking import waveform_at

    judges = load_judges(given.recognizer, None, dnsmos=given.dnsmos)
    found: dict[str, dict[str, float]] = {}
    for arm, each in runs.items():
        samples = [
            Sample(name=str(run.audio), waveform=waveform_at(run.audio, 16_000), text=run.text)
            for run in each
        ]
        scores = list(judge(samples, judges))
        names = {name for score in scores for name in score.values}
        found[arm] = {
            name: statistics.fmean(score.values[name] for score in scores) for name in names
        }
        errors = sum(score.words.word_errors for score in scores)
        found[arm]["wer"] = errors / sum(score.words.words for score in scores)
    return found


def table(
    runs: Mapping[str, Sequence[Run]],
    sizes: Mapping[str, int],
    verdicts: Mapping[str, Mapping[str, float]],
    threads: int,
) -> Iterator[str]:
    """Markdown."""
    count = len(next(iter(runs.values())))
    yield f"{platform.processor() or platform.machine()}, {threads} threads; {count} sentences\n"
    heads = ["real-time factor", "first audio, ms", "start, s", "peak memory, MB", "model, MB"]
    judges = {"wer": ("WER, %", 100, 1), "dnsmos": ("DNSMOS", 1, 2), "dnsmos_p808": ("P.808", 1, 2)}
    shown = [name for name in judges if any(name in each for each in verdicts.values())]
    heads += [judges[name][0] for name in shown]
    yield f"| | {' | '.join(heads)} |\n|---|{'---|' * len(heads)}"
    for arm, each in runs.items():
        cells = [
            f"{statistics.median(run.total_seconds / run.seconds for run in each):.3f}",
            f"{1000 * statistics.median(run.first_audio_seconds for run in each):.0f}",
            f"{statistics.median(run.start_seconds for run in each):.2f}",
            f"{max(run.peak_bytes for run in each) / 1e6:.0f}",
            f"{sizes[arm] / 1e6:.1f}",
        ]
        for name in shown:
            _, factor, digits = judges[name]
            cells.append(f"{factor * verdicts[arm][name]:.{digits}f}")
        yield f"| {arm} | {' | '.join(cells)} |"


def folder_bytes(folder: Path) -> int:
    """Of the weights and graphs in it."""
    return sum(
        path.stat().st_size
        for path in folder.rglob("*")
        if path.suffix in (".safetensors", ".onnx")
    )


def run(command: Sequence[str]) -> None:
    """A command that has to succeed."""
    subprocess.run(command, check=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
