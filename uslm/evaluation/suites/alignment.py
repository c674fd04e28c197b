"""Text alignment (SLMTokBench, Zhang et al. 2023): how much the tokens tell of the phonemes.

A CTC probe gives q(y | x). The bound on the mutual information is the mean log q of what was said,
less that of what was said in other utterances (vCLUB, Cheng et al. 2020), given per phoneme, so
that sets of long and of short utterances compare. It is the paper's number: it is an upper bound
if q is right, and a sure probe exceeds the entropy of phonemes. Beside it stands a lower bound
that no probe exceeds, InfoNCE (van den Oord et al. 2018), which cannot be above the logarithm of
the number of utterances compared. The text of another utterance gives zero.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

from uslm.evaluation.suites.encoded import EncodedSet, EncodedSpeech
from uslm.evaluation.suites.probe import (
    Batch,
    ProbeConfig,
    TokenProbe,
    ordered_batches,
    train_probe,
)
from uslm.evaluation.suites.speech_set import vocabulary
from uslm_tokenizer.errors import UserError
from uslm_tokenizer.sequence.edit_distance import edit_distance

PAIRED = 32
"""Utterances whose texts are tried on each other."""


@dataclass(frozen=True, kw_only=True)
class Alignment:
    """Results of one probe, for each test utterance."""

    information: tuple[float, ...]
    """Nats of the utterance; their mean is vCLUB."""
    lower: tuple[float, ...]
    """Nats of the utterance; their mean is InfoNCE."""
    errors: tuple[int, ...]
    """Phonemes that the probe got wrong."""
    phonemes: tuple[int, ...]
    """Phonemes of the utterance."""


def align_text(
    encoded: EncodedSet,
    config: ProbeConfig,
    *,
    seed: int,
    shuffle_text: bool = False,
) -> Alignment:
    """Train a probe on the train part and ask it about the test part.

    With `shuffle_text` every utterance gets the text of another one, in both parts: the control
    whose bound must be near zero.
    """
    symbols = vocabulary(each.speech for each in encoded.train)
    if not symbols:
        raise UserError("text alignment needs a manifest with phonemes")
    train, test = _with_text(encoded.train), _with_text(encoded.test)
    train_texts, test_texts = _texts(train, symbols), _texts(test, symbols)
    if shuffle_text:
        draw = torch.Generator().manual_seed(seed)
        train_texts, test_texts = _shuffled(train_texts, draw), _shuffled(test_texts, draw)

    probe = train_recognizer(
        [each.codes for each in train],
        train_texts,
        config,
        codebook_size=encoded.codebook_size,
        num_symbols=len(symbols),
        seed=seed,
    )
    return _measure(probe, [each.codes for each in test], test_texts)


def train_recognizer(
    codes: Sequence[Int[Tensor, "k _"]],
    texts: Sequence[Int[Tensor, " _"]],
    config: ProbeConfig,
    *,
    codebook_size: int,
    num_symbols: int,
    seed: int,
) -> TokenProbe:
    """A CTC probe (Graves et al. 2006) that reads the texts' symbols, from 1 on, off the tokens."""

    def loss(probe: TokenProbe, batch: Batch) -> Float[Tensor, ""]:
        targets = [texts[row] for row in batch.rows]
        each = -log_likelihood(probe(batch.codes, batch.lengths), batch.lengths, targets)
        sizes = torch.tensor([len(text) for text in targets])
        each = torch.where(each.isfinite(), each, 0.0)  # fewer frames than phonemes
        return (each / sizes.clamp(min=1)).mean()

    return train_probe(
        config, codes, loss, codebook_size=codebook_size, num_classes=num_symbols + 1, seed=seed
    )


def recognize(scores: Float[Tensor, "t v"]) -> list[int]:
    """Symbols of the likeliest CTC path."""
    best = torch.unique_consecutive(scores.argmax(-1))
    symbols: list[int] = best[best != 0].tolist()
    return symbols


@torch.no_grad()
def _measure(
    probe: TokenProbe, codes: Sequence[Int[Tensor, "k _"]], texts: Sequence[Int[Tensor, " _"]]
) -> Alignment:
    information: list[float] = []
    lower: list[float] = []
    errors: list[int] = []
    for batch in ordered_batches(codes, PAIRED):
        scores = probe(batch.codes, batch.lengths)
        theirs = [texts[row] for row in batch.rows]
        table = pairwise_likelihoods(scores, batch.lengths, theirs)
        information += vclub(table)
        lower += info_nce(table)
        for row, length, text in zip(scores, batch.lengths.tolist(), theirs, strict=True):
            errors.append(edit_distance(recognize(row[:length]), text.tolist()))
    return Alignment(
        information=tuple(information),
        lower=tuple(lower),
        errors=tuple(errors),
        phonemes=tuple(len(text) for text in texts),
    )


def pairwise_likelihoods(
    scores: Float[Tensor, "b t v"], lengths: Int[Tensor, " b"], texts: Sequence[Int[Tensor, " _"]]
) -> Float[Tensor, "b b"]:
    """log q of the text of the column, given the tokens of the row; -inf where it is too long."""
    b = len(scores)
    return torch.stack(
        [
            log_likelihood(scores[i : i + 1].expand(b, -1, -1), lengths[i].expand(b), texts)
            for i in range(b)
        ]
    )


def vclub(table: Float[Tensor, "b b"]) -> list[float]:
    """Each utterance's part of vCLUB.

    The mean over the mismatched pairs is split evenly between the two utterances of a pair: the
    sum stays what it is, and a long text does not weigh on one of them alone. Pairs without a
    likelihood are left out.
    """
    possible = table.isfinite()
    table = torch.where(possible, table, 0.0)
    by_row = table.sum(1) / possible.sum(1).clamp(min=1)
    by_column = table.sum(0) / possible.sum(0).clamp(min=1)
    parts = table.diagonal() - (by_row + by_column) / 2
    found: list[float] = torch.where(possible.diagonal(), parts, 0.0).tolist()
    return found


def info_nce(table: Float[Tensor, "b b"]) -> list[float]:
    """Each utterance's part of InfoNCE: which of the utterances is it that this text belongs to?

    By the tokens, for one text: the likelihoods of one text compare, those of unequal ones do not.
    """
    parts = table.diagonal() - table.logsumexp(0) + math.log(len(table))
    found: list[float] = torch.where(parts.isfinite(), parts, 0.0).tolist()
    return found


def log_likelihood(
    scores: Float[Tensor, "b t v"], lengths: Int[Tensor, " b"], texts: Sequence[Int[Tensor, " _"]]
) -> Float[Tensor, " b"]:
    """log q(text | tokens) by CTC, summed over all alignments; -inf where none fits."""
    return -F.ctc_loss(
        scores.log_softmax(-1).transpose(0, 1),
        torch.cat(list(texts)),
        lengths,
        torch.tensor([len(text) for text in texts]),
        reduction="none",
    )


def _with_text(rows: Sequence[EncodedSpeech]) -> list[EncodedSpeech]:
    return [row for row in rows if row.speech.phonemes]


def _texts(rows: Sequence[EncodedSpeech], symbols: Sequence[str]) -> list[Int[Tensor, " _"]]:
    """1 + the place of each phoneme; 0 is CTC's blank. What was never seen is left out."""
    places = {symbol: place for place, symbol in enumerate(symbols, start=1)}
    return [
        torch.tensor([places[p] for p in row.speech.phonemes if p in places], dtype=torch.long)
        for row in rows
    ]


def _shuffled(
    texts: Sequence[Int[Tensor, " _"]], generator: torch.Generator
) -> list[Int[Tensor, " _"]]:
    """The text of the next one in a random circle: nobody keeps their own."""
    order = torch.randperm(len(texts), generator=generator).tolist()
    mixed = list(texts)
    for place, row in enumerate(order):
        mixed[row] = texts[order[place - 1]]
    return mixed
