"""Vocabularies: fixed ids, nothing dropped unsaid, SentencePiece trained, saved and loaded."""

# ruff: noqa: RUF001 (phonemes look like other letters)

from __future__ import annotations

from pathlib import Path

import pytest

from uslm.text.vocab import LOOKALIKES, PHONEME_SYMBOLS, PhonemeVocab, SentencePieceVocab, TextVocab
from uslm_tokenizer.errors import MissingResource, TextError


def test_phoneme_ids_never_change() -> None:
    vocab = PhonemeVocab()
    assert vocab.size == 53
    assert len(set(PHONEME_SYMBOLS)) == 52
    assert vocab.encode("a.") == [8, 4]
    assert vocab.encode("ᵻ") == [52]
    assert vocab.encode("n\u0329") == [19, 50]


def test_phonemes_there_and_back() -> None:
    vocab: TextVocab = PhonemeVocab()
    line = "fˈɪʃɚ fˈɑːloʊd hˌɪm, tə hɪz kˈɑːɹ: ðə bˈʌʔn\u0329; ɹˈɛst? nˈoʊ!"
    assert vocab.decode(vocab.encode(line)) == line
    assert vocab.decode([0, *vocab.encode(line), 0]) == line
    assert vocab.unknown(line) == ()


def test_foreign_sounds_become_the_nearest() -> None:
    vocab = PhonemeVocab()
    assert vocab.canonical("gruːɲ") == "ɡɹuːnnj" or vocab.canonical("gr") == "ɡɹ"
    assert vocab.canonical("bɔ̃") == "bɔn"
    assert vocab.canonical("hə — (wˈɜːld) “ɪz”… ") == "hə, wˈɜːld, ɪz."
    assert set("".join(LOOKALIKES.values())) <= set(PHONEME_SYMBOLS)
    assert not set(LOOKALIKES) & set(PHONEME_SYMBOLS)


def test_unknown_symbols_are_named() -> None:
    vocab = PhonemeVocab()
    assert vocab.encode("aǂb") == vocab.encode("ab")
    assert vocab.unknown("aǂbǂ") == ("'ǂ' U+01C2 LATIN LETTER ALVEOLAR CLICK",)


@pytest.mark.parametrize("place", [-1, 53])
def test_ids_out_of_range_are_refused(place: int) -> None:
    with pytest.raises(ValueError, match=r"must be 0\.\.52"):
        PhonemeVocab().decode([place])


@pytest.fixture(scope="module")
def segments() -> SentencePieceVocab:
    sentences = [
        f"the {a} saw {b} near the old house" for a in ("cat", "dog", "man") for b in ("me", "you")
    ]
    return SentencePieceVocab.train(sentences * 5, size=300)


def test_sentencepiece_there_and_back(segments: SentencePieceVocab) -> None:
    text = "the dog saw a zebra ünder the house"
    ids = segments.encode(text)
    assert segments.decode(ids) == text
    assert segments.decode([0, *ids, 0]) == text
    assert all(0 < place < segments.size for place in ids)
    assert segments.unknown(text) == ()
    assert segments.reads == "text"


def test_sentencepiece_saves_and_loads(segments: SentencePieceVocab, tmp_path: Path) -> None:
    segments.save(tmp_path / "text.model")
    again = SentencePieceVocab.load(tmp_path / "text.model")
    assert again.encode("the cat saw you") == segments.encode("the cat saw you")
    assert [file.name for file in tmp_path.iterdir()] == ["text.model"]


def test_a_saved_vocabulary_can_be_read_as_any_new_file(
    segments: SentencePieceVocab, tmp_path: Path
) -> None:
    (tmp_path / "any").touch()
    segments.save(tmp_path / "vocab.model")
    assert (tmp_path / "vocab.model").stat().st_mode == (tmp_path / "any").stat().st_mode
    assert {file.name for file in tmp_path.iterdir()} == {"any", "vocab.model"}


def test_sentencepiece_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(MissingResource, match=r"none\.model"):
        SentencePieceVocab.load(tmp_path / "none.model")
    (tmp_path / "bad.model").write_bytes(b"not a model")
    with pytest.raises(TextError, match=r"bad\.model"):
        SentencePieceVocab.load(tmp_path / "bad.model")
    with pytest.raises(TextError, match="could not learn"):
        SentencePieceVocab.train(["a"], size=5)
