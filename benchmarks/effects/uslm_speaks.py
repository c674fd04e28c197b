"""Effect: USLM's two stages on the tokens of a distilled codec learn to say what they read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import torch
from effect import Effect, Measured, Setting
from effect_codec import (
    CODES,
    crops,
    encode_frames,
    frames_of,
    levels,
    phoneme_teacher,
    seeded,
    train_codec,
)
from torch import Tensor

from uslm.evaluation.suites.alignment import recognize, train_recognizer
from uslm.evaluation.suites.encoded import EncodedSet, EncodedSpeech
from uslm.evaluation.suites.probe import ProbeConfig, TokenProbe
from uslm.evaluation.suites.speech_set import vocabulary
from uslm.generate.autoregressive import StopRule, speak_units
from uslm.generate.codebooks import fill_codebooks
from uslm.generate.sampling import Sampling
from uslm.models.base import AcousticRow
from uslm.systems.valle.ar import ValleAR, ValleARConfig
from uslm.systems.valle.nar import ValleNAR, ValleNARConfig
from uslm_recipes.train.acoustic_objectives import CodeObjective
from uslm_tokenizer.objectives.distillation import distillation_loss
from uslm_tokenizer.sequence.edit_distance import edit_distance

LEVELS = 3
WEIGHT = 4.0
"""Of the codec's distillation."""
BATCH = 16
SHORT = 8
"""The other arm trains for so small a part of the steps."""
SPOKEN = 40
"""Test utterances that are spoken."""
LONGEST = 1.5
"""Frames that are spoken at most, for each of the recording."""
SIZES = {"dim": 64, "num_heads": 4, "num_layers": 2, "dropout": 0.1}
ARMS = ("trained", f"a {SHORT}th of the training", "texts of other speech", "recorded tokens")
Stages = tuple[ValleAR, ValleNAR]


def run(setting: Setting, seed: int) -> Mapping[str, Measured]:
    """Texts of speakers never seen are spoken, and their tokens are recognised."""
    encoded = _tokens(setting, seed)
    symbols = vocabulary(each.speech for each in encoded.train)
    texts, asked = (
        [_text(row, symbols) for row in rows] for rows in (encoded.train, encoded.test[:SPOKEN])
    )
    config = ProbeConfig(dim=64, steps=setting.steps(250, 1500), learning_rate=8e-3)
    listener = train_recognizer(
        [row.codes for row in encoded.train], texts, config, codebook_size=CODES,
        num_symbols=len(symbols), seed=seed,
    )  # fmt: skip
    steps = setting.steps(700, 8000)
    others = [texts[place - 1] for place in range(len(texts))]
    read = others if setting.broken == "texts of other speech" else texts
    found = {}
    for arm, given, share in (
        (ARMS[0], read, 1), (ARMS[1], read, SHORT), (ARMS[2], others, 1)
    ):  # fmt: skip
        stages = _stages(len(symbols), seed)
        _train(stages, encoded.train, given, seed, max(1, steps // share), steps)
        spoken = [
            _speak(stages, text, row.codes.shape[1], seed)
            for text, row in zip(asked, encoded.test, strict=False)
        ]
        found[arm] = errors_of(listener, spoken, asked)
    found[ARMS[3]] = errors_of(listener, [row.codes for row in encoded.test[:SPOKEN]], asked)
    return found


def _tokens(setting: Setting, seed: int) -> EncodedSet:
    """The codes of a small SpeechTokenizer, whose first level is distilled; of every second frame,
    so that a row of speech is short."""
    frames, steps = frames_of(setting.speech), setting.steps(300, 1500)
    targets = phoneme_teacher(frames, seed, steps)
    codec = train_codec(
        levels(LEVELS),
        frames,
        seed,
        steps,
        more=lambda codec, quantized, x, rows, starts: (
            WEIGHT
            * distillation_loss(
                codec.to_teacher(quantized.levels[0].mT), crops(targets, rows, starts)
            )
        ),
        teacher_dim=targets[0].shape[1],
    )
    encoded = encode_frames(codec, frames, LEVELS)

    def every_second(rows: Sequence[EncodedSpeech]) -> tuple[EncodedSpeech, ...]:
        return tuple(replace(row, codes=row.codes[:, ::2]) for row in rows)

    return replace(
        encoded, train=every_second(encoded.train), test=every_second(encoded.test),
        frame_rate=encoded.frame_rate / 2,
    )  # fmt: skip


def _text(row: EncodedSpeech, symbols: Sequence[str]) -> Tensor:
    """1 + the place of each phoneme."""
    places = {symbol: place for place, symbol in enumerate(symbols, start=1)}
    return torch.tensor([places[p] for p in row.speech.phonemes if p in places]).long()


def _stages(num_symbols: int, seed: int) -> Stages:
    sizes = {"text_vocab_size": num_symbols + 1, "codebook_size": CODES, **SIZES}
    ar = ValleARConfig(prepend_bos=True, **sizes)  # type: ignore[arg-type]
    nar = ValleNARConfig(num_codebooks=LEVELS, prefix_mode=1, **sizes)  # type: ignore[arg-type]
    built: Stages = seeded(seed, lambda: (ValleAR(ar), ValleNAR(nar)))
    return built


def _train(
    stages: Stages,
    rows: Sequence[EncodedSpeech],
    texts: Sequence[Tensor],
    seed: int,
    steps: int,
    whole: int,
) -> None:
    """Both stages, a step each at a time; the rate falls over the `whole` number of steps."""
    ar, nar = (stage.train() for stage in stages)
    objective = CodeObjective(nar, label_smoothing=0.0)
    optimizer = torch.optim.AdamW([*ar.parameters(), *nar.parameters()], lr=3e-3)
    draw = torch.Generator().manual_seed(seed)
    fork = torch.random.fork_rng(devices=[])
    with fork:  # dropout
        torch.manual_seed(seed)
        for step in range(steps):
            rate = 3e-3 * min(1.0, (step + 1) / 50, 2 - 2 * step / whole)
            optimizer.param_groups[0]["lr"] = rate
            chosen = torch.randint(len(rows), (BATCH,), generator=draw).tolist()
            known = torch.randint(1, LEVELS, (BATCH,), generator=draw)
            loss = ar.loss(ar.batch([texts[i] for i in chosen], [rows[i].codes[0] for i in chosen]))
            batch = nar.batch([_acoustic(texts[i], rows[i].codes) for i in chosen])
            loss = loss + objective(batch, known)[0]
            optimizer.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(optimizer.param_groups[0]["params"], 1.0)
            optimizer.step()
    for stage in stages:
        stage.eval()


def _acoustic(text: Tensor, codes: Tensor) -> AcousticRow:
    """Without a prompt: whose voice it is, the units have to tell."""
    return AcousticRow(prompt=codes[:, :0], codes=codes, text_ids=text)


@torch.no_grad()
def _speak(stages: Stages, text: Tensor, recorded: int, seed: int) -> Tensor:
    """Codes [k, t] of a text; none where the first stage says nothing."""
    ar, nar = stages
    *_, last = speak_units(
        ar, [text], [text[:0]], [StopRule(min_frames=1, max_frames=int(LONGEST * recorded))],
        sampling=Sampling(temperature=0.3),
        generators=[torch.Generator().manual_seed(seed)],
    )  # fmt: skip
    units = last[0].tensor()
    codes = torch.zeros(LEVELS, len(units), dtype=torch.long)
    codes[0] = units
    return fill_codebooks(nar, [_acoustic(text, codes)])[0] if len(units) else codes


@torch.no_grad()
def errors_of(listener: TokenProbe, spoken: Sequence[Tensor], texts: Sequence[Tensor]) -> Measured:
    """Edits between what is recognised in the tokens and what was to be said."""
    wrong = []
    for codes, text in zip(spoken, texts, strict=True):
        lengths = torch.tensor([codes.shape[1]])
        said = recognize(listener(codes[None], lengths)[0]) if codes.shape[1] else []
        wrong.append(float(edit_distance(said, text.tolist())))
    return Measured(totals=tuple(wrong), sizes=tuple(float(len(text)) for text in texts))


EFFECTS = (
    Effect(
        name="uslm_speaks",
        claim="AR and NAR stages on a distilled codec's tokens learn to say what they read",
        paper="USLM, in SpeechTokenizer (Zhang et al. 2023)",
        arms=ARMS,
        measure="phonemes that a recogniser of the tokens gets wrong in what is spoken (CER), "
        "texts and speakers unseen",
        better="less",
        margin=0.05,
        breaks=("texts of other speech",),
        run=run,
        note="The codec is one of log-mel frames with three levels of 32 codes, distilled from a "
        "teacher of phonemes, every second frame; both stages are VALL-E's at width 64 with two "
        "layers, without a prompt. The recogniser learnt from recorded tokens of the training "
        "speakers.",
    ),
)
