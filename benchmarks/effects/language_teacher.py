"""Effect: a language model whose states stand where the words are said teaches the first level."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace

import torch
import torch.nn.functional as F
from effect import Effect, Measured, Setting
from effect_codec import (
    FRAME_RATE,
    MelCodec,
    Rows,
    crops,
    encode_frames,
    frames_of,
    levels,
    seeded,
    train_codec,
)
from torch import Tensor, nn

from uslm.evaluation.suites.downstream import probe_phonemes
from uslm.evaluation.suites.encoded import EncodedSet, EncodedSpeech
from uslm.evaluation.suites.probe import ProbeConfig
from uslm.evaluation.suites.speech_set import LabelledSpeech, Segment
from uslm_tokenizer.objectives.distillation import distillation_loss
from uslm_tokenizer.quantize.base import Quantized

LEVELS = 3
WEIGHT = 4.0
"""Of the distillation beside the reconstruction, whose target has a variance of one."""
ASKED = 40
"""The most frequent words, which the probe tells apart."""
STATE = 32
"""Width of the language model."""
ARMS = ("aligned", "padded", "shuffled", "no teacher")


class WordModel(nn.Module):
    """A small masked language model: words -> states, and from them the words again."""

    def __init__(self, vocabulary: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(vocabulary + 1, STATE)  # the last is the mask
        self.body = nn.TransformerEncoderLayer(
            STATE, 2, 2 * STATE, dropout=0.0, batch_first=True, norm_first=True
        )
        self.head = nn.Linear(STATE, vocabulary)


def run(setting: Setting, seed: int) -> Mapping[str, Measured]:
    """Same codec, start, crops and steps; only where the states stand differs."""
    frames, steps = frames_of(setting.speech), setting.steps(120, 1500)
    train = frames.speech.train
    known = sorted({word.symbol for each in train for word in each.words})
    states = _states(train, known, seed, setting.steps(150, 1000))
    found = {}
    for arm in ARMS:
        how = "shuffled" if arm == "aligned" and setting.broken == "words shuffled" else arm
        laid = [
            _lay_out(each, states[i], len(frames.train[i]), how, i) for i, each in enumerate(train)
        ]
        cut = setting.broken == "gradient cut"
        codec = train_codec(
            levels(LEVELS),
            frames,
            seed,
            steps,
            more=None if arm == "no teacher" else _more(laid, cut),
            teacher_dim=STATE,
        )
        found[arm] = _word_errors(encode_frames(codec, frames, 1), setting, seed)
    return found


def _more(laid: Rows, cut: bool):  # type: ignore[no-untyped-def]
    def more(
        codec: MelCodec, quantized: Quantized, x: Tensor, rows: list[int], starts: list[int]
    ) -> Tensor:
        level = quantized.levels[0].mT
        projected = codec.to_teacher(level.detach() if cut else level)
        return WEIGHT * distillation_loss(projected, crops(laid, rows, starts))

    return more


def _states(
    train: Sequence[LabelledSpeech], known: Sequence[str], seed: int, steps: int
) -> list[Tensor]:
    """A state of each word of each training utterance, from a model of their texts; each dimension
    with a mean of zero and a variance of one."""
    place = {word: i for i, word in enumerate(known)}
    texts = [torch.tensor([place[word.symbol] for word in each.words]).long() for each in train]
    model: WordModel = seeded(seed, lambda: WordModel(len(known)))
    optimizer = torch.optim.Adam(model.parameters(), 3e-3)
    draw = torch.Generator().manual_seed(seed)
    read = [text for text in texts if len(text)]
    for _ in range(steps):
        loss = torch.zeros(())
        for i in torch.randint(len(read), (8,), generator=draw).tolist():
            hidden = torch.rand(len(read[i]), generator=draw) < 0.3
            hidden[int(torch.randint(len(hidden), (), generator=draw))] = True
            given = read[i].masked_fill(hidden, len(known))
            scores = model.head(model.body(model.embedding(given)[None])[0])
            loss = loss + F.cross_entropy(scores[hidden], read[i][hidden])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    with torch.no_grad():
        states = [
            model.body(model.embedding(text)[None])[0] if len(text) else torch.zeros(0, STATE)
            for text in texts
        ]
    together = torch.cat(states)
    mean, scale = together.mean(0), together.std(0).clamp(min=1e-3)
    return [(state - mean) / scale for state in states]


def _lay_out(
    speech: LabelledSpeech, states: Tensor, num_frames: int, how: str, number: int
) -> Tensor:
    """Frames [t, e] of an utterance; zero where nothing stands."""
    laid = torch.zeros(num_frames, STATE)
    if how == "padded":
        count = min(len(states), num_frames)
        laid[:count] = states[:count]
        return laid
    if how == "shuffled":
        draw = torch.Generator().manual_seed(number)
        order = torch.randperm(len(states), generator=draw)
        states = states[order][order.roll(1).argsort()] if len(states) else states
    for word, state in zip(speech.words, states, strict=True):
        first = round(word.start * FRAME_RATE)
        laid[first : max(first + 1, round(word.end * FRAME_RATE))] = state
    return laid


def _word_errors(encoded: EncodedSet, setting: Setting, seed: int) -> Measured:
    """Frames of the most frequent words that a probe takes for another, people never seen."""
    counts = Counter(word.symbol for row in encoded.train for word in row.speech.words)
    asked = {word for word, _ in counts.most_common(ASKED)}

    def of_words(rows: Sequence[EncodedSpeech]) -> tuple[EncodedSpeech, ...]:
        return tuple(replace(row, speech=_as_symbols(row.speech, asked)) for row in rows)

    config = ProbeConfig(
        dim=48, kernel_size=9, num_layers=2, steps=setting.steps(200, 1000), learning_rate=6e-3
    )
    given = replace(encoded, train=of_words(encoded.train), test=of_words(encoded.test))
    found = probe_phonemes(given, config, seed=seed)
    return Measured(totals=found.errors, sizes=found.questions)


def _as_symbols(speech: LabelledSpeech, asked: set[str]) -> LabelledSpeech:
    """The same with words for phonemes; those that are not asked about are pauses."""
    words = tuple(word for word in speech.words if word.symbol in asked)
    symbols = tuple(word.symbol for word in words)
    # Without segments an utterance would be left out, and the arms have to have the same.
    segments: tuple[Segment, ...] = words or (Segment(symbol="", start=0.0, end=0.0),)
    return replace(speech, phonemes=symbols, segments=segments)


EFFECTS = (
    Effect(
        name="language_teacher",
        claim="A language model teaches words to the first level where it is aligned with them",
        paper="DM-Codec (Ahasan et al. 2024), whose reviewers asked for it",
        arms=ARMS,
        measure=f"frames of the {ASKED} most frequent words that are taken for another of them, "
        "from the first level alone, unseen speakers",
        better="less",
        margin=0.02,
        breaks=("words shuffled", "gradient cut"),
        run=run,
        note="The codec is one of log-mel frames, with three levels of 32 codes; the language "
        "model is a small one of the training texts. DM-Codec lays a state out in each frame from "
        "the first on (padded); aligned, a word's state stands where the word is said.",
    ),
)
