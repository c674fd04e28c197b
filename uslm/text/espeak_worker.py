"""espeak-ng for one other process: what it asks on stdin is answered on stdout, a line for a line.

Some texts make espeak-ng 1.52 write beyond its buffers; what then ends is this process alone
(espeak.py, which starts it, says the rest). A question is a JSON object with `how` ("phonemes",
"separated" or "version"), `language` and `words`; an answer has `said`, or `error` and `message`.
"""

from __future__ import annotations

import difflib
import faulthandler
import json
import logging
import os
import signal
import sys
from typing import Any

from uslm_tokenizer.errors import EnvironmentProblem, TextError

_NO_MARK = "\x00"


def main(limit_seconds: float) -> None:
    """Answer until stdin ends. A question that takes longer than the limit ends the process."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for whoever asks
    # espeak's library may print; nothing but answers goes to whoever asks.
    answers = os.fdopen(os.dup(1), "w", encoding="ascii")
    with open(os.devnull, "r+b") as nothing:
        os.dup2(nothing.fileno(), 1)
        os.dup2(nothing.fileno(), 2)
        espeak = _Espeak()
        for line in sys.stdin.buffer:
            faulthandler.dump_traceback_later(limit_seconds, exit=True, file=nothing)
            answer = _answer(espeak, json.loads(line))
            faulthandler.cancel_dump_traceback_later()
            print(json.dumps(answer), file=answers, flush=True)


def _answer(espeak: _Espeak, question: dict[str, str]) -> dict[str, str]:
    language, words = question["language"], question["words"]
    try:
        if question["how"] == "phonemes":
            return {"said": espeak.phonemes(language, words)}
        if question["how"] == "separated":
            return {"said": espeak.separated(language, words)}
        return {"said": espeak.version()}
    except (TextError, UnicodeEncodeError) as error:  # half a surrogate pair has no UTF-8
        return {"error": "text", "message": str(error)}
    except EnvironmentProblem as error:
        return {"error": "environment", "message": str(error)}
    except Exception as error:
        return {"error": "ours", "message": f"{type(error).__name__}: {error}"}


class _Espeak:
    """The library, through phonemizer; each language is loaded when it is first asked for."""

    def __init__(self) -> None:
        self._backends: dict[str, Any] = {}
        self._voices: dict[str, Any] = {}

    def phonemes(self, language: str, words: str) -> str:
        said: list[str] = self._backend(language).phonemize([words], strip=True)
        return " ".join(said).strip()

    def separated(self, language: str, words: str) -> str:
        if language not in self._voices:
            self._backend(language)
            self._voices[language] = _load_voice(language)
        spoken: str = self._voices[language].text_to_phonemes(words, False)
        return spoken

    def version(self) -> str:
        major, minor, *_ = type(self._backend("en-us")).version()
        return f"{major}.{minor}"

    def _backend(self, language: str) -> Any:
        if language not in self._backends:
            self._backends[language] = _load_backend(language)
        return self._backends[language]


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
    logger = logging.getLogger("uslm.text.espeak_worker")
    logger.setLevel(logging.CRITICAL)
    return logger
