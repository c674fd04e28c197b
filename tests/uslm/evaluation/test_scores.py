"""Error rates, similarity, and all judges together, with judges made up for the test."""

from __future__ import annotations

import sys
from collections.abc import Sequence

import pytest
import torch

from uslm.evaluation.metrics.scores import Judges, Sample, judge, summarize
from uslm.evaluation.metrics.similarity import cosine, impostors
from uslm.evaluation.metrics.wer import count_errors
from uslm_tokenizer.errors import EnvironmentProblem, TextError


def test_errors_of_one_utterance() -> None:
    errors = count_errors("The cat sat", "the hat sat down", str.lower)
    assert (errors.word_errors, errors.words) == (2, 3)
    assert errors.wer == pytest.approx(2 / 3)
    assert errors.characters == len("the cat sat")
    assert errors.character_errors == 1 + len(" down")


@pytest.mark.parametrize(("received", "wrong"), [("", 3), ("the cat sat", 0), ("a b c d e f", 6)])
def test_nothing_heard_is_all_wrong_and_more_is_worse(received: str, wrong: int) -> None:
    assert count_errors("the cat sat", received, str).word_errors == wrong


def test_a_reference_without_words_is_refused() -> None:
    with pytest.raises(TextError, match="' ! ' has none"):
        count_errors(" ! ", "hm", lambda text: text.strip(" !"))


def test_without_jiwer_the_remedy_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "jiwer", None)
    with pytest.raises(EnvironmentProblem, match="pip install"):
        count_errors("a", "a", str)


def test_cosine() -> None:
    a = torch.tensor([1.0, 0.0])
    assert cosine(a, 3 * a) == pytest.approx(1)
    assert cosine(a, torch.tensor([0.0, 2.0])) == pytest.approx(0)


def test_impostors() -> None:
    voice = torch.tensor([1.0, 0.0])
    mean, nearest = impostors(voice, [torch.tensor([0.0, 1.0]), torch.tensor([1.0, 0.0])])
    assert (mean, nearest) == (pytest.approx(0.5), pytest.approx(1))
    with pytest.raises(ValueError, match="must not be empty"):
        impostors(voice, [])


def sample(name: str, text: str, voice: torch.Tensor | None = None) -> Sample:
    voices = {} if voice is None else {"cosine": voice}
    return Sample(name=name, waveform=torch.ones(4), text=text, voices=voices)


def test_all_judges_are_asked_and_summed() -> None:
    said = {"one": "a b c d", "two": "x"}

    def recognizer(waveforms: Sequence[torch.Tensor]) -> list[str]:
        return [said["one"], said["two"]][: len(waveforms)]

    judges = Judges(
        recognizer=recognizer,
        normalize=str.strip,
        speaker_model=lambda waveform: waveform[:2],
        quality_model=lambda waveform: {"dnsmos": 3.0},
    )
    samples = [sample("one", "a b c d", torch.ones(2)), sample("two", "y")]
    scores = judge(samples, judges)
    assert [score.name for score in scores] == ["one", "two"]
    assert scores[0].values == {"cosine": pytest.approx(1), "dnsmos": 3.0}
    assert "cosine" not in scores[1].values, "there is nobody it should sound like"

    summary = summarize(scores, torch.Generator().manual_seed(0))
    assert summary["wer"].value == pytest.approx(1 / 5), "of the corpus"
    assert summary["wer_mean"].value == pytest.approx(1 / 2), "mean of the utterances"
    assert (summary["cosine"].count, summary["dnsmos"].count) == (1, 2)


def test_who_is_none_is_not_asked() -> None:
    judges = Judges(recognizer=lambda waveforms: ["a"] * len(waveforms), normalize=str)
    (score,) = judge([sample("one", "a", torch.ones(2))], judges)
    assert not score.values
