"""Which texts a model that speaks English refuses, and what languages are called."""

from __future__ import annotations

from pathlib import Path

import pytest

from uslm.text.language import check_language, espeak_language, language_name, primary_language
from uslm.text.phonemize import EspeakPhonemizer
from uslm_tokenizer.errors import TextError

ENGLISH = [
    "Oscar de la Renta met Vincent van der Berg.",
    "La la la, la la.",
    "H O W E L L",
    "Dvořák, Janáček, Smetana",
    "He said: c'est la vie, mon ami, and left the café.",
    "Schadenfreude",
    "El Niño",
    "Она means she, and 你好 means hello.",
    "$5",
    "3.14159",
    "Hello.",
    "Nguyễn Văn Thiệu and Trần Văn Hương",
]
FOREIGN = [
    ("Guten Morgen, wie geht es dir?", "German"),
    ("Das ist gut", "German"),
    ("Je ne sais pas ce que vous avez dans la main.", "French"),
    ("¿Cómo está usted? Hay muy pocos como ella.", "Spanish"),
    ("Dat is niet de eerste keer dat hij ziek is.", "Dutch"),
    ("Tôi không biết những người này là ai.", "Vietnamese"),
    ("Привет, как дела?", "in Cyrillic letters"),
    ("日本語です", "in Chinese letters"),
    ("안녕하세요", "in Hangul letters"),
    ("مرحبا بالعالم", "in Arabic letters"),
    ("Ĝi ŝajnis ĉarma ĉielŝipo", "in a language with other letters"),
]


@pytest.mark.parametrize("text", ENGLISH)
def test_english_with_names_and_quotations_passes(text: str) -> None:
    check_language(text, "en-us", ["en-us"], "uslm-default")


@pytest.mark.parametrize("name", ["english_golden.tsv", "english/unchanged.tsv"])
def test_none_of_our_english_texts_is_refused(name: str) -> None:
    lines = (Path(__file__).parent / name).read_text("utf-8").splitlines()
    texts = [line.split("\t")[0] for line in lines if line.isascii()]
    assert len(texts) > 200
    for text in texts:
        check_language(text, "en", ["en"], "m")


@pytest.mark.parametrize(("text", "found"), FOREIGN)
def test_others_are_refused_with_what_the_model_speaks(text: str, found: str) -> None:
    with pytest.raises(TextError, match=rf"{found}, but model 'm' speaks English; --any-language"):
        check_language(text, "en-us", ["en-us"], "m")


def test_a_model_of_several_languages_speaks_them() -> None:
    german, russian = FOREIGN[0][0], FOREIGN[6][0]
    check_language(german, "de-DE", ["en", "de"], "m")
    check_language(russian, "ru", ["ru"], "m")
    with pytest.raises(TextError, match=r"in Cyrillic letters, .* speaks English and German"):
        check_language(russian, "en", ["en", "de"], "m")
    with pytest.raises(TextError, match=r"is to be read as French, .* speaks English"):
        check_language("Hello.", "fr_FR", ["en-us"], "m")
    # Japanese is written in three scripts; Chinese has one of them.
    check_language("日本語です", "ja", ["ja"], "m")
    with pytest.raises(TextError, match="Hiragana"):
        check_language("これはひらがな", "zh", ["zh"], "m")


@pytest.mark.parametrize(
    ("tag", "name"),
    [
        ("en", "en-us"), ("en_US", "en-us"), ("EN", "en-us"), ("en-GB", "en-gb"),
        ("en_US.UTF-8", "en-us"), ("de-DE", "de"), ("de_AT", "de"), ("de_DE@euro", "de"),
        ("fr", "fr-fr"), ("fr-CA", "fr-fr"), ("fr_BE", "fr-be"), ("pt-PT", "pt"),
        ("pt_BR", "pt-br"), ("es-MX", "es"), ("es-419", "es-419"), ("zh-CN", "cmn"),
        ("zh-Hans-CN", "cmn"), ("zh-HK", "yue"), ("sr-Latn-RS", "sr"), ("no", "nb"),
        ("vi-VN-x-central", "vi-vn-x-central"), ("xx", "xx"),
    ],
)  # fmt: skip
def test_tags_as_people_write_them(tag: str, name: str) -> None:
    assert espeak_language(tag) == name


def test_espeak_knows_what_tags_become() -> None:
    espeak = EspeakPhonemizer()
    same = {espeak.phonemize(["die Tür"], tag)[0] for tag in ("de", "de-DE", "de_AT")}
    assert len(same) == 1 and same != {espeak.phonemize(["die Tür"], "en")[0]}
    assert primary_language("zh-TW") == "zh" and language_name("pt_BR") == "Portuguese"
    assert language_name("tlh") == "tlh"
