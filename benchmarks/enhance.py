#!/usr/bin/env python3
"""Noise taken away, and judged: by a model of train_gense, by spectral gating, and not at all.

    python benchmarks/enhance.py --model runs/speaker/system --corpus data/corpus \\
        --recognizer openai/whisper-base --out runs/enhanced

Held-out recordings of the corpus with noise of the kind that the training makes, at each ratio of
--snr. The arms of an utterance share its noise and its seed. Two rows bound what the model can
reach: the recording itself, and what its codec makes of that. Prints Markdown: the judges' means
with 95 % intervals, and how far the model is above each arm, paired. What was made stays in --out.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import noisereduce
import numpy as np
import torch
from voice import Measure, counted, differences, shown, summed

from uslm.enhancement import SpeechEnhancer
from uslm.evaluation.judges.loading import load_judges
from uslm.evaluation.metrics.bootstrap import estimate
from uslm.evaluation.metrics.scores import Judges, Sample, judge
from uslm.systems.gense.pipeline import Gense
from uslm.systems.model_parts import Parts
from uslm_recipes.data.augment.damage import DamageConfig, Samples, damaged
from uslm_recipes.data.corpus import Corpus
from uslm_tokenizer import write_audio
from uslm_tokenizer.audio.read import Audio
from uslm_tokenizer.base import AudioTokenizer
from uslm_tokenizer.machine import Machine

JUDGES_RATE = 16_000
MODEL, NOISY, GATED, ALONE = "GenSE", "noisy", "spectral gating", "GenSE without noisy codes"
CLEAN, CODEC = "clean recording", "its codec alone"
MEASURES = {
    "wer": Measure("WER, %", -1, 100, 1),
    "cosine": Measure("speaker cosine", 1, 1, 3),
    "dnsmos": Measure("DNSMOS overall", 1),
    "dnsmos_p808": Measure("P.808", 1),
}
"""The cosine is to the clean recording."""

Rows = list[dict[str, float]]


@dataclass(frozen=True)
class Recording:
    """A held-out utterance."""

    name: str
    text: str
    clean: Samples
    voices: Mapping[str, torch.Tensor]
    """The speaker model's vector of it, if there is one."""


def main(arguments: Sequence[str]) -> int:
    given = parser().parse_args(arguments)
    if given.threads:
        torch.set_num_threads(given.threads)
    judges = load_judges(given.recognizer, given.speaker_model, dnsmos=given.dnsmos)
    recordings = held_out(given.corpus, given.sources, given.limit, judges)
    model = SpeechEnhancer.from_pretrained(given.model)
    tokenizer = model.model.tokenizer
    seconds = sum(len(each.clean) for each in recordings) / JUDGES_RATE
    machine = Machine.here()
    print(
        f"{len(recordings)} recordings, {seconds:.0f} s; {machine.cpu}, {machine.threads} threads, "
        f"torch {machine.torch}. In brackets 95 % bootstrap intervals over recordings.\n"
    )

    bounds = {
        CLEAN: lambda samples, seed: samples,
        CODEC: lambda samples, seed: _through(tokenizer, samples),
    }
    clean = [recording.clean for recording in recordings]
    found = measured(recordings, clean, bounds, given.out / "clean", judges)
    print("\n".join([*table("Without noise", found), ""]))
    arms = arms_of(model)
    for snr in given.snr:
        noisy = [
            damaged(each.clean, JUDGES_RATE, DamageConfig().at(snr), np.random.default_rng(seed))
            for seed, each in enumerate(recordings)
        ]
        found = measured(recordings, noisy, arms, given.out / f"{snr:g}dB", judges)
        print("\n".join(table(f"{snr:g} dB", found)))
        print("\n".join(gaps(found)), flush=True)
    return 0


def parser() -> argparse.ArgumentParser:
    """The arguments."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    add = parser.add_argument
    add("--model", required=True, help="folder of a system of train_gense")
    add("--corpus", type=Path, required=True, help="corpus of 16 kHz with held-out recordings")
    add("--sources", nargs="*", default=None, help="its collections; all unless given")
    add("--recognizer", required=True, help="folder or Hub name of a Whisper model")
    add("--speaker-model", default="resemblyzer", help="see `uslm evaluate`")
    add("--dnsmos", action=argparse.BooleanOptionalAction, default=True)
    add("--snr", type=float, nargs="+", default=[0.0, 5.0, 10.0], help="speech to noise, dB")
    add("--limit", type=int, default=24, help="at most so many recordings")
    add("--threads", type=int, help="threads of PyTorch")
    add("--out", type=Path, required=True, help="folder for what is made")
    return parser


def held_out(
    folder: Path, sources: Sequence[str] | None, limit: int, judges: Judges
) -> list[Recording]:
    """Recordings with a text that no training read, 2 to 8 seconds long, from all over the list."""
    corpus = Corpus([folder])
    chosen = corpus.select(
        split="test", with_text=True, min_seconds=2.0, max_seconds=8.0, sources=sources or None
    )
    picked = chosen[np.unique(np.linspace(0, len(chosen) - 1, min(limit, len(chosen))).astype(int))]
    speaker_model, recordings = judges.speaker_model, []
    for i in picked.tolist():
        waveform = corpus.waveform(i)
        voices = {} if speaker_model is None else {"cosine": speaker_model(waveform)}
        recordings.append(
            Recording(f"{i:05d}", corpus.utterances[i].text, waveform.numpy(), voices)
        )
    return recordings


Arm = Callable[[Samples, int], Samples]
"""Samples and a seed to samples."""


def arms_of(enhancer: SpeechEnhancer) -> dict[str, Arm]:
    """What is done to a noisy recording, by name."""
    model = enhancer.model
    settings = replace(model.settings, prompted=False)
    unprompted = SpeechEnhancer(Gense(Parts(dict(model.networks)), settings))

    def cleaned(samples: Samples, seed: int) -> Samples:
        return _samples(enhancer.enhance(_audio(samples), seed=seed).waveform)

    def without_codes(samples: Samples, seed: int) -> Samples:
        return _samples(unprompted.enhance(_audio(samples), seed=seed).waveform)

    def gated(samples: Samples, seed: int) -> Samples:
        made: Samples = noisereduce.reduce_noise(y=samples, sr=JUDGES_RATE, stationary=True)
        return made.astype(np.float32)

    return {NOISY: lambda samples, seed: samples, GATED: gated, MODEL: cleaned,
            ALONE: without_codes}  # fmt: skip


def measured(
    recordings: Sequence[Recording],
    given: Sequence[Samples],
    arms: Mapping[str, Arm],
    out: Path,
    judges: Judges,
) -> dict[str, Rows]:
    """What the judges say of each arm's outcome for each recording."""
    found: dict[str, Rows] = {}
    for name, arm in arms.items():
        samples = []
        (out / name).mkdir(parents=True, exist_ok=True)
        for seed, (each, start) in enumerate(zip(recordings, given, strict=True)):
            made = torch.from_numpy(arm(start, seed))
            write_audio(out / name / f"{each.name}.wav", made[None], JUDGES_RATE)
            samples.append(
                Sample(name=each.name, waveform=made, text=each.text, voices=each.voices)
            )
        found[name] = [counted(scores) for scores in judge(samples, judges)]
    return found


def table(title: str, found: Mapping[str, Rows]) -> Iterator[str]:
    """Markdown: a row for each arm."""
    measures = taken(found)
    yield f"| {title} | {' | '.join(each.title for each in measures.values())} |"
    yield f"|---|{'---|' * len(measures)}"
    for name, rows in found.items():
        cells = []
        for key, measure in measures.items():
            values, sizes = summed(rows, key)
            value = estimate(values, sizes, generator=torch.Generator().manual_seed(0))
            cells.append(shown(value, measure))
        yield f"| {name} | {' | '.join(cells)} |"


def gaps(found: Mapping[str, Rows]) -> Iterator[str]:
    """Markdown, rows of the same table: the model less each other arm, paired."""
    for name, rows in found.items():
        if name == MODEL:
            continue
        cells = []
        for key, measure in taken(found).items():
            gap = differences({"now": found[MODEL], "before": rows}, key)
            cells.append("" if gap is None else shown(gap, measure))
        yield f"| *{MODEL} less {name}* | {' | '.join(cells)} |"
    yield ""


def taken(found: Mapping[str, Rows]) -> dict[str, Measure]:
    """Measures of judges that were asked."""
    return {
        key: measure
        for key, measure in MEASURES.items()
        if all(summed(rows, key)[0] for rows in found.values())
    }


def _audio(samples: Samples) -> Audio:
    return Audio(torch.from_numpy(samples)[None], JUDGES_RATE)


def _samples(waveform: torch.Tensor) -> Samples:
    made: Samples = waveform[0].numpy()
    return made


@torch.no_grad()
def _through(tokenizer: AudioTokenizer, samples: Samples) -> Samples:
    waveform = torch.from_numpy(samples)[None, None]
    return _samples(tokenizer.decode(tokenizer.encode(waveform))[0])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
