"""A report's page holds everything itself, escapes what it shows, and plays what it tells of."""

from __future__ import annotations

import base64
import io
import re
import struct
import zlib
from html.parser import HTMLParser
from pathlib import Path

import pytest
import soundfile
import torch

from uslm.evaluation.metrics.bootstrap import estimate
from uslm.evaluation.report.page import to_html
from uslm.evaluation.report.pictures import histogram, mel_picture
from uslm.evaluation.report.report import Report, Section, load_report
from uslm.evaluation.report.writing import write_report
from uslm.systems.two_stage.tiny import speech_like
from uslm_tokenizer.audio.write import write_audio


@pytest.fixture
def report(tmp_path: Path) -> Report:
    """Three utterances with sounds, and names that would be markup."""
    speech = speech_like(1.0)
    for name in ("prompt", "a", "b", "c"):
        write_audio(tmp_path / f"{name}.wav", speech.waveform, speech.sample_rate)
    draw = torch.Generator().manual_seed(0)
    utterances = [
        {"audio": f"{name}.wav", "prompt": "prompt.wav", "text": "One <b>two</b> three.",
         "reference": "one two three", "hypothesis": received, "wer": wer, "sim_o": 0.5 + wer / 10}
        for name, received, wer in (("a", "one two three", 0.0), ("b", "one <i> three", 1 / 3),
                                 ("c", "", 1.0))
    ]  # fmt: skip
    row = {"wer": estimate([0, 1, 3], [3, 3, 3], generator=draw)}
    return Report(
        title="Evaluation of <script>alert(1)</script>",
        config={"list": "<meta>"},
        model={"name": "x & y"},
        sections={"speech": Section(title="Speech", note="A & B.", rows={"all": row})},
        utterances=utterances,
    )


class Checker(HTMLParser):
    """Collects addresses, and sees that what opens is closed."""

    VOID = frozenset({"meta", "img", "rect"})

    def __init__(self) -> None:
        super().__init__()
        self.addresses: list[str] = []
        self.open: list[str] = []
        self.tags: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.addresses += [value or "" for name, value in attrs if name in ("src", "href")]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in self.VOID:
            assert self.open.pop() == tag


def test_the_page_needs_nothing_else(report: Report, tmp_path: Path) -> None:
    page = to_html(report, tmp_path)
    checker = Checker()
    checker.feed(page)
    assert not checker.open
    assert len(checker.addresses) == 3 * 2 * 2, "a sound and a picture of each prompt and result"
    assert all(address.startswith("data:") for address in checker.addresses)
    assert not re.search(r"https?://|@import|url\(", page)
    assert "script" not in checker.tags and "link" not in checker.tags
    assert "i" not in checker.tags and "b" not in checker.tags, "what was heard is no markup"
    assert "&lt;script&gt;alert(1)" in page
    assert "<del>two</del> <ins>&lt;i&gt;</ins>" in page


def test_sounds_can_be_played_and_pictures_seen(report: Report, tmp_path: Path) -> None:
    checker = Checker()
    checker.feed(to_html(report, tmp_path))
    [sound, *_] = [a for a in checker.addresses if a.startswith("data:audio")]
    data = base64.b64decode(sound.partition("base64,")[2])
    assert soundfile.info(io.BytesIO(data)).duration == pytest.approx(1.0, abs=0.1)
    assert soundfile.info(io.BytesIO(data)).format == "MP3"


def test_of_many_the_worst_are_heard(report: Report, tmp_path: Path) -> None:
    page = to_html(report, tmp_path, max_players=2)
    assert "The 2 worst of 3." in page
    assert page.index("<strong>b.wav</strong>") < page.index("<strong>c.wav</strong>")
    assert "<strong>a.wav</strong>" not in page


def test_the_picture_is_a_png_with_low_notes_below() -> None:
    tone = 0.5 * torch.sin(2 * torch.pi * 300 * torch.arange(16_000) / 16_000)[None]
    data = base64.b64decode(mel_picture(tone, 16_000).partition("base64,")[2])
    assert data.startswith(b"\x89PNG\r\n\x1a\n")
    width, height = struct.unpack(">II", data[16:24])
    assert (width, height) == (50, 80)
    length = struct.unpack(">I", data[33:37])[0]
    assert (
        zlib.crc32(data[37 : 41 + length])
        == struct.unpack(">I", data[41 + length : 45 + length])[0]
    )
    rows = torch.tensor(list(zlib.decompress(data[41 : 41 + length])))
    pixels = rows.reshape(80, 151)[:, 1:].reshape(80, 50, 3)
    brightness = pixels.float().mean(dim=(1, 2))
    assert int(brightness.argmax()) > 60, "300 Hz lies near the lower edge"


def test_a_histogram_counts_every_value() -> None:
    drawing = histogram([0.0, 0.0, 1.0, 0.5], "four values")
    counts = [int(count) for count in re.findall(r": (\d+)</title>", drawing)]
    assert sum(counts) == 4 and counts[0] == 2 and counts[-1] == 1
    assert "four values" in histogram([1.0, 1.0], "four values"), "all alike"


def test_all_three_forms_are_written(report: Report, tmp_path: Path) -> None:
    write_report(report, tmp_path)
    assert load_report(tmp_path / "report.json")["utterances"][2]["wer"] == 1.0
    assert "| all | 44.4 [" in (tmp_path / "report.md").read_text("utf-8")
    assert (tmp_path / "report.html").read_text("utf-8").startswith("<!doctype html>")
