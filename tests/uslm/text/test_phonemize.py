"""Phonemes come from espeak as the models were taught them, and no word is lost."""

# ruff: noqa: RUF001 (phonemes look like other letters)

from __future__ import annotations

import random
import threading

import pytest

from uslm.text.normalize import normalize
from uslm.text.phonemize import EspeakPhonemizer
from uslm_tokenizer.errors import TextError

# Words whose sounds hardly change with their neighbours, by language.
WORDS = {
    "en-us": [
        "banana",
        "window",
        "potato",
        "garden",
        "elephant",
        "picture",
        "mountain",
        "tomorrow",
    ],
    "de": ["Fenster", "Garten", "Elefant", "Kartoffel", "Sommer", "Wasser"],
    "fr": ["fenêtre", "jardin", "éléphant", "montagne", "chapeau", "musique"],
    "es": ["ventana", "jardín", "elefante", "montaña", "sombrero", "música"],
}
NUMBERS = ["3.5", "2,5", "1.000", "0.25", "12.", "7,", "3.14.", "1.2.3"]
MARKS = [
    ", ",
    ". ",
    "; ",
    " — ",
    "... ",
    "! ",
    "? ",
    " (",
    ") ",
    ": ",
    ' "',
    '" ',
    " … ",
    " - ",
    ",",
    ".",
]


@pytest.fixture(scope="module")
def espeak() -> EspeakPhonemizer:
    return EspeakPhonemizer()


def bare(phonemes: str) -> str:
    return "".join(char for char in phonemes if char.isalpha() and char not in "ˈˌː")


@pytest.mark.parametrize(
    ("text", "phonemes"),
    [
        ("Fisher followed him to his car.", "fˈɪʃɚ fˈɑːloʊd hˌɪm tə hɪz kˈɑːɹ."),
        ("You went to dinner?", "juː wɛnt tə dˈɪnɚ?"),
        ("House and doctor.", "hˈaʊs ænd dˈɑːktɚ."),
        ("In the year of the dog", "ɪnðə jˈɪɹ ʌvðə dˈɑːɡ"),
    ],
)
def test_plain_sentences_as_in_training(espeak: EspeakPhonemizer, text: str, phonemes: str) -> None:
    assert espeak.phonemize([text], "en-us") == [phonemes]


def test_words_after_a_decimal_stay(espeak: EspeakPhonemizer) -> None:
    (said,) = espeak.phonemize(["It costs 3.5 dollars and more."], "en-us")
    assert said == "ɪt kˈɔsts θɹˈiː pɔɪnt fˈaɪv dˈɑːlɚz ænd mˈɔːɹ."


@pytest.mark.parametrize("language", WORDS)
def test_no_word_is_ever_lost(espeak: EspeakPhonemizer, language: str) -> None:
    """Sentences drawn from words, decimals and marks: each word is heard, in order."""
    alone = {word: bare(espeak.phonemize([word], language)[0]) for word in WORDS[language]}
    stems = {word: sound[1:4] for word, sound in alone.items()}
    draw = random.Random(language)
    for _ in range(60):
        words, text = [], ""
        for _ in range(draw.randint(1, 25)):
            words.append(draw.choice(WORDS[language]))
            text += words[-1] + draw.choice([" ", " ", *MARKS])
            if draw.random() < 0.3:
                text += " " + draw.choice(NUMBERS) + draw.choice([" ", *MARKS])
        for spoken in (text, normalize(text, language)):
            (said,) = espeak.phonemize([spoken], language)
            received, place = bare(said), 0
            for word in words:
                place = received.find(stems[word], place)
                assert place >= 0, (spoken, word, said)
                place += len(stems[word])


@pytest.mark.parametrize("count", [10, 300, 5000])
def test_long_texts_without_punctuation_stay_whole(espeak: EspeakPhonemizer, count: int) -> None:
    (said,) = espeak.phonemize(["banana " * count], "en-us")
    assert len(said.split()) == count


def test_long_words_stay_whole(espeak: EspeakPhonemizer) -> None:
    (said,) = espeak.phonemize(["banako" * 200], "en-us")
    assert said.count("k") == 200


@pytest.mark.parametrize(
    ("text", "phonemes"),
    [
        ("the F B I said", "ðɪ ˌɛfbˌiːˈaɪ sˈɛd"),
        ("the I T department", "ðɪ ˌaɪtˈiː dᵻpˈɑːɹtmənt"),
        ("at nine A M today", "æt nˈaɪn ˌeɪˈɛm tədˈeɪ"),
        ("two C D's", "tˈuː sˌiːdˈiːz"),
        ("vitamin A is", "vˈaɪɾəmɪn ˈeɪ ɪz"),
        ("Glen A Bennett", "ɡlˈɛn ˈeɪ bˈɛnɪt"),
        ("A dog", "ɐ dˈɑːɡ"),
    ],
)
def test_letters_are_spelled(espeak: EspeakPhonemizer, text: str, phonemes: str) -> None:
    assert espeak.phonemize([text], "en-us") == [phonemes]


def test_one_line_for_each_text(espeak: EspeakPhonemizer) -> None:
    said = espeak.phonemize(["banana", "", "...", "2.5. 3"], "en-us")
    assert said[:3] == ["bɐnˈænə", "", "..."]
    assert len(said) == 4


def test_unknown_language_is_named(espeak: EspeakPhonemizer) -> None:
    with pytest.raises(
        TextError, match="language must be one that espeak knows, but is 'englisch'"
    ):
        espeak.phonemize(["a"], "englisch")


def test_threads_get_the_same_answer(espeak: EspeakPhonemizer) -> None:
    texts = [f"banana number {word} in the garden" for word in WORDS["en-us"]]
    expected = espeak.phonemize(texts, "en-us")
    answers: list[list[str]] = []
    threads = [
        threading.Thread(target=lambda: answers.append(espeak.phonemize(texts, "en-us")))
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == [expected] * 4
