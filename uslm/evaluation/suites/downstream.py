"""Downstream probes of fixed budget on frozen tokens: phonemes, and every label that is given.

Phonemes are asked of people never seen in training, classes of an utterance (who speaks, which
language, which command) of utterances never seen, whose class was.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

from uslm.evaluation.suites.encoded import EncodedSet, EncodedSpeech, frame_labels
from uslm.evaluation.suites.probe import (
    Batch,
    Compressor,
    ProbeConfig,
    TokenProbe,
    ordered_batches,
    train_probe,
)
from uslm.evaluation.suites.speech_set import vocabulary
from uslm_tokenizer.errors import UserError

HELD_OUT = 3
"""Of the utterances of a class, every third is asked about."""


@dataclass(frozen=True, kw_only=True)
class ProbeErrors:
    """Wrong answers and questions of each utterance asked about."""

    errors: tuple[int, ...]
    questions: tuple[int, ...]

    @property
    def rate(self) -> float:
        """Wrong answers for each question."""
        return sum(self.errors) / sum(self.questions)


def probe_phonemes(
    encoded: EncodedSet,
    config: ProbeConfig,
    *,
    seed: int,
    compressor: Compressor | None = None,
    share: float = 1.0,
    shuffle_labels: bool = False,
) -> ProbeErrors:
    """Probe for the phoneme of each frame; frames of pauses are not asked about.

    `share` of the training utterances are used, for curves of learning. `shuffle_labels` is a
    control: the labels of each utterance are in a random order.
    """
    symbols = vocabulary(each.speech for each in encoded.train)
    rows = [row for row in encoded.train if row.speech.segments]
    rows = rows[: max(1, round(share * len(rows)))]
    asked = [row for row in encoded.test if row.speech.segments]
    if not rows or not asked:
        raise UserError("the phoneme probe needs a manifest with phonemes and durations")
    labels, wanted = _frames(rows, encoded, symbols), _frames(asked, encoded, symbols)
    if shuffle_labels:
        draw = torch.Generator().manual_seed(seed)
        labels, wanted = (
            [row[torch.randperm(len(row), generator=draw)] for row in each]
            for each in (labels, wanted)
        )

    def loss(probe: TokenProbe, batch: Batch) -> Float[Tensor, ""]:
        scores = probe(batch.codes, batch.lengths)[batch.mask]
        return F.cross_entropy(scores, torch.cat([labels[row] for row in batch.rows]))

    probe = train_probe(
        config,
        [row.codes for row in rows],
        loss,
        codebook_size=encoded.codebook_size,
        num_classes=len(symbols) + 1,
        seed=seed,
        compressor=compressor,
    )
    errors, questions = [], []
    for batch in ordered_batches([row.codes for row in asked], config.batch_size):
        guesses = probe(batch.codes, batch.lengths)[..., 1:].argmax(-1) + 1
        for guess, row in zip(guesses, batch.rows, strict=True):
            truth = wanted[row]
            spoken = truth > 0
            errors.append(int((guess[: len(truth)] != truth)[spoken].sum()))
            questions.append(int(spoken.sum()))
    return ProbeErrors(errors=tuple(errors), questions=tuple(questions))


def probe_label(
    encoded: EncodedSet,
    kind: str,
    config: ProbeConfig,
    *,
    seed: int,
    compressor: Compressor | None = None,
) -> ProbeErrors:
    """Probe for the class of each utterance, of one kind: the speaker, the language, a command.

    UserError unless two classes have the utterances to learn from and to ask about.
    """
    learnt, asked = split_by_label([*encoded.train, *encoded.test], kind)
    classes = sorted({row.speech.labels[kind] for row in learnt})
    places = {name: place for place, name in enumerate(classes)}
    targets = torch.tensor([places[row.speech.labels[kind]] for row in learnt])

    def loss(probe: TokenProbe, batch: Batch) -> Float[Tensor, ""]:
        return F.cross_entropy(probe.whole(batch.codes, batch.lengths), targets[list(batch.rows)])

    probe = train_probe(
        config,
        [row.codes for row in learnt],
        loss,
        codebook_size=encoded.codebook_size,
        num_classes=len(classes),
        seed=seed,
        compressor=compressor,
    )
    errors: list[int] = []
    for batch in ordered_batches([row.codes for row in asked], config.batch_size):
        guesses = probe.whole(batch.codes, batch.lengths).argmax(-1).tolist()
        errors += [
            int(guess != places[asked[row].speech.labels[kind]])
            for guess, row in zip(guesses, batch.rows, strict=True)
        ]
    return ProbeErrors(errors=tuple(errors), questions=(1,) * len(errors))


def split_by_label(
    rows: Sequence[EncodedSpeech], kind: str
) -> tuple[list[EncodedSpeech], list[EncodedSpeech]]:
    """To learn from, and to ask about: of each class with enough utterances, every third."""
    by_class: dict[str, list[EncodedSpeech]] = {}
    for row in rows:
        if kind in row.speech.labels:
            by_class.setdefault(row.speech.labels[kind], []).append(row)
    enough = [each for each in by_class.values() if len(each) >= HELD_OUT]
    if len(enough) < 2:
        raise UserError(
            f"the probe of {kind!r} needs two classes with {HELD_OUT} utterances each, "
            f"but there are {len(enough)}"
        )
    asked = [row for each in enough for row in each[HELD_OUT - 1 :: HELD_OUT]]
    learnt = [row for each in enough for i, row in enumerate(each, 1) if i % HELD_OUT]
    return learnt, asked


def chance(rows: Sequence[EncodedSpeech], kind: str) -> float:
    """Error rate of always naming the commonest class."""
    _, asked = split_by_label(rows, kind)
    names = [row.speech.labels[kind] for row in asked]
    return 1 - max(names.count(name) for name in set(names)) / len(names)


def _frames(
    rows: Sequence[EncodedSpeech], encoded: EncodedSet, symbols: Sequence[str]
) -> list[Int[Tensor, " _"]]:
    return [
        frame_labels(row.speech, row.codes.shape[1], encoded.frame_rate, symbols) for row in rows
    ]
