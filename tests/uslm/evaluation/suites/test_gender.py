"""A planted bias is found; a model without one is called biased no more often than promised."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from uslm.evaluation.suites.gender import (
    CONTEXTS,
    Answers,
    Context,
    PairedAnswers,
    PairedQuestion,
    ask,
    corrected_p_values,
    differentiation,
    holm,
    sign_flip_test,
)
from uslm.evaluation.suites.gender_questions import read_questions
from uslm_tokenizer.audio.write import write_audio
from uslm_tokenizer.errors import MissingResource, UserError

QUESTIONS = 40


def answers(
    bias: float, context: Context, draw: torch.Generator, count: int = QUESTIONS
) -> list[PairedAnswers]:
    """Probabilities that wander with the question and the voice, and lean by `bias`."""
    made = []
    for number in range(count):
        base = torch.randn(3, generator=draw)
        pair = []
        for side in (1.0, -1.0):
            lean = torch.tensor([bias * side, -bias * side, 0.0]) / 2
            scores = (base + 0.5 * torch.randn(3, generator=draw) + lean).softmax(0)
            pair.append((float(scores[0]), float(scores[1]), float(scores[2])))
        made.append(PairedAnswers(name=str(number), context=context, male=pair[0], female=pair[1]))
    return made


def test_a_planted_bias_is_found_where_it_is() -> None:
    draw = torch.Generator().manual_seed(0)
    given = [
        *answers(0.0, "independent", draw),
        *answers(1.2, "stereotypical", draw),
        *answers(-1.2, "dependent", draw),
    ]
    found = differentiation(given, generator=torch.Generator().manual_seed(0))
    assert [found[context].differs for context in CONTEXTS] == [False, True, True]
    assert found["stereotypical"].lean.low > 0 > found["dependent"].lean.high
    low, high = found["independent"].lean.low, found["independent"].lean.high
    assert low < 0 < high and found["independent"].p_value > 0.05
    assert found["stereotypical"].flip_rate.value > found["independent"].flip_rate.value


def test_without_a_bias_alarms_are_as_rare_as_promised() -> None:
    """200 models that lean to neither: any of three classes alarms in at most 5 %, give or take."""
    draw = torch.Generator().manual_seed(1)
    alarms = 0
    for _ in range(200):
        given = [row for context in CONTEXTS for row in answers(0.0, context, draw, count=9)]
        alarms += min(corrected_p_values(given, generator=draw).values()) <= 0.05
    assert 2 <= alarms <= 19, "10 are expected; both ends are met in less than one run of 200"


def test_a_lean_that_does_not_depend_on_the_voice_is_no_differentiation() -> None:
    same: Answers = (0.7, 0.1, 0.2)
    rows = [
        PairedAnswers(name=str(i), context="stereotypical", male=same, female=same)
        for i in range(20)
    ]
    found = differentiation(rows, generator=torch.Generator())["stereotypical"]
    assert not found.differs and found.lean.value == 0 and found.p_value == 1
    assert found.skew.value == pytest.approx(0.6) and found.neutral.value == pytest.approx(0.2)


def test_sign_flips_by_hand() -> None:
    """Of four equal differences 2 of 16 ways are as far from zero."""
    assert sign_flip_test([1.0] * 4, generator=torch.Generator()) == pytest.approx(2 / 16)
    assert sign_flip_test([1.0, -1.0], generator=torch.Generator()) == 1
    many = sign_flip_test([1.0] * 30, generator=torch.Generator().manual_seed(0))
    assert 0 < many <= 2 / 2000, "never zero"
    assert holm({"independent": 0.01, "stereotypical": 0.04, "dependent": 0.03}) == pytest.approx(
        {"independent": 0.03, "dependent": 0.06, "stereotypical": 0.06}
    )


def test_every_voice_is_asked() -> None:
    def loudness(waveform: torch.Tensor) -> Answers:
        share = float(waveform.abs().mean())
        return (share, 0.0, 1 - share)

    question = PairedQuestion(
        name="q",
        context="independent",
        male=(torch.full((1, 4), 0.2), torch.full((1, 4), 0.4)),
        female=(torch.full((1, 4), 0.1),),
    )
    (found,) = ask([question], loudness)
    assert found.male == pytest.approx((0.3, 0.0, 0.7)) and found.lean == pytest.approx(0.2)
    with pytest.raises(UserError, match="three probabilities"):
        ask([question], lambda waveform: (0.5, 0.5, 0.5))


def write_questions(folder: Path, rows: list[dict[str, Any]]) -> Path:
    for number, row in enumerate(rows):
        row.setdefault("audio", f"{number}.wav")
        write_audio(folder / f"{number}.wav", torch.full((1, 160), 0.01 * (number + 1)), 16_000)
    path = folder / "questions.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def question(name: str, gender: str, context: str = "independent") -> dict[str, Any]:
    return {"question": name, "context": context, "labels": {"gender": gender}}


def test_questions_are_paired_by_the_labels_of_their_voices(tmp_path: Path) -> None:
    rows = [
        question("q", "female"), question("r", "male", "dependent"), question("q", "male"),
        question("r", "female", "dependent"), question("q", "male"),
    ]  # fmt: skip
    one, other = read_questions(write_questions(tmp_path, rows))
    assert (one.name, one.context, other.context) == ("q", "independent", "dependent")
    levels = [[round(float(w.mean()), 2) for w in voices] for voices in (one.male, one.female)]
    assert levels == [[0.03, 0.05], [0.01]]


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ([question("q", "male")], "'q' needs voices of both genders, has none female"),
        ([question("q", "other")], "labels.gender must be male or female, but is 'other'"),
        ([question("q", "male", "x")], "context must be one of independent, stereotypical"),
        ([{"question": "q"}], "with 'audio', 'question' and 'context'"),
        ([question("q", "male"), question("q", "female", "dependent")], "another context before"),
    ],
)
def test_what_is_not_paired_is_told(rows: list[dict[str, Any]], words: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=words):
        read_questions(write_questions(tmp_path, rows))
    with pytest.raises(MissingResource, match="there is no manifest"):
        read_questions(tmp_path / "gone.jsonl")
