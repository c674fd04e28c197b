"""A small set of spoken commands and their answers, cut out of speech by the times of its words.

The commands are the most frequent words that are not too short; the answer to each is the next of
them, said by somebody else.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from effect_codec import FRAME_RATE, seeded
from torch import Tensor, nn

from uslm.evaluation.suites.baseline import MelUnits, MelUnitsConfig
from uslm.evaluation.suites.speech_set import LabelledSpeech, SpeechSet
from uslm.systems.dual_speech.speaker_vector import speaker_vector
from uslm_tokenizer.audio.read import Audio

COMMANDS, SHORTEST = 8, 0.12
"""Different words, and the mean length that they should have, seconds."""
LEARNT, MEASURED = 60, 10
"""Times that a word is said, at most."""
NUM_UNITS, NUM_CODES = 64, 128


@dataclass(frozen=True, kw_only=True, eq=False)
class Spoken:
    """A word as somebody says it."""

    word: int
    units: Tensor
    codes: Tensor
    vector: Tensor


@dataclass(frozen=True, kw_only=True, eq=False)
class Commands:
    """Words to learn from, and to measure with, of other speakers."""

    names: tuple[str, ...]
    train: tuple[Spoken, ...]
    test: tuple[Spoken, ...]

    def of_word(self, word: int) -> list[Spoken]:
        """Those to learn from."""
        return [each for each in self.train if each.word == word]

    def someone(self, word: int, draw: torch.Generator) -> Spoken:
        """A word as anybody of the training says it; another word where nobody says that."""
        those = self.of_word(word) or list(self.train)
        return those[int(torch.randint(len(those), (1,), generator=draw))]


def cut_commands(speech: SpeechSet, seed: int) -> Commands:
    """The words, in units of one codebook and codes of another."""
    draw = torch.Generator().manual_seed(seed)
    tokenizers = []
    for size in (NUM_UNITS, NUM_CODES):
        tokenizer = MelUnits(MelUnitsConfig(codebook_size=size))
        waveforms = [row.waveform for row in speech.train]
        tokenizer.fit(waveforms, tokenizer.sample_rate, generator=draw)
        tokenizers.append(tokenizer)
    names = _names(speech.train)
    train, test = (
        _cut(rows, names, tokenizers, most)
        for rows, most in ((speech.train, LEARNT), (speech.test, MEASURED))
    )
    return Commands(names=names, train=train, test=test)


def _names(rows: Sequence[LabelledSpeech]) -> tuple[str, ...]:
    counts: Counter[str] = Counter()
    lengths: defaultdict[str, float] = defaultdict(float)
    for row in rows:
        for word in row.words:
            counts[word.symbol] += 1
            lengths[word.symbol] += word.end - word.start
    frequent = [word for word, _ in counts.most_common()]
    # Where too few are long, the most frequent of the short ones follow.
    return tuple(sorted(frequent, key=lambda w: lengths[w] / counts[w] < SHORTEST)[:COMMANDS])


def _cut(
    rows: Sequence[LabelledSpeech],
    names: tuple[str, ...],
    tokenizers: Sequence[MelUnits],
    most: int,
) -> tuple[Spoken, ...]:
    found: list[Spoken] = []
    counts: Counter[int] = Counter()
    for row in rows:
        units, codes = (each.encode(row.waveform[None])[0, 0] for each in tokenizers)
        vector = speaker_vector(Audio(row.waveform, 16_000))
        for word in row.words:
            start, end = (round(time * FRAME_RATE) for time in (word.start, word.end))
            if word.symbol not in names or end - start < 3:
                continue
            number = names.index(word.symbol)
            if counts[number] < most:
                counts[number] += 1
                part = slice(start, end)
                found.append(
                    Spoken(word=number, units=units[part], codes=codes[part], vector=vector)
                )
    return tuple(found)


class WordJudge(nn.Module):
    """Tells which word a row of tokens is, from how often each is there in either half."""

    def __init__(self, size: int, num_words: int) -> None:
        super().__init__()
        self.size = size
        self.body = nn.Sequential(
            nn.Dropout(0.3), nn.Linear(2 * size, 64), nn.GELU(), nn.Linear(64, num_words)
        )

    def forward(self, rows: Sequence[Tensor]) -> Tensor:
        return self.body(torch.stack([self._counts(row) for row in rows]))

    def _counts(self, row: Tensor) -> Tensor:
        halves = (row[: (len(row) + 1) // 2], row[len(row) // 2 :])
        return torch.cat(
            [F.one_hot(half, self.size).float().sum(0) / max(1, len(half)) for half in halves]
        )

    @torch.no_grad()
    def wrong(self, rows: Sequence[Tensor], words: Sequence[int]) -> tuple[float, ...]:
        """1 where a row is taken for another word; an empty one is none."""
        chosen = self(rows).argmax(1).tolist()
        return tuple(
            float(not len(row) or a != b) for row, a, b in zip(rows, chosen, words, strict=True)
        )


def trained_judge(rows: Sequence[Tensor], words: Sequence[int], size: int, seed: int) -> WordJudge:
    """A judge of true rows."""
    judge: WordJudge = seeded(seed, lambda: WordJudge(size, COMMANDS)).train()
    optimizer = torch.optim.AdamW(judge.parameters(), 3e-3, weight_decay=0.05)
    targets = torch.tensor(words)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        for _ in range(150):
            optimizer.zero_grad()
            F.cross_entropy(judge(rows), targets).backward()
            optimizer.step()
    return judge.eval()
