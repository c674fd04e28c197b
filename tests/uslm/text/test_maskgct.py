"""MaskGCT's text front end: whole phones, single marks, the published ids."""

# ruff: noqa: RUF001 (phonemes look like other characters)

from __future__ import annotations

import json
from pathlib import Path

import pytest

from uslm.text.frontend import TextFrontend
from uslm.text.maskgct import MaskGCTPhonemizer, MaskGCTVocab, cut, symbols
from uslm.text.vocab import TextVocab
from uslm_tokenizer.errors import ConfigError, MissingResource, TextError

PHONES = ", . ? ! _ h ə l oʊ w ɜː d ɹ ʌ t ɪ n θ iː aɪ k tɹ ts ð æ ɛ s"
IDS = {phone: 2 * place for place, phone in enumerate(PHONES.split())}
VOCAB = MaskGCTVocab(IDS)


def spoken(table: dict[str, str]) -> MaskGCTPhonemizer:
    """espeak, as far as the table goes."""
    return MaskGCTPhonemizer(lambda segment, language: table[segment])


def test_marks_stand_alone_and_swallow_spaces() -> None:
    assert cut(' "Oh" ,  so?! It’s 3—4... ') == [
        "Oh", ",", "so", "?", "", "!", "It", "'", "s 34", "…", "",
    ]  # fmt: skip


def test_phones_words_and_marks_in_a_line() -> None:
    table = {"Hello world": "h_ə_l_ˈoʊ w_ˈɜː_l_d_", "ja": "(de)j_aː(en)", "": ""}
    assert spoken(table).phonemize(["Hello world, ja!"], "en-us") == [
        "h|ə|l|oʊ|_|w|ɜː|l|d|,|j|aː|!"
    ]


def test_english_phones_are_written_as_published() -> None:
    table = {"trees": "t_ɹ_ˈiː_z", "a": "ɐ", "its tall": "ɪ_t_s t_ˈɔː_l", "bottle": "b_ɑː_ʔ_əl"}
    say = spoken(table)
    assert say.phonemize(["trees"]) == ["tɹ|iː|z"]
    assert say.phonemize(["a"]) == ["ɚ"]
    assert say.phonemize(["its tall"]) == ["ɪ|ts|_|t|ɔː|l"]  # pairs do not cross words
    assert say.phonemize(["bottle"]) == ["b|ɑː|t|l"]
    assert say.phonemize(["trees"], "de") == ["t|ɹ|iː|z"]


def test_encoding_keeps_what_it_can() -> None:
    assert isinstance(VOCAB, TextVocab) and VOCAB.size == max(IDS.values()) + 1
    assert VOCAB.decode(VOCAB.encode("h|ə|l|oʊ|_|w|ɜː|l|d|?")) == "həloʊ wɜːld?"
    # Our own vocabulary's way of writing, with stress and without phones kept apart.
    assert VOCAB.encode("həlˈoʊ wɜːld") == VOCAB.encode("h|ə|l|oʊ|_|w|ɜː|l|d")
    assert VOCAB.unknown("h|ʒ|ə") == ("ʒ",) and VOCAB.encode("h|ʒ|ə") == VOCAB.encode("h|ə")
    assert symbols("h|ə w") == ["h", "ə", "_", "w"]


def test_the_pretrained_table_is_read(tmp_path: Path) -> None:
    path = tmp_path / "vocab.json"
    path.write_text(json.dumps({"vocab": IDS}), "utf-8")
    assert MaskGCTVocab.load(path).encode("h|ə") == VOCAB.encode("h|ə")
    for wrong in ("{}", "[1]", '{"vocab": {"a": "b"}}', '{"vocab": {"a": 1}}', "no"):
        path.write_text(wrong, "utf-8")
        with pytest.raises(ConfigError, match="symbols"):
            MaskGCTVocab.load(path)
    with pytest.raises(MissingResource):
        MaskGCTVocab.load(tmp_path / "none.json")


def test_the_front_end_says_numbers_with_the_real_espeak() -> None:
    frontend = TextFrontend("en-us", VOCAB, phonemizer=MaskGCTPhonemizer())
    result = frontend("Three trees.")
    assert result.phonemes.startswith("θɹiː tɹiː") and result.phonemes.endswith(".")
    assert VOCAB.decode(result.text_ids) == result.phonemes
    assert frontend("3").text_ids == frontend("three").text_ids


def test_other_languages_are_refused_by_name() -> None:
    with pytest.raises(TextError, match="must be one of en, fr, de for this model"):
        MaskGCTPhonemizer().phonemize(["你好"], "cmn")
