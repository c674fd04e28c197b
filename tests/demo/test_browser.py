"""The page in a real browser: Debian's Chromium, driven by Playwright."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from uslm.output.speech import AudioChunk
from uslm.tts import ZeroShotTTS
from uslm.voices.prompt import VoicePrompt
from uslm.voices.store import VoiceStore
from uslm_demo.app import build_app
from uslm_demo.limits import Limits
from uslm_demo.model import Model
from uslm_demo.tabs.voices import Keeping
from uslm_tokenizer.audio.read import read_audio

pytestmark = [
    pytest.mark.browser,
    # Gradio counts its events with options that pandas 3 deprecates.
    pytest.mark.filterwarnings("ignore:'future.no_silent_downcasting' is deprecated"),
    pytest.mark.filterwarnings("ignore:The copy keyword is deprecated"),
]
PATIENCE_MS = 120_000
LIMITS = Limits()
REACHED = ("kept", "recording", "transcript", "seed", "dice", "speak", "cancel")
TABS = ("Clone", "Long text", "Convert", "Voices", "Tokens", "About")


@pytest.fixture(scope="module")
def address(
    model: Model,
    voice: VoicePrompt,
    recording: Path,
    served: Any,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[str]:
    voices = tmp_path_factory.mktemp("voices")
    VoiceStore(voices).save(voice)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GRADIO_TEMP_DIR", str(tmp_path_factory.mktemp("gradio")))
        page = build_app(model, LIMITS, examples=recording.parent, voices=voices)
        with served(page, LIMITS) as address:
            yield address


@pytest.fixture
def visit(browser: Any, address: str) -> Iterator[Callable[..., Any]]:
    """Opens the page; in the end, nothing came from elsewhere, and no script failed."""
    contexts, requests, failures = [], [], []

    def open_page(width: int = 1280, height: int = 900, **options: Any) -> Any:
        context = browser.new_context(viewport={"width": width, "height": height}, **options)
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(PATIENCE_MS)
        page.on("request", lambda request: requests.append(request.url))
        page.on("pageerror", lambda error: failures.append(str(error)))
        page.goto(address)
        page.locator("#clone-speak").wait_for()
        return page

    yield open_page
    for context in contexts:
        context.close()
    ours = (address, "data:", "blob:")
    assert [url for url in requests if not url.startswith(ours)] == []
    assert failures == []


def box(page: Any, selector: str) -> Any:
    """Where one types."""
    return page.locator(selector).locator("textarea, input")


def state(page: Any, selector: str, wanted: str) -> None:
    """Wait for the state of a player or a token view."""
    page.locator(f"{selector} [data-state='{wanted}']").first.wait_for(state="attached")


def received(page: Any, selector: str) -> None:
    """Wait until a player has begun to sound."""
    page.locator(f"{selector} .player[data-heard]").wait_for()


def holds(page: Any, selector: str, words: str) -> None:
    """Wait for words in a field."""
    page.wait_for_function(
        "([selector, words]) => document.querySelector(selector).value.includes(words)",
        arg=[f"{selector} textarea, {selector} input", words],
    )


def asks_for_a_recording(page: Any, tab: str) -> None:
    """Choose to clone a recording of one's own."""
    page.locator(f"#{tab}-kept input").click()
    page.get_by_role("option", name="A recording of yours").last.click()
    page.locator(f"#{tab}-recording input[type=file]").wait_for(state="attached")


def says(page: Any, selector: str, words: str) -> None:
    """Wait for words on the page."""
    page.locator(selector).get_by_text(words).first.wait_for()


def test_upload_speak_hear_tokens(
    visit: Callable[..., Any], recording: Path, tmp_path: Path
) -> None:
    page = visit()
    asks_for_a_recording(page, "clone")
    page.locator("#clone-recording input[type=file]").set_input_files(recording)
    says(page, "#clone-note", "Uses 4.0 s")
    box(page, "#clone-text").fill("One sentence is here to begin. And here is another one.")
    page.locator("#clone-dice").click()
    page.locator("#clone-speak").click()
    received(page, "#clone-player")
    says(page, "#clone-segments", "2 of 2 segments done")
    state(page, "#clone-player", "ended")
    seed = box(page, "#clone-seed").input_value()
    holds(page, "#clone-status", f"Seed {seed}")

    with page.expect_download() as download:
        page.locator("#clone-wav").click()
    download.value.save_as(tmp_path / "speech.wav")
    seconds = float(page.locator("#clone-player .player").get_attribute("data-seconds"))
    assert read_audio(tmp_path / "speech.wav").seconds == pytest.approx(seconds, abs=0.02)

    page.get_by_role("tab", name="Tokens").click()
    state(page, "#tokens-speech", "ready")
    canvas = page.locator("#tokens-speech canvas")
    canvas.click(position={"x": 200, "y": 60})
    page.locator("#tokens-speech [data-heard]").wait_for()
    clicked = page.locator("#tokens-speech .tokens").get_attribute("data-heard")
    canvas.focus()
    page.keyboard.press("Escape")
    for key in ("ArrowDown", "ArrowDown", "ArrowDown", "ArrowRight"):
        page.keyboard.press(key)
    readout = page.locator("#tokens-speech .readout").inner_text()
    assert re.fullmatch(r"(prompt|speech), -?\d.* to -?\d.* s, units: code \d+.*", readout)
    page.keyboard.press("Enter")
    page.locator(f"#tokens-speech [data-heard]:not([data-heard='{clicked}'])").wait_for()


def test_cancel(visit: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    stopped = threading.Event()
    stream = ZeroShotTTS.stream

    def endless(*args: Any, **kwargs: Any) -> Iterator[AudioChunk]:
        chunk = next(chunk for chunk in stream(*args, **kwargs) if chunk.waveform.numel())
        try:
            while True:
                time.sleep(0.05)
                yield chunk
        finally:
            stopped.set()

    monkeypatch.setattr(ZeroShotTTS, "stream", endless)
    page = visit()
    page.locator("#clone-kept input").click()
    page.get_by_role("option", name="anna").click()
    page.locator("#clone-speak").click()
    received(page, "#clone-player")
    holds(page, "#clone-status", "of speech so far")
    assert not stopped.is_set()
    page.get_by_role("tab", name="Convert").click()
    page.locator("#convert-cancel").click()
    holds(page, "#convert-status", "Cancelled.")  # it knows nothing of what the other tab makes
    page.get_by_role("tab", name="Clone").click()
    assert not stopped.is_set()
    page.locator("#clone-cancel").click()
    state(page, "#clone-player", "paused")
    holds(page, "#clone-status", "were made.")
    assert stopped.wait(PATIENCE_MS / 1000)
    page.locator("#clone-player [data-done=true]").wait_for()
    seconds = float(page.locator("#clone-player .player").get_attribute("data-seconds"))
    with page.expect_download() as download:
        page.locator("#clone-wav").click()
    assert read_audio(Path(download.value.path())).seconds == pytest.approx(seconds, abs=0.02)
    page.wait_for_timeout(500)  # whatever was still on its way has come
    assert box(page, "#clone-status").input_value().startswith("Cancelled.")


def test_a_choice_of_voice_stands_while_the_menus_are_filled(
    visit: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    follow = Keeping.follow

    def slow(*args: Any) -> Any:
        time.sleep(1.5)
        return follow(*args)

    monkeypatch.setattr(Keeping, "follow", slow)
    page = visit()
    page.locator("#clone-kept input").click()
    page.get_by_role("option", name="A recording of yours").first.click()
    page.locator("#clone-recording input[type=file]").wait_for(state="attached")
    page.wait_for_timeout(2500)
    assert box(page, "#clone-kept").input_value() == "A recording of yours"


def test_ctrl_enter_speaks(visit: Callable[..., Any]) -> None:
    page = visit()
    box(page, "#clone-text").fill("Only these words are to be said.")
    page.keyboard.press("Enter")
    page.keyboard.press("Control+Enter")
    received(page, "#clone-player")
    says(page, "#clone-segments", "Only these words are to be said.")


def test_mistakes_are_told_at_the_field(visit: Callable[..., Any], tmp_path: Path) -> None:
    page = visit()
    noise = tmp_path / "notes.wav"
    noise.write_bytes(b"no sound")
    asks_for_a_recording(page, "clone")
    page.locator("#clone-recording input[type=file]").set_input_files(noise)
    says(page, "#clone-note", "Problem")
    box(page, "#clone-text").fill("")
    box(page, "#clone-seed").fill("x")
    page.locator("#clone-speak").click()
    says(page, "#clone-text", "Text must have something to say")
    says(page, "#clone-seed", "The seed must be a whole number")
    says(page, "#clone-recording", "notes.wav")


def test_a_long_text_segment_by_segment(
    visit: Callable[..., Any], model: Model, tmp_path: Path
) -> None:
    page = visit()
    page.get_by_role("tab", name="Long text").click()
    story = tmp_path / "story.txt"
    story.write_text("This is the first of all segments. [anna] And here comes the second.")
    with page.expect_file_chooser() as chooser:
        page.locator("#long-file").click()
    chooser.value.set_files(story)
    holds(page, "#long-text", "[anna] And")
    page.locator("#long-kept input").click()
    page.get_by_role("option", name="anna").last.click()
    page.get_by_label("Script with several voices").check()
    page.locator("#long-cut").click()
    says(page, "#long-segments", "0 of 2 segments done")
    page.locator("#long-speak").click()
    received(page, "#long-player")
    says(page, "#long-segments", "2 of 2 segments done")
    page.locator("#long-player [data-done=true]").wait_for()
    holds(page, "#long-status", "2 segments. Seed")  # until then it counts segments
    seconds = float(page.locator("#long-player .player").get_attribute("data-seconds"))
    whole = float(box(page, "#long-status").input_value().split(" s ")[0])
    assert seconds == pytest.approx(whole, abs=1.0)  # joined, the segments' ends are trimmed
    page.get_by_role("button", name="Listen segment 2").click()
    received(page, "#long-player")
    done = model.engine().stats().done
    page.get_by_role("button", name="Redo segment 2").click()
    while model.engine().stats().done == done:
        page.wait_for_timeout(50)
    holds(page, "#long-status", "2 segments. Seed")
    with page.expect_download() as download:
        page.locator("#long-srt").click()
    assert "And here comes the second." in Path(download.value.path()).read_text()
    before = box(page, "#long-status").input_value()
    page.locator("#long-speak").click()  # all anew, with another seed
    page.wait_for_function(
        """before => {
          const now = document.querySelector("#long-status textarea").value;
          return now !== before && now.includes("Seed");
        }""",
        arg=before,
    )


def test_a_voice_is_kept_used_renamed_and_deleted(
    visit: Callable[..., Any], recording: Path
) -> None:
    page = visit()
    page.get_by_role("tab", name="Voices").click()
    box(page, "#voices-name").fill("anna")
    page.get_by_role("button", name="prompt.wav").last.click()
    says(page, "#voices-note", "Uses 4.0 s")
    page.locator("#voices-save").click()
    says(page, "#voices-name", "There is a voice 'anna' already")
    says(page, "#voices-consent", "Say whose voice it is")
    box(page, "#voices-name").fill("bob")
    box(page, "#voices-consent").fill("a machine")
    page.locator("#voices-save").click()
    says(page, "#voices-facts", "a machine")
    page.locator("#voices-listen").click()
    received(page, "#voices-player")
    box(page, "#voices-new-name").fill("carl")
    page.locator("#voices-rename").click()
    holds(page, "#voices-status", "'bob' is now 'carl'")
    page.get_by_role("tab", name="Convert").click()
    page.locator("#convert-kept input").click()
    page.get_by_role("option", name="carl").last.wait_for()
    page.keyboard.press("Escape")
    page.get_by_role("tab", name="Voices").click()
    page.locator("#voices-delete").click()
    page.locator("#voices-sure").click()
    holds(page, "#voices-status", "'carl' is deleted")
    says(page, "#voices-facts", "No voice is chosen")


def test_convert(visit: Callable[..., Any], recording: Path) -> None:
    page = visit()
    page.get_by_role("tab", name="Convert").click()
    asks_for_a_recording(page, "convert")
    page.locator("#convert-source input[type=file]").set_input_files(recording)
    page.locator("#convert-recording input[type=file]").set_input_files(recording)
    says(page, "#convert-note", "Uses 4.0 s")
    page.locator("#convert-start").click()
    received(page, "#convert-player")
    holds(page, "#convert-status", "4.0 s of speech")


def test_a_phone_shows_all_and_every_control_has_a_name(visit: Callable[..., Any]) -> None:
    page = visit(390, 844, color_scheme="dark")
    nameless, wide = set(), {}
    for tab in TABS:
        open_tab(page, tab)
        nameless |= set(page.evaluate(NAMELESS))
        wide[tab] = page.evaluate("document.documentElement.scrollWidth - innerWidth")
    assert nameless == set()
    assert wide == dict.fromkeys(TABS, 0)

    open_tab(page, "Clone")
    page.evaluate("scrollTo(0, 0)")
    bottom = "document.querySelector('#clone-speak').getBoundingClientRect().bottom"
    assert page.evaluate(bottom) <= 844  # the first screen
    asks_for_a_recording(page, "clone")
    box(page, "#clone-text").focus()
    reached = set()
    for _ in range(40):
        page.keyboard.press("Tab")
        reached.add(page.evaluate("document.activeElement.closest('[id^=clone-]')?.id"))
    assert {f"clone-{name}" for name in REACHED} <= reached


def open_tab(page: Any, name: str) -> None:
    """Tabs that a narrow screen has no room for are in a menu."""
    tab = page.get_by_role("tab", name=name)
    if tab.count() == 0 or not tab.first.is_visible():
        page.locator(".overflow-menu > button").click()
        page.locator(".overflow-dropdown button", has_text=name).click()
    else:
        tab.first.click()
    page.wait_for_timeout(300)


NAMELESS = """() => {
  const named = (node) =>
    node.getAttribute("aria-label") || node.title || node.innerText?.trim() ||
    [...(node.labels ?? [])].some((label) => label.innerText.trim()) ||
    document.getElementById(node.getAttribute("aria-labelledby"));
  const controls = "button, input, select, textarea, [role=slider], [tabindex='0']";
  return [...document.querySelectorAll(controls)]
    .filter((node) => node.checkVisibility({ visibilityProperty: true, opacityProperty: true }))
    .filter((node) => node.getBoundingClientRect().width > 1 && !named(node))
    .map((node) => node.outerHTML.slice(0, 160));
}"""
