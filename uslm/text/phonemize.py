"""Words -> phonemes (IPA) with espeak-ng, and no word lost on the way."""

from __future__ import annotations

import difflib
import logging
import re
import threading
from collections.abc import Sequence
from re import Match
from typing import Any, Protocol, runtime_checkable

from uslm.text.normalize import is_english
from uslm_tokenizer.errors import EnvironmentProblem, TextError

LANGUAGE_NAMES = {"en": "en-us", "fr": "fr-fr", "zh": "cmn", "no": "nb", "en-uk": "en-gb"}
"""Common names of languages that espeak calls otherwise."""

LONGEST_PIECE = 300
"""Characters handed to espeak at once: over some thousands it returns nothing at all."""
LONGEST_WORD = 60
"""Letters of one word; espeak silently cuts words off at about 150 bytes."""

# Where phonemizer cuts a line. Like phonemizer we keep . and , inside a number.
_MARKS = re.compile(r'\s?(?:[;:!?¡¿—…"«»“”(){}\[\]]|(?<![0-9])[,.]|[,.](?![0-9]))'
                    r'(?:[;:!?¡¿—…"«»“”(){}\[\]\s]|(?<![0-9])[,.]|[,.](?![0-9]))*')  # fmt: skip
_NO_MARK = "\x00"
_SPACES = re.compile(r"\s+")
_LONG_WORD = re.compile(rf"(\w{{{LONGEST_WORD}}})(?=\w)")
_SPELLED = re.compile(r"(?<![\w'-])[A-Z](?: [A-Z])+(?:'s)?(?!\w)")
_LETTER_A = re.compile(
    r"\b((?i:vitamin|plan|type|grade|option|class|group|section|team|hepatitis|exhibit|part|an|"
    r"level|gate|letter) )A\b(?![-'])|"
    r"\bA (?=(?:plus|minus)\b)|"
    r"\b((?!(?:Upon|Of|Is|In|On|With|For|To|As|And|Like|Such|What|Not|From|By|At|But|Or|Was|It)\b)"
    r"[A-Z][a-z]+ )A(?= [A-Z][a-z])|"
    r"\bA (?=to [B-Z]\b|(?:one|two|three|four|five|six|seven|eight|nine) "  # A to Z, A three eighty
    r"(?:oh|ten|eleven|twelve|\w{3,5}teen|(?:twen|thir|for|fif|six|seven|eigh|nine)ty)\b)|"
    r"(?<=[a-z,] )A (?=(?:one|two|three|four|five|six|seven|eight|nine|ten)\b)"
)
_LOOSE_S = re.compile(r" (?=[zs](?: |$))")


@runtime_checkable
class Phonemizer(Protocol):
    """Anything that turns words into phonemes; another one than espeak can take its place."""

    def phonemize(self, texts: Sequence[str], language: str) -> list[str]:
        """One line of phonemes for each text, its punctuation kept."""
        ...


class EspeakPhonemizer:
    """espeak-ng from the wheel `espeakng-loader`, through `phonemizer`; no system package needed.

    phonemizer 3.4.0 keeps the point of "3.5." inside the number but later looks for the mark "."
    by its text, finds the one in the number, and shifts or drops what follows. So the text is
    cut at its punctuation here, and phonemizer only ever sees pieces without any. espeak's C
    library is not thread safe: one lock holds for all calls.
    """

    _lock = threading.RLock()

    def __init__(self) -> None:
        self._backends: dict[str, Any] = {}
        self._voices: dict[str, Any] = {}

    def phonemize(self, texts: Sequence[str], language: str = "en-us") -> list[str]:
        with self._lock:
            backend = self._backend(language)
            return [self._line(backend, text, is_english(language)) for text in texts]

    @property
    def version(self) -> str:
        """Of espeak-ng: "1.52"."""
        with self._lock:
            major, minor, *_ = type(self._backend("en-us")).version()
        return f"{major}.{minor}"

    def separated(self, words: str, language: str = "en-us") -> str:
        """What espeak says of words without punctuation: "_" between phones, spaces between words,
        stress as it marks it, in brackets where it switches to another language."""
        with self._lock:
            language = LANGUAGE_NAMES.get(language.lower(), language.lower())
            if language not in self._voices:
                self._backend(language)
                self._voices[language] = _load_voice(language)
            spoken: str = self._voices[language].text_to_phonemes(words, False)
        return spoken

    def _line(self, backend: Any, text: str, english: bool) -> str:
        text = _SPACES.sub(" ", text).strip()
        pieces: list[str] = []
        marks: list[str] = []
        end = 0
        for mark in _MARKS.finditer(text):
            pieces.append(text[end : mark.start()])
            marks.append(mark[0])
            end = mark.end()
        pieces.append(text[end:])
        spoken = [self._piece(backend, piece, english) for piece in pieces]
        joined = [said + mark for said, mark in zip(spoken, [*marks, ""], strict=True)]
        return "".join(joined).strip()

    def _piece(self, backend: Any, piece: str, english: bool) -> str:
        parts = _split_long(_LONG_WORD.sub(r"\1 ", piece))
        said = [self._words(backend, part, english) for part in parts]
        return " ".join(part for part in said if part)

    def _words(self, backend: Any, words: str, english: bool) -> str:
        if not words or words.isspace():
            return ""
        if english:
            words = _LETTER_A.sub(_letter_a, words)
            words, spelled = _SPELLED.subn(_dotted, words)
        said = _speak(backend, words)
        if not said and " " in words:
            said = " ".join(filter(None, (_speak(backend, word) for word in words.split())))
        return _LOOSE_S.sub("", said) if english and spelled and "'s" in words else said

    def _backend(self, language: str) -> Any:
        language = LANGUAGE_NAMES.get(language.lower(), language.lower())
        if language not in self._backends:
            self._backends[language] = _load_backend(language)
        return self._backends[language]


def _speak(backend: Any, words: str) -> str:
    said: list[str] = backend.phonemize([words], strip=True)
    return " ".join(said).strip()


def _letter_a(match: Match[str]) -> str:
    """A- is read as the letter; A alone would be the article."""
    before, _, after = match[0].rpartition("A")
    return f"{before}A-{after}"


def _dotted(match: Match[str]) -> str:
    """F B I -> F.B.I., which espeak spells with the stress of a name, whatever the letters say."""
    letters, _, ending = match[0].partition("'")
    return letters.replace(" ", ".") + "." + (f"'{ending}" if ending else "")


def _split_long(piece: str) -> list[str]:
    """Parts of at most LONGEST_PIECE characters, cut at spaces."""
    if len(piece) <= LONGEST_PIECE:
        return [piece]
    parts = [""]
    for word in piece.split():
        if len(parts[-1]) + 1 + len(word) > LONGEST_PIECE:
            parts.append(word)
        else:
            parts[-1] = f"{parts[-1]} {word}".strip()
    return parts


def _load_backend(language: str) -> Any:
    try:
        import espeakng_loader
        from phonemizer.backend import EspeakBackend
        from phonemizer.backend.espeak.wrapper import EspeakWrapper
    except ImportError as error:
        raise EnvironmentProblem(
            f"phonemes need the packages phonemizer and espeakng-loader ({error}): "
            "pip install 'phonemizer>=3.3' espeakng-loader"
        ) from error
    try:
        EspeakWrapper.set_library(espeakng_loader.get_library_path())
        EspeakWrapper.set_data_path(espeakng_loader.get_data_path())
        languages = EspeakBackend.supported_languages()
    except (RuntimeError, OSError) as error:
        raise EnvironmentProblem(
            f"espeak-ng could not be loaded ({error}): "
            "pip install --force-reinstall espeakng-loader"
        ) from error
    if language not in languages:
        near = difflib.get_close_matches(language, languages, n=3, cutoff=0.4)
        near = near or sorted(name for name in languages if name.startswith(language[:2]))[:3]
        hint = f"; near are {', '.join(near)}" if near else ""
        raise TextError(f"language must be one that espeak knows, but is {language!r}{hint}")
    return EspeakBackend(
        language,
        punctuation_marks=_NO_MARK,
        with_stress=True,
        language_switch="remove-flags",
        logger=_quiet_logger(),
    )


def _load_voice(language: str) -> Any:
    from phonemizer.backend.espeak.wrapper import EspeakWrapper

    voice = EspeakWrapper()
    voice.set_voice(language)
    return voice


def _quiet_logger() -> logging.Logger:
    """phonemizer counts words and warns on stderr where espeak joins some ("of the")."""
    logger = logging.getLogger("uslm.text.phonemize")
    logger.setLevel(logging.CRITICAL)
    return logger
