"""The text front end: text -> normalised words -> phonemes -> ids, with a record of each step."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass

from uslm.text.clean import character_name, clean
from uslm.text.english import clean_english, normalize_english
from uslm.text.lexicon import Lexicon
from uslm.text.normalize import is_english
from uslm.text.phonemize import EspeakPhonemizer, Phonemizer
from uslm.text.vocab import PhonemeVocab, TextVocab
from uslm_tokenizer.errors import TextError

FIRST_PLACEHOLDER = 0xF0000
"""Lexicon phonemes travel through the normaliser as private characters from here on."""
_PLACEHOLDER = re.compile("([\U000f0000-\U000ffffd])")
_EMOJI = re.compile(
    "[\U0001f000-\U0001faff\u2600-\u2604\u2607-\u2638\u263c-\u2664\u2666-\u27bf\u2b00-\u2bff"
    "\u231a-\u231b\u23e9-\u23fa\u20e3\U0001f1e6-\U0001f1ff]"
)
_SAID_SIGNS = set("★☆✓✔")


@dataclass(frozen=True)
class FrontendResult:
    """Every step from the text as given to the ids that a model reads."""

    text: str
    """The text as given."""
    normalized: str
    """The words that are said."""
    phonemes: str
    """The phonemes of the words in the model's symbols; empty if the vocabulary reads text."""
    text_ids: tuple[int, ...]
    """What the model reads."""
    dropped: tuple[str, ...]
    """Characters that are not said (control characters, emoji, unknown sounds), each named once."""


class TextFrontend:
    """Text of one language -> `FrontendResult`. May be called from several threads."""

    def __init__(
        self,
        language: str = "en-us",
        vocab: TextVocab | None = None,
        lexicon: Lexicon | None = None,
        normalize: bool = True,
        phonemizer: Phonemizer | None = None,
        max_chars: int = 200_000,
    ) -> None:
        """`normalize=False` leaves numbers and abbreviations to espeak; `max_chars` is the longest
        text of one call (some three hours of speech): split a longer one."""
        if max_chars < 1:
            raise ValueError(f"max_chars must be at least 1, but is {max_chars}")
        self.language = language
        self.vocab: TextVocab = PhonemeVocab() if vocab is None else vocab
        self.lexicon = lexicon
        self.normalize = normalize
        self.phonemizer: Phonemizer = EspeakPhonemizer() if phonemizer is None else phonemizer
        self.max_chars = max_chars
        self._mute: dict[str, bool] = {}

    def __call__(self, text: str) -> FrontendResult:
        """Raises TextError, naming the reason, if nothing of the text can be said."""
        if len(text) > self.max_chars:
            raise TextError(
                f"text must have at most {self.max_chars:,} characters, but has {len(text):,}: "
                "split it into several texts"
            )
        if not text.strip():
            raise TextError("text must have something to say, but is empty")
        english = is_english(self.language)
        cleaned = clean_english(text, marked_up=self.normalize) if english else clean(text)
        words, dropped = cleaned.text, list(cleaned.dropped)
        if english:
            words, emoji = _without_emoji(words)
            dropped += emoji
        placeholders: list[str] = []
        if self.lexicon is not None:
            words = self.lexicon.replace(words, lambda sounds: _placeholder(placeholders, sounds))
        if english and self.normalize:
            words = normalize_english(words)
        if not any(char.isalnum() or _PLACEHOLDER.match(char) for char in words):
            raise _nothing_to_say(text, dropped)
        return self._encode(text, words, placeholders, dropped)

    def _encode(
        self, text: str, words: str, placeholders: list[str], dropped: list[str]
    ) -> FrontendResult:
        normalized = _PLACEHOLDER.sub(
            lambda match: f"/{placeholders[ord(match[0]) - FIRST_PLACEHOLDER]}/", words
        )
        if self.vocab.reads == "text":
            phonemes, readable = "", normalized
        else:
            dropped += self._mute_characters(words)
            phonemes = readable = self._phonemes(words, placeholders)
        dropped += self.vocab.unknown(readable)
        text_ids = tuple(self.vocab.encode(readable))
        if self.vocab.reads == "phonemes":
            phonemes = self.vocab.decode(text_ids)
            if not any(char.isalpha() for char in phonemes):
                raise _nothing_to_say(text, dropped)
        return FrontendResult(text, normalized, phonemes, text_ids, tuple(dict.fromkeys(dropped)))

    def _phonemes(self, words: str, placeholders: list[str]) -> str:
        segments = _PLACEHOLDER.split(words)
        spoken = self.phonemizer.phonemize(segments[::2], self.language)
        out = spoken[0]
        for before, placeholder, after, said in zip(
            segments[::2], segments[1::2], segments[2::2], spoken[1:], strict=False
        ):
            out += " " * before.endswith(" ") + placeholders[ord(placeholder) - FIRST_PLACEHOLDER]
            out += " " * after.startswith(" ") + said
        return out

    def _mute_characters(self, words: str) -> list[str]:
        """Names of the letters and signs that the phonemizer has no sound for, asked one by one."""
        foreign = {char for char in words if not char.isascii() and not _PLACEHOLDER.match(char)}
        for char in foreign - self._mute.keys():
            said = self.phonemizer.phonemize([char], self.language)[0]
            silent_by_nature = unicodedata.category(char)[0] in "PMZ"
            self._mute[char] = not silent_by_nature and not any(map(str.isalpha, said))
        return [character_name(char) for char in sorted(foreign) if self._mute[char]]


def _placeholder(placeholders: list[str], sounds: str) -> str:
    if sounds not in placeholders:
        placeholders.append(sounds)
    return chr(FIRST_PLACEHOLDER + placeholders.index(sounds))


def _without_emoji(text: str) -> tuple[str, list[str]]:
    """Emoji are pictures, not words: they are left out of English speech and reported."""
    found = [char for char in dict.fromkeys(_EMOJI.findall(text)) if char not in _SAID_SIGNS]
    for char in found:
        text = text.replace(char, " ")
    return text, [character_name(char) for char in found]


def _nothing_to_say(text: str, dropped: list[str]) -> TextError:
    shown = repr(text if len(text) <= 40 else text[:37] + "...")
    if dropped:
        names = ", ".join(dict.fromkeys(dropped[:5])) + (", ..." if len(dropped) > 5 else "")
        return TextError(f"text must have something to say, but {shown} has only {names}")
    return TextError(f"text must have something to say, but {shown} has only punctuation")
