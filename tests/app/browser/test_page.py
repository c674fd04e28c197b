"""The page itself, in Chromium, with the default model: it speaks, clones, and tells mistakes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest

from uslm.systems.phoneme_recognizer import PhonemeRecognizer
from uslm.systems.two_stage.bundle import load_bundle
from uslm.voices.phoneme_error_rate import phoneme_error_rate
from uslm_tokenizer.audio.read import Audio, read_audio

pytestmark = pytest.mark.browser
EXAMPLES = Path(__file__).parents[3] / "examples"
SENTENCE = "The lighthouse keeper wrote three letters, and posted none of them."


@pytest.fixture(scope="module")
def address(
    exported: Callable[..., Path],
    serving: Callable[[Path], AbstractContextManager[str]],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[str]:
    folder = exported(load_bundle(), tmp_path_factory.mktemp("default") / "page")
    with serving(folder) as found:
        yield found


@pytest.fixture
def page(open_page: Callable[..., Any], address: str) -> Any:
    """The page, when it can speak."""
    opened = open_page(address)
    opened.locator("#speak:not([disabled])").wait_for()
    return opened


def spoken(page: Any, folder: Path) -> Audio:
    """What was just spoken, as it is downloaded."""
    page.locator("#download:not([hidden])").wait_for()
    with page.expect_download() as download:
        page.click("#download")
    path = folder / download.value.suggested_filename
    download.value.save_as(path)
    assert path.name.startswith("speech-") and path.suffix == ".wav"
    return read_audio(path)


def state(page: Any, selector: str, words: str) -> None:
    """Wait until a line of the page says this."""
    page.locator(selector, has_text=words).wait_for()


def test_a_stock_voice_and_a_cloned_one_say_the_sentence(page: Any, tmp_path: Path) -> None:
    recognizer = PhonemeRecognizer(load_bundle().tokenizer)
    wanted = recognizer.phoneme_ids(SENTENCE)

    def errors(audio: Audio) -> float:
        return phoneme_error_rate(wanted, recognizer.recognize(audio))

    page.fill("#text", SENTENCE)
    page.select_option("#voice", "hugo")
    page.click("#speak")
    hugo = spoken(page, tmp_path)
    assert errors(hugo) < 0.4

    page.set_input_files("#file", EXAMPLES / "voice_high.wav")
    state(page, "#voice-status", "s of voice_high.wav")
    assert page.locator("#make").is_disabled()  # until its owner agrees
    page.check("#consent")
    page.fill("#name", "mine")
    page.click("#make")
    state(page, "#voice-status", "mine is ready to speak")
    assert page.locator("#voice").input_value() == "mine"
    page.locator("#text").press("Control+Enter")
    page.locator("#player[hidden]").wait_for(state="attached")
    mine = spoken(page, tmp_path)
    assert errors(mine) < 0.4
    assert pitch(mine) > 1.3 * pitch(hugo)


def pitch(audio: Audio) -> float:
    """Median F0, Hz."""
    from uslm_tokenizer.codecs.source_filter.pitch import PitchConfig, estimate_f0

    waveform = audio.resampled(16_000).waveform[0]
    f0 = estimate_f0(waveform, 16_000, 320, PitchConfig())
    return float(f0[f0 > 0].median())


def test_stop_keeps_what_was_spoken(page: Any, tmp_path: Path) -> None:
    page.fill("#text", " ".join([SENTENCE] * 40))
    page.click("#speak")
    state(page, "#status", "Speaking")
    page.click("#stop")
    state(page, "#status", "Stopped.")
    assert 0.2 < spoken(page, tmp_path).seconds < 120
    page.fill("#text", "Good morning.")
    page.click("#speak")
    state(page, "#status", "Done.")


def test_mistakes_are_told(page: Any, tmp_path: Path) -> None:
    page.fill("#text", " ")
    page.click("#speak")
    state(page, "#status", "There is no text to say.")
    page.fill("#text", "... !")
    page.click("#speak")
    state(page, "#status", "there is nothing to say in this text")
    noise = tmp_path / "noise.wav"
    noise.write_bytes(b"this is no sound")
    page.set_input_files("#file", noise)
    state(page, "#voice-status", "noise.wav is no sound that this browser can read.")
    page.click("#record")
    state(page, "#voice-status", "The microphone cannot be used")


def test_a_phone_shows_what_speaks(open_page: Callable[..., Any], address: str) -> None:
    page = open_page(address, viewport={"width": 390, "height": 844})
    page.locator("#speak:not([disabled])").wait_for()
    box = page.locator("#speak").bounding_box()
    assert box["y"] + box["height"] < 844
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
