"""Effect: in full duplex, writing the words before saying them betters what is said (Moshi)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from effect import Effect, Measured, Setting
from effect_answers import COMMANDS, NUM_UNITS, Commands, Spoken, cut_commands, trained_judge
from effect_codec import seeded
from torch import Tensor

from uslm.generate.sampling import Sampling
from uslm.systems.moshi.generation import DRAWN, MoshiSampling, complete
from uslm.systems.moshi.model import MoshiConfig, MoshiLM

ROWS, FRAMES = 16, 56
"""Rows of a step; frames of a conversation: a question, its answer, and silence around them."""
GAP = 2
"""Frames from the end of the question to the answer."""
PAD, END_PAD = COMMANDS, COMMANDS + 1
SILENCE = NUM_UNITS
"""A unit of its own."""
ARMS = ("text before units", "units alone", "another's text", "true answers")
SAMPLING = MoshiSampling(
    text=Sampling(temperature=0.0), codes=Sampling(temperature=0.7, top_k=10)
)  # fmt: skip


def run(setting: Setting, seed: int) -> Mapping[str, Measured]:
    """Share of spoken answers that are not the word that was to be said."""
    commands = cut_commands(setting.speech, seed)
    judge = trained_judge(
        [each.units for each in commands.train], [each.word for each in commands.train], NUM_UNITS,
        seed,
    )  # fmt: skip
    questions = [each for each in commands.test if _fits(each)]
    wanted = [(each.word + 1) % COMMANDS for each in questions]
    found = {}
    for arm in ARMS[:3]:
        writes = arm != ARMS[1] and setting.broken != "nothing written"
        model = _trained(commands, setting, seed, writes=writes, astray=arm == ARMS[2])
        found[arm] = judge.wrong(_answers(model, questions, writes=writes), wanted)
    draw = torch.Generator().manual_seed(seed)
    true = [commands.someone(word, draw).units for word in wanted]
    found[ARMS[3]] = judge.wrong(true, wanted)
    return {
        arm: Measured(totals=totals, sizes=(1.0,) * len(totals)) for arm, totals in found.items()
    }


def conversation(question: Spoken, answer: Spoken | None, *, text: int | None = None) -> Tensor:
    """Text, own units, the other's units [3, FRAMES].

    Without `answer`, text and own units are to be drawn from the end of the question on. `text` is
    what is written as the answer begins, None: nothing.
    """
    row = torch.full((3, FRAMES), SILENCE)
    row[0] = PAD
    asked = len(question.units)
    row[2, :asked] = question.units
    if answer is None:
        row[:2, asked:] = DRAWN
        return row
    start = asked + GAP
    said = answer.units[: FRAMES - start]
    row[1, start : start + len(said)] = said
    if text is not None:
        row[0, start - 1 : start + 1] = torch.tensor([END_PAD, text])
    return row


def _fits(spoken: Spoken) -> bool:
    return len(spoken.units) <= FRAMES // 2 - GAP


def _trained(
    commands: Commands, setting: Setting, seed: int, *, writes: bool, astray: bool
) -> MoshiLM:
    """`astray`, it learns to write any word."""
    config = MoshiConfig(
        text_vocab_size=COMMANDS + 2, pad_id=PAD, end_pad_id=END_PAD, codebook_size=NUM_UNITS + 1,
        num_codebooks=1, num_user_codebooks=1, dim=96, num_heads=4, num_layers=3, hidden_dim=256,
        context=FRAMES, depth_dim=64, depth_num_heads=2, depth_num_layers=1, depth_hidden_dim=128,
        acoustic_delay=0, semantic_weight=1.0,
    )  # fmt: skip
    model: MoshiLM = seeded(seed, lambda: MoshiLM(config)).train()
    steps = setting.steps(250, 2500)
    optimizer = torch.optim.AdamW(model.parameters(), 3e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 3e-3, total_steps=steps + 1)
    draw = torch.Generator().manual_seed(seed)
    known = [each for each in commands.train if _fits(each)]
    for _ in range(steps):
        rows = []
        for pick in torch.randint(len(known), (ROWS,), generator=draw).tolist():
            question, other = known[pick], int(torch.randint(COMMANDS, (1,), generator=draw))
            answer = commands.someone((question.word + 1) % COMMANDS, draw)
            text = other if astray else answer.word
            rows.append(conversation(question, answer, text=text if writes else None))
        loss = model.loss(model.batch(rows))
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
    return model.eval()


def _answers(model: MoshiLM, questions: Sequence[Spoken], *, writes: bool) -> list[Tensor]:
    """Units of what is said after each question, without silence."""
    rows = [conversation(each, None) for each in questions]
    if not writes:
        for row in rows:
            row[0] = PAD
    draws = [torch.Generator().manual_seed(i) for i in range(len(rows))]
    made = complete(model, rows, draws, SAMPLING)
    return [row[1][row[1] != SILENCE] for row in made]


EFFECTS = (
    Effect(
        name="inner_monologue",
        claim="Writing the words before saying them betters what is said",
        paper="Moshi (Defossez et al. 2024), its inner monologue",
        arms=ARMS,
        measure="spoken answers that are taken for another word, questions of unseen speakers",
        better="less",
        margin=0.05,
        breaks=("nothing written",),
        run=run,
        quick_sizes=(400, 120),
        note=f"The {COMMANDS} most frequent words are questions, cut out of sentences, and the "
        "next of them is the answer to each, said by somebody else. Question and answer stand in "
        "the two streams of a conversation; units are k-means of log-mel frames "
        f"({NUM_UNITS}, and one of silence). The text is the likeliest, units are drawn. Which "
        "word they are, a small network says that has learnt it from true ones. The model of the "
        "second arm writes nothing, that of the third learnt to write any word. The fourth are "
        "words that people said: what the network that judges gets wrong by itself.",
    ),
)
