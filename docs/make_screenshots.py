"""Draws docs/screenshots: the page of `uslm-demo` with the default model, in Debian's Chromium.

Light, dark and as wide as a phone; a minute of work. Look at them before they are committed.
"""

from __future__ import annotations

import io
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from PIL import Image
from playwright.sync_api import sync_playwright

from uslm_demo.app import build_app
from uslm_demo.limits import Limits
from uslm_demo.page import serve

HERE = Path(__file__).parent
FOLDER = HERE / "screenshots"
EXAMPLES = HERE.parent / "examples"
DESK, PHONE = (1180, 760), (390, 800)
NUM_COLORS = 64
"""Few enough for files of at most 150 KB."""
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--mute-audio"]
TEXT = "The house is built, and now it speaks. Each of its voices was heard for a few seconds."
SCRIPT = """\
The narrator begins, and everyone listens to him.

[anna] Then it is my turn to speak. I go on for a while, as you can hear.

[pause:1] A second of silence was before this.
"""


def main() -> None:
    """Walk through the page and draw it."""
    FOLDER.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as voices, sync_playwright() as playwright:
        page = build_app(examples=EXAMPLES, voices=voices)
        address = serve(page, Limits(), wait=False)
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=FLAGS)
        with visit(browser, address, DESK, "light") as light:
            make_voice(light)
            draw(light, "voices-light")
            read_script(light)
            draw(light, "long-light")
        with visit(browser, address, DESK, "light") as light:
            speak(light)
            draw(light, "clone-light")
            open_tab(light, "Tokens")
            show_tokens(light)
            draw(light, "tokens-light")
            convert(light)
            draw(light, "convert-light")
        with visit(browser, address, DESK, "dark") as dark:
            speak(dark)
            draw(dark, "clone-dark")
            open_tab(dark, "Tokens")
            show_tokens(dark)
            draw(dark, "tokens-dark")
            compare(dark)
            draw(dark, "codecs-dark", part="#compare-view")
        with visit(browser, address, PHONE, "light") as phone:
            speak(phone)
            draw(phone, "clone-phone", whole=True)
            open_tab(phone, "Tokens")
            show_tokens(phone)
            draw(phone, "tokens-phone")
        browser.close()
        page.close()


@contextmanager
def visit(browser: Any, address: str, size: tuple[int, int], scheme: str) -> Iterator[Any]:
    """The page, in a window of its own."""
    width, height = size
    context = browser.new_context(viewport={"width": width, "height": height}, color_scheme=scheme)
    page = context.new_page()
    page.set_default_timeout(120_000)
    page.goto(address)
    page.locator("#clone-speak").wait_for()
    yield page
    context.close()


def make_voice(page: Any) -> None:
    """Keep a voice and look at it."""
    open_tab(page, "Voices")
    upload(page, "voices", "voice.wav")
    box(page, "#voices-name").fill("anna")
    box(page, "#voices-consent").fill("a LibriVox reader; public domain")
    page.locator("#voices-save").click()
    page.locator("#voices-facts").get_by_text("LibriVox").wait_for()
    page.locator("#voices-listen").click()
    page.locator("#voices-player [data-state=playing]").wait_for()
    page.wait_for_timeout(1500)


def read_script(page: Any) -> None:
    """Speak a script with two voices, and one segment of it again."""
    open_tab(page, "Long text")
    upload(page, "long", "voice_low.wav")
    box(page, "#long-text").fill(SCRIPT)
    page.get_by_label("Script with several voices").check()
    page.locator("#long-speak").click()
    holds(page, "#long-status", "Seed")
    page.get_by_role("button", name="Redo segment 3").click()
    page.locator("#long-segments").get_by_text("speaking again").wait_for()
    page.get_by_role("button", name="Listen segment 2").click()
    page.locator("#long-player [data-state=playing]").wait_for()


def speak(page: Any) -> None:
    """Speak in the voice of an example, up to the first segment."""
    upload(page, "clone", "voice_low.wav")
    box(page, "#clone-text").fill(TEXT)
    box(page, "#clone-seed").fill("7")
    page.locator("#clone-speak").click()
    holds(page, "#clone-status", "Seed")
    page.locator("#clone-player [data-state=playing], #clone-player [data-state=ended]").wait_for()


def convert(page: Any) -> None:
    """One recording in the voice of another."""
    open_tab(page, "Convert")
    source = page.locator("#convert-source input[type=file]")
    source.set_input_files(EXAMPLES / "voice_middle.wav")
    upload(page, "convert", "voice.wav")
    page.locator("#convert-start").click()
    holds(page, "#convert-status", "Seed")


def show_tokens(page: Any) -> None:
    """Choose a phoneme of the speech."""
    page.locator("#tokens-speech [data-state=ready]").wait_for()
    page.wait_for_timeout(1000)
    page.locator("#tokens-speech canvas").focus()
    for key in ("ArrowDown", "ArrowDown", *["ArrowRight"] * 4):
        page.keyboard.press(key)


def compare(page: Any) -> None:
    """The codec with all codebooks, and with one."""
    clip = page.locator("#compare-clip input[type=file]")
    clip.set_input_files(EXAMPLES / "voice.wav")
    page.locator("#compare-clip audio, #compare-clip .waveform-container").first.wait_for(
        state="attached"
    )
    page.locator("#compare-start").click()
    page.locator("#compare-view [data-state=ready]").wait_for()
    page.wait_for_timeout(1000)


def open_tab(page: Any, name: str) -> None:
    """Tabs that a narrow screen has no room for are in a menu."""
    tab = page.get_by_role("tab", name=name)
    if tab.count() and tab.first.is_visible():
        tab.first.click()
        return
    page.locator(".overflow-menu > button").click()
    page.locator(".overflow-dropdown button", has_text=name).click()


def upload(page: Any, tab: str, name: str) -> None:
    """Give a recording, and wait until the model has heard it."""
    if page.locator(f"#{tab}-kept").is_visible():
        page.locator(f"#{tab}-kept input").click()
        page.get_by_role("option", name="A recording of yours").last.click()
    page.locator(f"#{tab}-recording input[type=file]").set_input_files(EXAMPLES / name)
    page.locator(f"#{tab}-note").get_by_text("Uses ").wait_for()


def box(page: Any, selector: str) -> Any:
    """Where one types."""
    return page.locator(selector).locator("textarea, input")


def holds(page: Any, selector: str, words: str) -> None:
    """Wait for words in a field."""
    page.wait_for_function(
        "([selector, words]) => document.querySelector(selector).value.includes(words)",
        arg=[f"{selector} textarea", words],
    )


def draw(page: Any, name: str, *, whole: bool = False, part: str = "") -> None:
    """What can be seen from the top, or the whole page, or a part of it, in few colours."""
    page.evaluate("scrollTo(0, 0)")
    page.wait_for_timeout(500)
    data = page.locator(part).screenshot() if part else page.screenshot(full_page=whole)
    picture = Image.open(io.BytesIO(data)).convert("RGB")
    path = FOLDER / f"{name}.png"
    picture.quantize(NUM_COLORS, dither=Image.Dither.NONE).save(path, optimize=True)
    print(f"{path}: {path.stat().st_size / 1000:.0f} KB")


if __name__ == "__main__":
    main()
