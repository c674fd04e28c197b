"""The published text front end: whole phones, marks kept, ids in the order of code points."""

# ruff: noqa: RUF001 (phonemes look like other characters)

from __future__ import annotations

from pathlib import Path

import pytest

from uslm.systems.valle.text import (
    SYMBOLS,
    VallePhonemizer,
    ValleVocab,
    clean_phonemes,
    cut,
    tokens,
)
from uslm.text.frontend import TextFrontend
from uslm.text.vocab import TextVocab
from uslm_tokenizer.errors import ConfigError, MissingResource, TextError


def test_segments_and_marks_make_up_the_text() -> None:
    text = '  She said: "Hello;" and — then. '
    assert "".join(cut(text)) == text.strip()
    assert cut(text)[1::2] == [': "', ';" ', " — ", "."]


def test_spaces_of_marks_become_word_signs() -> None:
    said = VallePhonemizer(lambda segment, language: segment).phonemize(["a, b. c"])
    assert said == ["a,_b._c"]


def test_espeak_is_tidied() -> None:
    assert clean_phonemes(" m_ˌiː _æ_t_ f_ˈaɪ_v__ (en-us) ") == "m|iː_|æ|t_f|aɪ|v_(enus)"
    assert tokens("m|iː_|æ|t, f|aɪ") == ["m", "iː", "_", "æ", "t", ",", "_", "f", "aɪ"]


def test_ids_follow_code_points_whatever_the_file_says(tmp_path: Path) -> None:
    path = tmp_path / "table.k2symbols"
    path.write_text("".join(f"{s} {9 * i}\n" for i, s in enumerate(reversed(SYMBOLS))), "utf-8")
    vocab = ValleVocab.load(path)
    assert vocab.symbols == ValleVocab().symbols
    assert vocab.symbols[:5] == ("<pad>", "<bos>", "<eos>", "!", '"')
    assert list(vocab.symbols[3:]) == sorted(SYMBOLS)
    path.write_text("a 1\nb\n")
    with pytest.raises(ConfigError, match="number in each line"):
        ValleVocab.load(path)
    with pytest.raises(MissingResource):
        ValleVocab.load(tmp_path / "none")


def test_encoding_keeps_what_it_can() -> None:
    vocab = ValleVocab()
    assert isinstance(vocab, TextVocab)
    assert vocab.decode(vocab.encode("k|w|aɪə|t_h|ɪɹ")) == "kwaɪət hɪɹ"
    # Our own vocabulary's way of writing, with stress and without phones kept apart.
    assert vocab.encode("kwˈaɪət hˈɪɹ") == vocab.encode("k|w|aɪə|t_h|ɪɹ")
    assert vocab.unknown("ʊə|t_¿") == ("¿",)
    assert vocab.encode("ʊə_¿") == vocab.encode("ʊ|ə_")


def test_the_house_front_end_reads_for_it() -> None:
    frontend = TextFrontend("en-us", ValleVocab(), phonemizer=VallePhonemizer())
    result = frontend("He paid 3.50, no?")
    assert result.normalized.startswith("He paid three point five")
    assert result.phonemes.startswith("hiː peɪd θɹiː pɔɪnt faɪv")
    assert (result.text_ids[0], result.text_ids[-1]) == (1, 2)
    with pytest.raises(TextError):
        frontend("?!")
