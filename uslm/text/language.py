"""Languages: tags as people write them, and whether a text is in one that a model speaks."""

# ruff: noqa: RUF001 (this file is about characters that look alike)

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Collection, Sequence

from uslm_tokenizer.errors import TextError

NAMES = {
    "ar": "Arabic", "ca": "Catalan", "cs": "Czech", "cy": "Welsh", "da": "Danish", "de": "German",
    "el": "Greek", "en": "English", "es": "Spanish", "eu": "Basque", "fa": "Persian",
    "fi": "Finnish", "fr": "French", "hi": "Hindi", "hu": "Hungarian", "id": "Indonesian",
    "it": "Italian", "ja": "Japanese", "ko": "Korean", "nb": "Norwegian", "nl": "Dutch",
    "pl": "Polish", "pt": "Portuguese", "ro": "Romanian", "ru": "Russian", "sv": "Swedish",
    "tr": "Turkish", "uk": "Ukrainian", "vi": "Vietnamese", "zh": "Chinese",
}  # fmt: skip
ESPEAK_NAMES = {
    "en": "en-us", "en-uk": "en-gb", "fr": "fr-fr", "no": "nb", "zh": "cmn", "zh-cn": "cmn",
    "zh-tw": "cmn", "zh-hk": "yue", "iw": "he",
}  # fmt: skip
"""Common names of languages that espeak calls otherwise."""
ESPEAK_REGIONS = {
    "ca-ba", "ca-nw", "ca-va", "cmn-latn-pinyin", "en-029", "en-gb", "en-gb-scotland",
    "en-gb-x-gbclan", "en-gb-x-gbcwmd", "en-gb-x-rp", "en-shaw", "en-us", "en-us-nyc", "es-419",
    "fa-latn", "fr-be", "fr-ch", "fr-fr", "pt-br", "ru-cl", "ru-lv", "vi-vn-x-central",
    "vi-vn-x-south", "yue-latn-jyutping",
}  # fmt: skip
"""Tags with a region, script or variant that espeak knows as they are."""

_SCRIPTS = {
    "ar": "ARABIC", "bg": "CYRILLIC", "bn": "BENGALI", "el": "GREEK", "fa": "ARABIC",
    "gu": "GUJARATI", "he": "HEBREW", "hi": "DEVANAGARI", "hy": "ARMENIAN", "ja": "CJK KANA",
    "ka": "GEORGIAN", "kn": "KANNADA", "ko": "HANGUL CJK", "mk": "CYRILLIC", "ml": "MALAYALAM",
    "mr": "DEVANAGARI", "ne": "DEVANAGARI", "pa": "GURMUKHI", "ru": "CYRILLIC", "si": "SINHALA",
    "sr": "CYRILLIC LATIN", "ta": "TAMIL", "te": "TELUGU", "th": "THAI", "uk": "CYRILLIC",
    "ur": "ARABIC", "cmn": "CJK", "yue": "CJK", "zh": "CJK",
}  # fmt: skip
"""Scripts of languages that are not written in Latin letters."""
_KANA = {"HIRAGANA", "KATAKANA"}
# Words that are frequent in a language and that English does not have.
_WORDS = {
    "ca": "els amb per una que és dels aquest aquesta molt però també més del hi ha són",
    "cs": "je se na že to jsem jako ale jsou tak byl bylo pro jeho která který když nebo už",
    "cy": "yn yr mae ac wedi gan ar hyn fod oedd nid ond hwn roedd bod eu",
    "da": "og det er at en den til på med ikke jeg han hun af der som var har et vi kan fra",
    "de": "der die das und ist nicht ich ein eine einen zu mit den sich auf dem es er sie wir "
    "von auch wie aber noch nach bei aus nur oder wenn dass des im hat sind haben wird dir guten",
    "eo": "la kaj estas de en mi ne al ke li por kun ŝi ili tiu kiu sed oni pli",
    "es": "el la los las que y en un una es por con para no se lo como más pero su del está muy "
    "este son fue todo hay cuando sus",
    "eu": "eta da du ez bat dira zen hau baina bere egin zuen dute izan hori ere",
    "fi": "ja on ei se hän että oli mutta niin kun minä myös ovat sen tämä mitä kuin nyt",
    "fr": "le la les des et est une un que qui dans pour pas ce il elle sur vous nous je avec "
    "sont plus mais être du au cette aux ont par ne se sa son comme tout",
    "hu": "a az és hogy nem is egy van ez azt de meg csak már volt mint ki el még ha",
    "id": "yang dan di itu dengan untuk tidak ini dari dalam akan pada saya ada ke kami dia bisa",
    "it": "il la che di e un una per non con sono è del della lo gli le si nel più come ma dei "
    "anche questo alla da ha al",
    "nl": "de het een en van is dat niet te zijn met op voor ik je er maar hij wij ze ook aan "
    "naar bij dit wat nog als om was heeft door deze",
    "pl": "i w nie na się z że to jest do jak co ale po tak od przez był jego czy tylko już",
    "pt": "o a os as que e de do da em um uma não para com se por mais como mas foi ao ele ela "
    "seu são está na no dos muito",
    "ro": "și în de la cu nu este pe că un o să care din mai pentru sunt ce dar au fost am",
    "sv": "och det är att en som på inte jag han hon med den för av till var har vi ett kan om",
    "tr": "ve bir bu da de için çok ne var ama gibi daha kadar o ben değil olarak en sonra",
    "vi": "là của và có không một được cho các này người tôi với những trong anh đã",
}  # fmt: skip
_ENGLISH_WORDS = (
    "the be to of and a in that have i it for not on with he as you do at this but his by from "
    "they we say her she or an will my one all would there their what so up out if about who get "
    "which go me when make can like no just him know take into your good some could them see "
    "other than then now look only come its over think also back after use two how our work "
    "first well way even new want because any these give day most us is are was were been has "
    "had did said more very here where why let please yes hello am"
)
_ENGLISH = frozenset(_ENGLISH_WORDS.split())
_BOTH = (
    "al da de del della der des di do dos du el la le van von "
    "ben con dan den die door hat met per plus pour son var"
)
"""What stands in English texts, too, in names (Oscar de la Renta) or as another word."""
# A letter alone is spelled: H O W E L L.
_FOREIGN = {
    language: frozenset(word for word in words.split() if len(word) > 1) - _ENGLISH
    for language, words in _WORDS.items()
}
_WORD = re.compile(r"[^\W\d_]+(?:['’][^\W\d_]+)*")
MAX_CHARS = 20_000
"""So much of a long text is looked at."""


def espeak_language(tag: str) -> str:
    """Name of a language in espeak: `en_US`, `en-US.UTF-8` and `en` are en-us, `de-DE` is de."""
    name = tag.strip().partition(".")[0].partition("@")[0].replace("_", "-").lower()
    if name in ESPEAK_REGIONS:
        return name
    if name in ESPEAK_NAMES:
        return ESPEAK_NAMES[name]
    primary, _, rest = name.partition("-")
    is_region = re.fullmatch(r"([a-z]{4}-)?([a-z]{2}|\d{3})|[a-z]{4}", rest) is not None
    return ESPEAK_NAMES.get(primary, primary) if is_region else name


def primary_language(tag: str) -> str:
    """The language alone, without its region: `en` of `en-us`, `zh` of `cmn`."""
    primary = espeak_language(tag).partition("-")[0]
    return {"cmn": "zh", "yue": "zh", "no": "nb"}.get(primary, primary)


def language_name(tag: str) -> str:
    """In English; the tag itself where no name is known."""
    return NAMES.get(primary_language(tag), tag)


def check_language(text: str, read_as: str, languages: Sequence[str], model: str) -> None:
    """Raise TextError if a text is to be read in another language than those of a model, or is
    plainly not in one of them.

    What is judged is the text as a whole, by its letters and its most frequent words: foreign names
    and quotations pass, and so does what is too short to tell.
    """
    spoken = {primary_language(tag) for tag in languages}
    if primary_language(read_as) not in spoken:
        found = f"is to be read as {language_name(read_as)}"
    elif (foreign := foreign_script(text, spoken) or foreign_language(text, spoken)) is not None:
        found = f"seems to be {foreign}"
    else:
        return
    names = [language_name(tag) for tag in dict.fromkeys(map(primary_language, languages))]
    raise TextError(
        f"the text {found}, but model {model!r} speaks {' and '.join(names)}; "
        "--any-language (any_language=True) goes on anyway"
    )


def foreign_script(text: str, spoken: Collection[str]) -> str | None:
    """`in Cyrillic letters`, where most letters are of a script that no language uses; or None."""
    counts = Counter(_script(char) for char in text[:MAX_CHARS] if char.isalpha())
    known = {name for tag in spoken for name in _SCRIPTS.get(tag, "LATIN").split()}
    if "KANA" in known:
        known |= _KANA
    unknown = Counter({name: count for name, count in counts.items() if name not in known})
    if 2 * unknown.total() <= counts.total():
        return None
    name = unknown.most_common(1)[0][0]
    return f"in {'Chinese' if name == 'CJK' else name.capitalize()} letters"


def foreign_language(text: str, spoken: Collection[str]) -> str | None:
    """`German`, where the words of a text in Latin letters are, and not English; or None.

    Only texts for models that speak English are judged: for others the words are not known.
    """
    words = [word.replace("’", "'") for word in _WORD.findall(text[:MAX_CHARS])]
    if "en" not in spoken or len(words) < 3:
        return None
    counts = Counter(word.lower() for word in words)
    ours = sum(counts[word] for word in _ENGLISH)
    # Names have odd letters in English texts, too.
    odd = sum(not word.isascii() and word[0].islower() for word in words)
    best, most = None, 0
    for language, known in _FOREIGN.items():
        said = [word for word in known if word in counts]
        score = sum(counts[word] for word in said)
        telling = len(said) > 1 and not set(_BOTH.split()).issuperset(said)
        if telling and language not in spoken and score > most:
            best, most = language, score
    if best is not None and most >= 0.2 * len(words) and most > 2 * ours:
        return NAMES.get(best, "in another language")
    if odd >= 2 and odd >= 0.2 * len(words) and odd > 2 * ours:
        return "in a language with other letters"
    return None


def _script(char: str) -> str:
    return unicodedata.name(char, "").partition(" ")[0]
