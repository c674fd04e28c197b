"""Pairs: the likelier one is found, by three ways; a question counts once; made sets are sound."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from jaxtyping import Float, Int
from torch import Tensor

from uslm.evaluation.suites.made_pairs import (
    EXIST,
    TEXTS,
    WORDS,
    TextPair,
    consistency_pairs,
    sentence_pairs,
    speak_pairs,
    word_pairs,
)
from uslm.evaluation.suites.made_speech import made_speech
from uslm.evaluation.suites.pairs import Pair, read_pairs, score_pairs, span_cost, write_pairs
from uslm.models.speech_lm import SpeechTextBatch
from uslm.systems.lst.model import PatchLM
from uslm_tokenizer.audio.read import read_audio
from uslm_tokenizer.audio.write import write_audio
from uslm_tokenizer.codecs.unit_only import UnitOnlyTokenizer
from uslm_tokenizer.errors import MissingResource, UserError
from uslm_tokenizer.weight_hash import weight_hash


class PricedLM(PatchLM):
    """A unit costs what its number says, a merged one a nat."""

    def token_losses(self, batch: SpeechTextBatch) -> Float[Tensor, "b l"]:
        price = torch.where(batch.targets < self.codebook_size, batch.targets, 1).float()
        return torch.where(batch.targets >= 0, price, 0.0)


class Loudness(UnitOnlyTokenizer):
    """Units of a hop of 400 samples: ten times the first of them."""

    config_class = PatchLM.config_class
    sample_rate, hop_length, num_codebooks, codebook_size = 4000, 400, 1, 32  # type: ignore[assignment]

    def encode(
        self, waveform: Float[Tensor, "b 1 n"], lengths: Int[Tensor, " b"] | None = None
    ) -> Int[Tensor, "b 1 t"]:
        return (10 * waveform[..., 200::400]).round().long()

    @classmethod
    def tiny_config(cls) -> object:
        return PatchLM.tiny_config()


@pytest.fixture
def judge() -> PricedLM:
    return PricedLM(PatchLM.tiny_config()).eval()


@pytest.fixture
def tokenizer() -> Loudness:
    return Loudness(PatchLM.tiny_config())


def save(folder: Path, name: str, units: list[int]) -> Path:
    waveform = torch.tensor(units).repeat_interleave(400)[None] / 10
    write_audio(folder / f"{name}.wav", waveform, 4000, format="wav-float", force=True)
    return folder / f"{name}.wav"


def pair(folder: Path, name: str, true: list[int], false: list[int], start: float = 0.0) -> Pair:
    number = len(list(folder.glob("*.wav")))
    one, two = (save(folder, f"{number}{w}", u) for w, u in (("t", true), ("f", false)))
    return Pair(kind="k", name=name, true=one, false=two, starts=(start, start))


def test_costs_by_hand(judge: PricedLM) -> None:
    cost = span_cost(judge, torch.tensor([9, 9]), torch.tensor([1, 2, 4]), 10.0)
    assert (cost.nats, cost.tokens, cost.seconds) == (7.0, 3, 0.3)
    assert [cost.by(way) for way in ("whole", "token", "second")] == pytest.approx(
        [7, 7 / 3, 7 / 0.3]
    )
    merged = PricedLM(replace(PatchLM.tiny_config(), merges=((1, 2),))).eval()
    cost = span_cost(merged, torch.tensor([], dtype=torch.long), torch.tensor([1, 2, 4]), 10.0)
    assert (cost.nats, cost.tokens, cost.seconds) == (5.0, 2, 0.3)


def test_the_likelier_one_by_each_way(judge: PricedLM, tokenizer: Loudness, tmp_path: Path) -> None:
    pairs = [
        pair(tmp_path, "short", [3, 3], [4, 4]),
        pair(tmp_path, "long", [2, 2, 2], [5]),  # dearer in all, cheaper each
        pair(tmp_path, "same", [1, 2], [2, 1]),
        pair(tmp_path, "given", [9, 9, 1], [0, 0, 2], start=0.2),
    ]
    scores = score_pairs(judge, tokenizer, pairs)["k"]
    values = {way: found.value for way, found in scores.accuracy.items()}
    assert values == {"whole": 2.5 / 4, "token": 3.5 / 4, "second": 3.5 / 4}
    assert scores.tokens_per_second.value == pytest.approx(10.0)
    assert scores.nats_per_second.value == pytest.approx((6 + 6 + 3 + 1) / 0.8)


def test_a_question_in_several_voices_counts_once(
    judge: PricedLM, tokenizer: Loudness, tmp_path: Path
) -> None:
    pairs = [pair(tmp_path, "a", [1], [2]) for _ in range(3)]
    pairs.append(pair(tmp_path, "b", [2], [1]))
    found = score_pairs(judge, tokenizer, pairs)["k"].accuracy["whole"]
    assert found.value == 0.5 and found.count == 2


def test_pairs_are_written_and_read(tmp_path: Path) -> None:
    pairs = [pair(tmp_path, "ä", [1], [2]), pair(tmp_path, "b", [2], [1], start=0.5)]
    write_pairs(pairs, tmp_path)
    assert read_pairs(tmp_path) == pairs


def test_mistakes_are_told(judge: PricedLM, tokenizer: Loudness, tmp_path: Path) -> None:
    with pytest.raises(MissingResource, match=r"it has no pairs\.jsonl"):
        read_pairs(tmp_path)
    list_file = tmp_path / "pairs.jsonl"
    for text, words in (("", "holds no pairs"), ("3\n", "line 1, is no pair"), ("{}\n", "line 1")):
        list_file.write_text(text)
        with pytest.raises(UserError, match=words):
            read_pairs(tmp_path)
    gone = '{"kind": "k", "pair": "p", "true": "a.wav", "false": "b.wav"}\n'
    list_file.write_text(gone)
    with pytest.raises(MissingResource, match=r"a\.wav, which is not there"):
        read_pairs(tmp_path)
    late = [pair(tmp_path, "a", [1], [2], start=3.0)]
    with pytest.raises(UserError, match=r"has 0\.10 s, but is to be scored from 3\.00 s"):
        score_pairs(judge, tokenizer, late)
    other = PricedLM(replace(PatchLM.tiny_config(), tokenizer="abc"))
    with pytest.raises(UserError, match="of the tokenizer abc, but is given those of"):
        score_pairs(other, tokenizer, late)
    known = replace(PatchLM.tiny_config(), tokenizer=weight_hash(tokenizer=tokenizer))
    bigger = PricedLM(replace(known, codebook_size=64))
    with pytest.raises(UserError, match="knows 64 units, but the tokenizer has 32"):
        score_pairs(bigger, tokenizer, late)


# ---- the sets that are made


def test_made_up_words_are_no_words() -> None:
    pairs = word_pairs()
    assert len(pairs) > 30
    for each in pairs:
        assert each.true in WORDS and each.false not in (*WORDS, *EXIST)
        assert each.false[:2] == each.true[:2] and abs(len(each.false) - len(each.true)) < 2


def test_sentences_differ_in_their_verb_alone() -> None:
    for each in sentence_pairs():
        true, false = each.true.rstrip(".").split(), each.false.rstrip(".").split()
        assert true[:-1] == false[:-1] and {f"{true[-1]}s", f"{false[-1]}s"} & {true[-1], false[-1]}
        plural = true[1].endswith("s") or true[1] == "children"
        assert true[-1].endswith("s") != plural


def test_spoken_pairs_share_their_beginning_and_seed(tmp_path: Path) -> None:
    asked: list[tuple[str, int]] = []

    def speak(text: str, seed: int) -> Tensor:
        asked.append((text, seed))
        return torch.full((1, 1600 * len(text)), 0.1)

    texts = [
        TextPair(kind="x", name="n", true="ab", false="c", beginning="wxyz"),
        TextPair(kind="x", name="m", true="a", false="b"),
    ]
    pairs = speak_pairs(texts, {"one": speak, "two": speak}, tmp_path, seed=5)
    assert asked[:3] == [("wxyz", 5), ("ab", 5), ("c", 5)] and len(asked) == 10
    assert [p.name for p in pairs] == ["n", "n", "m", "m"]
    assert pairs[0].starts == (0.4, 0.4) and pairs[2].starts == (0.0, 0.0)
    assert read_audio(pairs[0].true).seconds == pytest.approx(0.6)
    assert {kind: len(make()) > 5 for kind, make in TEXTS.items()} == dict.fromkeys(TEXTS, True)


def test_both_of_a_consistency_pair_are_spliced_after_the_same_half(tmp_path: Path) -> None:
    rows = made_speech(num_train=0, num_test=12).test
    rows = tuple(
        replace(row, labels={**row.labels, "gender": "ab"[i // 3 % 2]})
        for i, row in enumerate(rows)
    )
    pairs = consistency_pairs(rows, tmp_path, count=4)
    kinds = [each.kind for each in pairs]
    assert {kind: kinds.count(kind) for kind in kinds} == {
        "speaker": 4, "gender": 4, "background": 4, "room": 4
    }  # fmt: skip
    for each in pairs:
        one, two = (read_audio(path).waveform for path in (each.true, each.false))
        cut = round(each.starts[0] * 16_000)
        assert 0 < cut < min(one.shape[1], two.shape[1])
        assert torch.equal(one[:, :cut], two[:, :cut])
        assert not torch.equal(one[:, cut : cut + 800], two[:, cut : cut + 800])
    unlabelled = tuple(replace(row, labels={}) for row in rows)
    kinds = [each.kind for each in consistency_pairs(unlabelled, tmp_path / "b", count=2)]
    assert set(kinds) == {"background", "room"}
    with pytest.raises(UserError, match="no recordings to make pairs of"):
        consistency_pairs((), tmp_path)
