"""Effects: the semantic loss of DualSpeechLM, and its chain of condition."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache

import torch
from effect import Effect, Measured, Setting
from effect_answers import (
    COMMANDS,
    NUM_CODES,
    NUM_UNITS,
    Commands,
    Spoken,
    cut_commands,
    trained_judge,
)
from effect_codec import FRAME_RATE, seeded
from torch import Tensor

from uslm.evaluation.suites.speech_set import SpeechSet
from uslm.generate.continuation import go_on
from uslm.generate.sampling import Sampling
from uslm.generate.spans import write_spans
from uslm.models.span_lm import SpanLMConfig
from uslm.models.spans import Span
from uslm.systems.dual_speech.decoder import CODES, SPEAKER, TEXT, UNITS, DualDecoder, kinds_of
from uslm.systems.dual_speech.model import TINY_LLAMA, DualLM, DualLMConfig
from uslm.systems.dual_speech.speaker_vector import SPEAKER_DIM

ROWS, WRONG_SHARE, THIRDS = 16, 0.5, (1 / 3, 1 / 3)
"""Rows of a step; share of the units that are wrong; rows with text alone, and with units alone."""
GREEDY = Sampling(temperature=0.0)
SEMANTIC = ("with the semantic loss", "without it", "another's question", "true answers")
CHAIN = ("text and units", "units alone", "text and units, text astray", "text alone")


# ---- the semantic loss


def run_semantic(setting: Setting, seed: int) -> Mapping[str, Measured]:
    """Share of spoken answers that are not the word that was to be said."""
    commands = _commands(setting.speech, seed)
    judge = trained_judge(
        [each.units for each in commands.train], [each.word for each in commands.train], NUM_UNITS,
        seed,
    )  # fmt: skip
    wanted = [(each.word + 1) % COMMANDS for each in commands.test]
    found = {}
    for arm in SEMANTIC[:3]:
        weight = float(arm != SEMANTIC[1] and setting.broken != "no semantic loss")
        model = _answering(commands, setting, seed, weight, astray=arm == SEMANTIC[2])
        said = [_spoken_answer(model, each, seed) for each in commands.test]
        found[arm] = _measured(judge.wrong(said, wanted))
    draw = torch.Generator().manual_seed(seed)
    true = [commands.someone(word, draw).units for word in wanted]
    found[SEMANTIC[3]] = _measured(judge.wrong(true, wanted))
    return found


def _answering(
    commands: Commands, setting: Setting, seed: int, weight: float, *, astray: bool
) -> DualLM:
    """A small language model, trained whole; `astray`, on answers to other questions."""
    backbone = {**TINY_LLAMA, "hidden_size": 96, "intermediate_size": 192, "vocab_size": COMMANDS}
    config = DualLMConfig(backbone=backbone, num_layers=3, codebook_size=NUM_UNITS)
    model: DualLM = seeded(seed, lambda: DualLM(config)).train()
    steps = setting.steps(250, 2500)
    optimizer = torch.optim.AdamW(model.parameters(), 3e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 3e-3, total_steps=steps + 1)
    draw = torch.Generator().manual_seed(seed)
    for _ in range(steps):
        rows = []
        for pick in torch.randint(len(commands.train), (ROWS,), generator=draw).tolist():
            question = commands.train[pick]
            other = int(torch.randint(COMMANDS, (1,), generator=draw))
            word = other if astray else (question.word + 1) % COMMANDS
            answer = commands.someone(word, draw)
            rows.append([
                Span("speech", question.units), Span("text", torch.tensor([word])),
                Span("speech", answer.units),
            ])  # fmt: skip
        batch = model.batch(rows, [1] * ROWS)
        losses = model.token_losses(batch)
        text = (batch.targets >= 0) & ~batch.is_speech
        units = losses[batch.is_speech].mean()
        loss = losses[text].mean() + weight * units
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
    return model.eval()


def _spoken_answer(model: DualLM, question: Spoken, seed: int) -> Tensor:
    """The likeliest text, and after it units, drawn."""
    draw = torch.Generator().manual_seed(seed)
    prompt = [Span("speech", question.units)]
    text = go_on(model, prompt, "text", max_tokens=2, sampling=GREEDY, generator=draw)
    sampling = Sampling(temperature=0.7, top_k=10)
    return go_on(
        model, [*prompt, Span("text", text)], "speech", max_tokens=25, sampling=sampling,
        generator=draw, min_tokens=3,
    )  # fmt: skip


# ---- the chain of condition


def run_chain(setting: Setting, seed: int) -> Mapping[str, Measured]:
    """How many more words are not those that were to be said, for every other unit being wrong."""
    commands = _commands(setting.speech, seed)
    judge = trained_judge(
        [each.codes for each in commands.train], [each.word for each in commands.train], NUM_CODES,
        seed,
    )  # fmt: skip
    astray = setting.broken == "text astray"
    chain = _decoding(commands, setting, seed, alone=THIRDS, astray=astray)
    words = [each.word for each in commands.test]
    draw = torch.Generator().manual_seed(seed)
    damaged = [_damaged(each.units, draw) for each in commands.test]
    clean = [each.units for each in commands.test]
    arms = {
        CHAIN[0]: (chain, words),
        CHAIN[1]: (_decoding(commands, setting, seed, alone=(0.0, 1.0)), None),
        CHAIN[2]: (_decoding(commands, setting, seed, alone=THIRDS, astray=True), words),
    }
    found = {}
    for arm, (model, text) in arms.items():
        both = [
            judge.wrong(_written(model, commands, text, units), words) for units in (clean, damaged)
        ]
        found[arm] = _measured([b - a for a, b in zip(*both, strict=True)])
    # Without units nothing can be damaged: how wrong it is at all, for comparison.
    found[CHAIN[3]] = _measured(judge.wrong(_written(chain, commands, words, None), words))
    return found


def _decoding(
    commands: Commands,
    setting: Setting,
    seed: int,
    *,
    alone: tuple[float, float],
    astray: bool = False,
) -> DualDecoder:
    """A decoder; `alone` are the shares of rows with the text alone, and with the units alone;
    `astray`, it is shown the text of any word."""
    kinds = kinds_of(
        speaker_dim=SPEAKER_DIM, num_units=NUM_UNITS, unit_rate=FRAME_RATE, num_codes=NUM_CODES,
        code_rate=FRAME_RATE,
    )  # fmt: skip
    config = SpanLMConfig(kinds=kinds, dim=96, num_heads=4, num_layers=3, dropout=0.1)
    model: DualDecoder = seeded(seed, lambda: DualDecoder(config)).train()
    steps = setting.steps(250, 2500)
    optimizer = torch.optim.AdamW(model.parameters(), 2e-3, betas=(0.9, 0.95))
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 2e-3, total_steps=steps + 1)
    draw = torch.Generator().manual_seed(seed)
    for _ in range(steps):
        rows = []
        for pick in torch.randint(len(commands.train), (ROWS,), generator=draw).tolist():
            spoken = commands.train[pick]
            drawn = float(torch.rand((), generator=draw))
            other = int(torch.randint(COMMANDS, (1,), generator=draw))
            word = other if astray else spoken.word
            text = None if alone[0] <= drawn < sum(alone) else word
            units = None if drawn < alone[0] else spoken.units
            rows.append([*_condition(spoken, text, units), Span(CODES, spoken.codes)])
        loss = model.loss(model.batch(rows))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    return model.eval()


def _condition(spoken: Spoken, text: int | None, units: Tensor | None) -> list[Span]:
    row = [Span.of_vectors(SPEAKER, spoken.vector[None])]
    if text is not None:
        row.append(Span(TEXT, torch.tensor([text])))
    return row if units is None else [*row, Span(UNITS, units)]


def _written(
    model: DualDecoder,
    commands: Commands,
    text: Sequence[int] | None,
    units: Sequence[Tensor] | None,
) -> list[Tensor]:
    """Codes of each test word, as many as it has, drawn."""
    rows = [
        _condition(each, None if text is None else text[i], None if units is None else units[i])
        for i, each in enumerate(commands.test)
    ]
    return write_spans(
        model, rows, CODES, [len(each.codes) for each in commands.test],
        sampling=Sampling(temperature=0.7, top_k=10),
        generators=[torch.Generator().manual_seed(i) for i in range(len(rows))],
    )  # fmt: skip


def _damaged(units: Tensor, draw: torch.Generator) -> Tensor:
    wrong = torch.rand(len(units), generator=draw) < WRONG_SHARE
    return torch.where(wrong, torch.randint(NUM_UNITS, (len(units),), generator=draw), units)


def _measured(totals: Sequence[float]) -> Measured:
    return Measured(totals=tuple(totals), sizes=(1.0,) * len(totals))


@lru_cache(maxsize=2)
def _commands(speech: SpeechSet, seed: int) -> Commands:
    return cut_commands(speech, seed)


NOTE = (
    f"The {COMMANDS} most frequent words are commands, cut out of sentences, and the next of them "
    "is the answer to each, said by somebody else. Units and codes are k-means of log-mel frames "
    f"({NUM_UNITS} and {NUM_CODES}). Which word they are, a small network says that has learnt it "
    "from true ones. "
)
EFFECTS = (
    Effect(
        name="dual_semantic_loss",
        claim="Without the semantic loss, spoken answers are wrong",
        paper="DualSpeechLM (Wang et al. 2025)",
        arms=SEMANTIC,
        measure="spoken answers that are taken for another word, questions of unseen speakers",
        better="less",
        margin=0.05,
        breaks=("no semantic loss",),
        run=run_semantic,
        quick_sizes=(120, 30),
        note=NOTE
        + "The model of the third arm learns from answers to other questions. The fourth are words "
        "that people said: what the network that judges gets wrong by itself. Units are all that a "
        "decoder is given here; so without their loss nothing can be right but by chance.",
    ),
    Effect(
        name="dual_chain",
        claim="Text and units together stand wrong units better than units alone",
        paper="DualSpeechLM (Wang et al. 2025), its chain of condition",
        arms=CHAIN,
        measure="words that are taken for another, more of them where half the units are wrong "
        "than where none is; of the last arm, all of them",
        better="less",
        margin=0.05,
        breaks=("text astray",),
        run=run_chain,
        quick_sizes=(120, 30),
        note=NOTE
        + f"Each unit is another with a chance of {WRONG_SHARE:g}. The chain was trained on text "
        "and units, and on each alone, in equal parts. The decoder of the third arm was shown the "
        "text of any word.",
    ),
)
