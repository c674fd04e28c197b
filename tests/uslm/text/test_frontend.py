"""The front end records each step, and says plainly what it cannot speak."""

# ruff: noqa: RUF001 (phonemes look like other letters)

from __future__ import annotations

import time
from collections.abc import Sequence

import pytest

from uslm.text.frontend import TextFrontend
from uslm.text.vocab import PhonemeVocab, SentencePieceVocab
from uslm_tokenizer.errors import TextError


@pytest.fixture(scope="module")
def frontend() -> TextFrontend:
    return TextFrontend()


def test_every_step_is_recorded(frontend: TextFrontend) -> None:
    result = frontend("Dr. Lee paid $5.")
    assert result.text == "Dr. Lee paid $5."
    assert result.normalized == "Doctor Lee paid five dollars."
    assert result.phonemes == "dˈɑːktɚ lˈiː pˈeɪd fˈaɪv dˈɑːlɚz."
    assert PhonemeVocab().decode(result.text_ids) == result.phonemes
    assert result.dropped == ()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is empty"),
        (" \n\t ", "is empty"),
        ("?!... —", r"'\?!\.\.\. —' has only punctuation"),
        ("😀👍🏽", "GRINNING FACE"),
        ("\x00\x01", r"U\+0000 control character"),
        ("\u200b", "only punctuation"),
        ("abc\ud800", r"lone surrogate U\+D800"),
        ("\U0001f1eb\U0001f1f7", "REGIONAL INDICATOR"),
        ("\ue000", r"U\+E000"),
    ],
)
def test_nothing_to_say_is_refused_by_name(frontend: TextFrontend, text: str, message: str) -> None:
    with pytest.raises(TextError, match=message):
        frontend(text)


@pytest.mark.parametrize("char", ["a", "1", "!", "😀", "a ", "\x00", "\n"])
def test_a_megabyte_is_refused_at_once(frontend: TextFrontend, char: str) -> None:
    start = time.process_time()
    with pytest.raises(TextError, match=r"at most 200,000 characters, but has 1,000,000"):
        frontend((char * 1_000_000)[:1_000_000])
    assert time.process_time() - start < 1


def test_what_is_left_out_is_named(frontend: TextFrontend) -> None:
    result = frontend("Good\x00 job 👍, friends!")
    assert result.normalized == "Good job, friends!"
    assert result.dropped == ("U+0000 control character", "'👍' U+1F44D THUMBS UP SIGN")


def test_mixed_scripts_are_spoken(frontend: TextFrontend) -> None:
    result = frontend("hello привет 中 world")
    assert result.normalized == "hello privet world"
    assert result.phonemes == "həlˈoʊ pɹˈɪvɪt wˈɜːld"
    assert result.dropped == ("'中' U+4E2D CJK UNIFIED IDEOGRAPH-4E2D",)


@pytest.mark.parametrize(
    ("text", "normalized", "named"),
    [
        ("The word አማ here", "The word here", ["ETHIOPIC SYLLABLE GLOTTAL A", "SYLLABLE MAA"]),
        ("The word 𠮷 here", "The word here", ["U+20BB7"]),
        ("The word سلام here", "The word here", ["ARABIC LETTER SEEN"]),
        ("The word שלום, here", "The word, here", ["HEBREW LETTER SHIN"]),
        ("Say ðɪs now", "Say now", ["LATIN LETTER SMALL CAPITAL I"]),
        ("¯\\_(ツ)_/¯ shrug", "shrug", ["KATAKANA LETTER TU"]),
        ("Nguyễn, Łódź, Ƙano,한국어, हिन्दी", "Nguyen, Łódź, Kano, 한국어, हिन्दी", []),
    ],
)
def test_unreadable_scripts_are_left_out_and_named(
    frontend: TextFrontend, text: str, normalized: str, named: list[str]
) -> None:
    """espeak would say "Chinese letter", "Arabic seen", "letter one two a zero"."""
    result = frontend(text)
    assert result.normalized == normalized
    assert "lˌɛɾɚ" not in result.phonemes
    assert bool(result.dropped) == bool(named)
    assert all(name in " ".join(result.dropped) for name in named)


def test_only_unreadable_text_is_refused_by_name(frontend: TextFrontend) -> None:
    with pytest.raises(TextError, match="CJK UNIFIED IDEOGRAPH"):
        frontend("中文")


def test_scripts_are_left_out_without_normalisation_too() -> None:
    result = TextFrontend(normalize=False)("in 2 中 days")
    assert result.normalized == "in 2 days"
    assert len(result.dropped) == 1


@pytest.mark.parametrize(
    ("text", "sounds"),
    [
        ("A380", "ˈeɪ θɹˈiː ˈeɪɾi"),
        ("A-Z", "ˈeɪ tə zˈiː"),
        ("Shh!", "ʃˈʌʃ!"),
        ("I'M HERE", "aɪm hˈɪɹ"),
        ("THEY'RE LATE", "ðeɪɚ lˈeɪt"),
    ],
)
def test_what_espeak_would_spell_or_slur(frontend: TextFrontend, text: str, sounds: str) -> None:
    assert frontend(text).phonemes == sounds


def test_characters_without_a_sound_are_named() -> None:
    class Deaf:
        """Knows ASCII only."""

        def phonemize(self, texts: Sequence[str], language: str) -> list[str]:
            return ["".join(char for char in text if char.isascii()) for text in texts]

    result = TextFrontend(phonemizer=Deaf())("hello ß, ok ß.")
    assert result.phonemes == "hello, ok."
    assert result.dropped == ("'ß' U+00DF LATIN SMALL LETTER SHARP S",)


@pytest.mark.parametrize(
    ("language", "text"),
    [
        ("de", "Straße, 3,5 Kilometer; schön!"),
        ("fr", "Un bon vin blanc, s'il vous plaît."),
        ("es", "¿Qué tal, señor?"),
        ("en-gb", "Bath water"),
    ],
)
def test_other_languages_use_the_same_symbols(language: str, text: str) -> None:
    result = TextFrontend(language)(text)
    assert result.normalized == text
    assert result.dropped == ()
    assert len(result.phonemes.split()) >= 2


def test_a_text_vocabulary_needs_no_phonemes() -> None:
    vocab = SentencePieceVocab.train(["five dollars for the doctor"] * 5, size=290)
    result = TextFrontend(vocab=vocab)("$5")
    assert result.phonemes == ""
    assert vocab.decode(result.text_ids) == "five dollars"


def test_normalisation_can_be_off() -> None:
    assert TextFrontend(normalize=False)("in 2 days").normalized == "in 2 days"


def test_max_chars_is_checked() -> None:
    with pytest.raises(ValueError, match="max_chars must be at least 1, but is 0"):
        TextFrontend(max_chars=0)
