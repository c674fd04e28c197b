"""A language model's states stand where the words are said; the controls stand elsewhere."""

# ruff: noqa: RUF001 (phonemes look like other characters)

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import soundfile
import torch

from uslm_recipes.data.corpus import Corpus
from uslm_recipes.data.corpus_format import Utterance
from uslm_recipes.data.preparing.run import PrepareConfig, prepare
from uslm_recipes.data.sources.manifest import read_manifest
from uslm_recipes.data.word_times import on_groups, spoken_groups, words_of
from uslm_recipes.train.teachers.language import LanguageTeacherConfig, language_features
from uslm_tokenizer.errors import ConfigError
from uslm_tokenizer.objectives.word_states import WordStates

CPU = torch.device("cpu")
LINE = (
    '{"audio": "a.wav", "speaker": "a", "text": "see birds", "phonemes": "sˈiː, bɜdz.",'
    ' "durations": [0.1, 0.1, 0.02, 0.08, 0.1, 0.04, 0.06, 0.1, 0.1, 0.05, 0.05, 0.1, 0.1]}\n'
)
"""Silence to .1, 'see' to .44 with its comma, a space to .5, 'birds' to .9."""


@pytest.fixture
def corpus(tmp_path: Path) -> Corpus:
    """Two utterances: one with durations, one without."""
    for name in "ab":
        soundfile.write(tmp_path / f"{name}.wav", 0.1 * torch.randn(16_000).numpy(), 16_000)
    other = '{"audio": "b.wav", "speaker": "a", "text": "see it"}\n'
    (tmp_path / "m.jsonl").write_text(LINE + other, "utf-8")
    config = PrepareConfig(num_workers=0)
    prepare(read_manifest(tmp_path / "m.jsonl"), tmp_path / "corpus", config)
    return Corpus.open(tmp_path / "corpus")


def test_words_are_where_their_phonemes_are(corpus: Corpus) -> None:
    (one, *first), (other, *second) = words_of(corpus, 0, None)
    assert (one, other) == ("see", "birds")
    assert first == pytest.approx([0.1, 0.44]) and second == pytest.approx([0.5, 0.9])
    with pytest.raises(ConfigError, match=r"language\.recognizer must name"):
        words_of(corpus, 1, None)


def test_text_ids_may_hold_the_spaces_or_leave_them_out() -> None:
    row = Utterance(
        id="x", source="x", audio="", speaker="x", language="en", text="", phonemes="a b",
        text_ids=(), split="train", start_sample=0, num_samples=0,
    )  # fmt: skip
    from uslm.text.vocab import PhonemeVocab

    a, space, b = PhonemeVocab().encode("a b")
    with_space = replace(row, text_ids=(a, space, b), durations=(0.5, 1.0, 0.25, 2.0, 0.5))
    assert spoken_groups(with_space) == [(1, (0.5, 1.5)), (1, (1.75, 3.75))]
    without = replace(row, text_ids=(a, b), durations=(0.5, 1.25, 2.0, 0.5))
    assert spoken_groups(without) == [(1, (0.5, 1.75)), (1, (1.75, 3.75))]


def test_words_that_are_said_as_one_share_its_time() -> None:
    groups = [(3, (0.0, 1.0)), (5, (1.0, 3.0)), (5, (3.0, 4.0))]
    assert on_groups(["one", "of", "the", "river"], groups) == [
        ("one", 0.0, 1.0), ("of", 1.0, 2.0), ("the", 2.0, 3.0), ("river", 3.0, 4.0)
    ]  # fmt: skip
    assert on_groups(["a"], []) == []


def test_a_state_stands_in_the_frames_of_its_word(
    corpus: Corpus, tmp_path: Path, save_bert: Any
) -> None:
    (tmp_path / "bert").mkdir()
    lm = str(save_bert(tmp_path / "bert"))
    corpus.utterances[1] = replace(corpus.utterances[1], text="")  # nobody knows its times
    found = {
        alignment: language_features(
            corpus, tmp_path / alignment, LanguageTeacherConfig(name=lm, alignment=alignment),
            device=CPU,
        )
        for alignment in ("words", "padded", "shuffled")
    }  # fmt: skip
    states = WordStates.load(lm).words(["see", "birds"])
    scaled = (states - states.mean(0)) / states.std(0, unbiased=False).clamp(min=1e-4)
    words, shuffled = found["words"][0], found["shuffled"][0]
    (_, start, end), (_, second, last) = words_of(corpus, 0, None)
    for frame in range(50):
        middle = (frame + 0.5) / 50
        inside = [start < middle < end, second < middle < last]
        wanted = sum((own * row for own, row in zip(inside, scaled, strict=True)), torch.zeros(16))
        torch.testing.assert_close(words[frame], wanted, atol=0.01, rtol=0.01)
    assert torch.equal(words.any(1), shuffled.any(1))
    torch.testing.assert_close(shuffled[10], words[40])
    torch.testing.assert_close(shuffled[40], words[10])
    padded = found["padded"][0]
    assert padded[:5].any(1).all() and not padded[5:].any()  # the marks, see, bird, ##s
    assert not found["words"][1].any()
    again = language_features(
        corpus, tmp_path / "words", LanguageTeacherConfig(name=lm), device=CPU
    )
    assert torch.equal(again[0], words)
