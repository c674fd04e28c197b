"""Pairs of recordings of which one ought to be likelier, and how often a speech LM finds that.

sWUGGY (a word against a made-up one), sBLIMP (grammar), StoryCloze (which ending) and SALMon (the
same speaker, room, noise to the end) are all of this form. A set is a folder with `pairs.jsonl`:

    {"kind": "words", "pair": "table", "true": "a.wav", "false": "b.wav", "starts": [0.0, 0.0]}

`starts` are seconds: what lies before is given, and only what follows is scored. Pairs of one name
are one question in several voices: it counts once.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from jaxtyping import Float, Int
from torch import Tensor

from uslm.evaluation.metrics.bootstrap import Estimate, estimate
from uslm.models.spans import Span
from uslm.models.speech_lm import SpeechLM
from uslm_tokenizer.audio.read import read_audio
from uslm_tokenizer.base import AudioTokenizer
from uslm_tokenizer.errors import MissingResource, UserError
from uslm_tokenizer.weight_hash import weight_hash

FILE = "pairs.jsonl"
WAYS = ("whole", "token", "second")
"""Log-likelihood of all that is scored, for each token of it, and for each second."""


@dataclass(frozen=True, kw_only=True)
class Pair:
    """Two recordings."""

    kind: str
    name: str
    """Pairs of one name are one question."""
    true: Path
    false: Path
    starts: tuple[float, float] = (0.0, 0.0)
    """Seconds of each that are given."""


@dataclass(frozen=True, kw_only=True)
class Cost:
    """Cost of a recording to a language model, after its start."""

    nats: float
    tokens: int
    seconds: float

    def by(self, way: str) -> float:
        """Nats in one of WAYS."""
        return self.nats / {"whole": 1.0, "token": self.tokens, "second": self.seconds}[way]


@dataclass(frozen=True, kw_only=True)
class PairScores:
    """Results of one kind of pairs."""

    accuracy: Mapping[str, Estimate]
    """Share of pairs whose true recording is likelier, by WAYS; ties count half."""
    nats_per_second: Estimate
    """Of the true recordings."""
    tokens_per_second: Estimate


def read_pairs(folder: Path) -> list[Pair]:
    """The pairs of a folder; UserError for a line that is none, MissingResource for a file."""
    path = folder / FILE
    if not path.is_file():
        raise MissingResource(f"there are no pairs in {folder}: it has no {FILE}")
    found = []
    for number, line in enumerate(path.read_text("utf-8").splitlines(), start=1):
        try:
            row = json.loads(line)
            starts = [float(start) for start in row.get("starts", (0.0, 0.0))]
            pair = Pair(
                kind=str(row["kind"]),
                name=str(row["pair"]),
                true=folder / row["true"],
                false=folder / row["false"],
                starts=(starts[0], starts[1]),
            )
        except (ValueError, KeyError, TypeError, IndexError, AttributeError) as problem:
            raise UserError(f"{path}, line {number}, is no pair: {problem!r}") from problem
        for audio in (pair.true, pair.false):
            if not audio.is_file():
                raise MissingResource(f"{path} names {audio}, which is not there")
        found.append(pair)
    if not found:
        raise UserError(f"{path} holds no pairs")
    return found


def write_pairs(pairs: Sequence[Pair], folder: Path) -> None:
    """The list, beside recordings that are there already."""
    lines = []
    for pair in pairs:
        row = {
            "kind": pair.kind,
            "pair": pair.name,
            "true": pair.true.relative_to(folder).as_posix(),
            "false": pair.false.relative_to(folder).as_posix(),
            "starts": list(pair.starts),
        }
        lines.append(json.dumps(row, ensure_ascii=False) + "\n")
    (folder / FILE).write_text("".join(lines), "utf-8")


def score_pairs(
    model: SpeechLM, tokenizer: AudioTokenizer, pairs: Sequence[Pair]
) -> dict[str, PairScores]:
    """Scores by kind. UserError where the model was trained on another tokenizer's units."""
    model.check_tokenizer(weight_hash(tokenizer=tokenizer))
    if model.codebook_size != tokenizer.codebook_size:
        raise UserError(
            f"the language model knows {model.codebook_size} units, but the tokenizer has "
            f"{tokenizer.codebook_size}"
        )
    costs = []
    for pair in pairs:
        ends = zip((pair.true, pair.false), pair.starts, strict=True)
        costs.append([_cost(model, tokenizer, path, start) for path, start in ends])
    return {
        kind: _scores(
            [pair.name for pair in pairs if pair.kind == kind],
            [cost for pair, cost in zip(pairs, costs, strict=True) if pair.kind == kind],
        )
        for kind in dict.fromkeys(pair.kind for pair in pairs)
    }


def _scores(names: Sequence[str], costs: Sequence[Sequence[Cost]]) -> PairScores:
    draw = torch.Generator().manual_seed(0)
    accuracy = {}
    for way in WAYS:
        right: dict[str, list[float]] = {}
        for name, (true, false) in zip(names, costs, strict=True):
            better = float(true.by(way) < false.by(way)) + 0.5 * (true.by(way) == false.by(way))
            right.setdefault(name, []).append(better)
        means = [sum(each) / len(each) for each in right.values()]
        accuracy[way] = estimate(means, generator=draw)
    seconds = [true.seconds for true, _ in costs]
    return PairScores(
        accuracy=accuracy,
        nats_per_second=estimate([true.nats for true, _ in costs], seconds, generator=draw),
        tokens_per_second=estimate([true.tokens for true, _ in costs], seconds, generator=draw),
    )


@torch.no_grad()
def _cost(model: SpeechLM, tokenizer: AudioTokenizer, path: Path, start: float) -> Cost:
    waveform = read_audio(path).resampled(tokenizer.sample_rate).waveform
    units = tokenizer.encode_long(waveform)[0]
    before = round(start * tokenizer.frame_rate)
    if before >= len(units):
        raise UserError(
            f"{path} has {len(units) / tokenizer.frame_rate:.2f} s, but is to be scored from "
            f"{start:.2f} s on"
        )
    return span_cost(model, units[:before], units[before:], tokenizer.frame_rate)


@torch.no_grad()
def span_cost(
    model: SpeechLM, before: Int[Tensor, " b"], units: Int[Tensor, " t"], frame_rate: float
) -> Cost:
    """Cost of units after others; the end of the sequence is not counted."""
    row = [Span("speech", before)] * bool(len(before)) + [Span("speech", units)]
    batch = model.batch([row], [len(row) - 1])
    losses: Float[Tensor, "1 l"] = model.token_losses(batch)
    spoken = batch.is_speech
    return Cost(
        nats=float((losses * spoken).sum()),
        tokens=int(spoken.sum()),
        seconds=len(units) / frame_rate,
    )
