"""espeak-ng may die of a text; we do not, and what comes next is read as ever."""

# ruff: noqa: RUF001 (apostrophes and letters that look alike are what this is about)

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from uslm.text.espeak import EspeakProcess
from uslm.text.frontend import TextFrontend
from uslm.text.phonemize import LONGEST_SEGMENT, LONGEST_WORD, EspeakPhonemizer
from uslm_tokenizer.errors import EnvironmentProblem, TextError

ROOT = Path(__file__).parents[3]
DEADLY = "'-\u0915\u0939"
"""Four characters that end espeak-ng 1.52.0, in English."""
PLAIN, PLAIN_SAID = "Fisher followed him", "fˈɪʃɚ fˈɑːloʊd hˌɪm"
FUZZ_EXAMPLES = 400 if os.environ.get("CI") else 60


@pytest.fixture(scope="module")
def process() -> Iterator[EspeakProcess]:
    started = EspeakProcess()
    yield started
    started.close()


@pytest.fixture(scope="module")
def espeak(process: EspeakProcess) -> EspeakPhonemizer:
    return EspeakPhonemizer(process)


def test_a_text_that_ends_espeak_is_named(espeak: EspeakPhonemizer) -> None:
    with pytest.raises(TextError, match="'-\u0915\u0939"):
        espeak.phonemize([DEADLY])
    assert espeak.phonemize([PLAIN]) == [PLAIN_SAID]
    with pytest.raises(TextError, match="'-\u0915\u0939"):
        espeak.separated(DEADLY)


def test_a_process_that_is_gone_is_started_again(
    process: EspeakProcess, espeak: EspeakPhonemizer
) -> None:
    """As after the death that an earlier text has caused."""
    espeak.phonemize(["a"])
    assert process._process is not None
    process._process.kill()
    process._process.wait()
    assert espeak.phonemize([PLAIN]) == [PLAIN_SAID]


def test_what_takes_too_long_is_given_up() -> None:
    process = EspeakProcess(limit_seconds=1e-6)
    with pytest.raises(TextError, match="Fisher"):
        process.phonemes("en-us", PLAIN)
    assert process._process is None


def test_an_interrupted_question_leaves_no_answer_behind(
    process: EspeakProcess, espeak: EspeakPhonemizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    espeak.phonemize(["a"])

    with monkeypatch.context() as patch:
        assert process._process is not None
        patch.setattr(process._process, "stdout", Interrupted(process._process.stdout))
        with pytest.raises(KeyboardInterrupt):
            espeak.phonemize(["potato"])
    assert espeak.phonemize([PLAIN]) == [PLAIN_SAID]


class Interrupted:
    """A pipe from which nobody gets to read."""

    def __init__(self, pipe: object) -> None:
        self._pipe = pipe

    def readline(self) -> bytes:
        raise KeyboardInterrupt

    def close(self) -> None:
        self._pipe.close()  # type: ignore[attr-defined]


def test_missing_packages_say_how_to_install_them(monkeypatch: pytest.MonkeyPatch) -> None:
    ours = [str(ROOT), str(ROOT / "tokenizer")]
    installed = [place for place in sys.path if not place.endswith("-packages")]
    process = EspeakProcess()
    monkeypatch.setattr(sys, "path", ours + installed)
    with pytest.raises(EnvironmentProblem, match="pip install"):
        process.phonemes("en-us", "a")
    process.close()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no forks")
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_fork_asks_a_process_of_its_own(process: EspeakProcess, espeak: EspeakPhonemizer) -> None:
    espeak.phonemize(["a"])
    before = process._process
    child = os.fork()
    if child == 0:
        is_own = process._process is None and espeak.phonemize([PLAIN]) == [PLAIN_SAID]
        process.close()
        os._exit(0 if is_own else 1)
    assert os.waitpid(child, 0)[1] == 0
    assert espeak.phonemize([PLAIN]) == [PLAIN_SAID] and process._process is before


@pytest.mark.parametrize("mark", ["'", "’", "-", "\u200b'", "\u0301"])
@pytest.mark.parametrize("letter", ["s", "S"])
def test_a_very_long_word_is_read_to_its_end(
    espeak: EspeakPhonemizer, process: EspeakProcess, mark: str, letter: str
) -> None:
    """Cut before it harms, and nothing of it lost; 75 of these have ended whole servers."""
    before = process._process
    word = (mark + letter) * 200
    [said] = espeak.phonemize([f"{word} banana"])
    assert said.endswith("bɐnˈænə")
    assert len(said.split()) >= len(word) / LONGEST_WORD
    assert before is None or process._process is before  # no death on the way


def test_a_long_word_is_cut_where_it_shows_least(espeak: EspeakPhonemizer) -> None:
    compound = "state-of-the-art-but-not-so-state-of-the-art-that-nobody-don't-know-it"
    assert len(compound) > LONGEST_WORD
    [said], [apart] = (espeak.phonemize([t]) for t in (compound, compound.replace("-", " ")))
    assert said.replace(" ", "").endswith("nˈoʊɪt") and "doʊnt" in apart.replace("ˈ", "")
    assert "dˈoʊnt" in said


SHORT = ["'", "’", "-", "_", "/", "&", "%", "@", ".", ",", " ", "\u0301", "\u0327", "\u200b",
         "\u200d", "\u00ad", "\ufe0f", "‑", "–", "s", "S", "t", "a", "B", "'s", "n't", "sch",
         "9", "1", "$", "€", "é", "ß", "я", "ж", "α", "ع", "א", "क", "ह", "漢", "あ", "한", "ง",
         "𝐀", "😀", "²", "½", "\ufffd", "\U000e0061"]  # fmt: skip
ODD = st.one_of(
    # Few different ones, again and again: what made the buffers overflow.
    st.lists(st.sampled_from(SHORT), min_size=1, max_size=5).flatmap(
        lambda few: st.lists(st.sampled_from(few), min_size=1, max_size=2 * LONGEST_SEGMENT)
    ).map("".join),
    st.text(max_size=LONGEST_SEGMENT),
    st.lists(st.sampled_from(SHORT) | st.text(max_size=3), max_size=LONGEST_SEGMENT).map("".join),
)  # fmt: skip


@settings(
    max_examples=FUZZ_EXAMPLES,
    suppress_health_check=list(HealthCheck),
)  # fmt: skip
@given(text=ODD, language=st.sampled_from(["en-us", "en-us", "de", "fr-fr", "hi"]))
def test_no_text_is_too_odd(text: str, language: str) -> None:
    """Phonemes or a TextError, whatever it is; and a plain text is read afterwards."""
    frontend = FRONTENDS.setdefault(language, TextFrontend(language))
    with suppress(TextError):
        assert frontend(text).phonemes
    assert EspeakPhonemizer().phonemize([PLAIN]) == [PLAIN_SAID]


FRONTENDS: dict[str, TextFrontend] = {}
