"""seed-tts-eval's lists and texts; whatever is missing is an error that names it."""

# ruff: noqa: RUF001 (Chinese punctuation)

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from uslm.evaluation.metrics.scores import Judges
from uslm.evaluation.suites.listed import listed_sections
from uslm.evaluation.suites.seed_tts_eval import find_spoken, normalize, read_list, to_lines
from uslm.evaluation.suites.speaking import read_spoken, speak_all
from uslm.systems.two_stage.tiny import speech_like
from uslm.tts import ZeroShotTTS
from uslm_tokenizer.audio.write import write_audio
from uslm_tokenizer.errors import MissingResource, UserError

LINES = """\
one|Said in the prompt.|prompts/a.wav|The first text.
two.wav|Said in the prompt.|prompts/a.wav|And the second.|real.wav

three|Other words.|prompts/b.wav|Third.
"""


@pytest.fixture
def listed(tmp_path: Path) -> Path:
    """A list whose prompts are there."""
    (tmp_path / "prompts").mkdir()
    for seed, name in enumerate(("a", "b")):
        speech = speech_like(3.0, seed=seed)
        write_audio(tmp_path / "prompts" / f"{name}.wav", speech.waveform, speech.sample_rate)
    path = tmp_path / "meta.lst"
    path.write_text(LINES, "utf-8")
    return path


def test_a_list_is_read(listed: Path) -> None:
    one, two, three = read_list(listed)
    assert (one.name, one.prompt_text) == ("one", "Said in the prompt.")
    assert one.prompt == listed.parent / "prompts" / "a.wav"
    assert (two.name, two.text) == ("two", "And the second.")
    assert three.prompt.stem == "b"
    assert [each.name for each in read_list(listed, limit=2)] == ["one", "two"]
    lines = to_lines([one, two, three])
    assert [line.voice for line in lines] == ["0000", "0000", "0001"]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("one|a|prompts/a.wav", r"meta\.lst:1 must be .* has 3 fields"),
        ("one|a|prompts/a.wav|b|c|d", "has 6 fields"),
        ("one|a|prompts/a.wav|x\none|a|prompts/a.wav|y", r":2: there are two utterances 'one'"),
        ("one|a|prompts/a.wav| ", "text is empty"),
        ("../one|a|prompts/a.wav|x", "must be a file's name"),
        ("|a|prompts/a.wav|x", "must be a file's name"),
        ("\n", "no lines"),
    ],
)
def test_a_bad_list_is_refused(text: str, words: str, listed: Path) -> None:
    listed.write_text(text)
    with pytest.raises(UserError, match=words):
        read_list(listed)


def test_a_missing_prompt_is_an_error(listed: Path) -> None:
    (listed.parent / "prompts" / "b.wav").unlink()
    with pytest.raises(MissingResource, match=r"1 of 3 prompts are missing, as .*b\.wav"):
        read_list(listed)
    with pytest.raises(MissingResource, match="no list"):
        read_list(listed.with_name("gone.lst"))


def test_missing_speech_is_an_error_too(listed: Path, tmp_path: Path) -> None:
    folder = tmp_path / "spoken"
    utterances = read_list(listed)
    with pytest.raises(MissingResource, match="no folder"):
        find_spoken(utterances, folder)
    folder.mkdir()
    for name in ("one.wav", "two.flac"):
        write_audio(folder / name, speech_like(1.0).waveform, 16_000)
    with pytest.raises(MissingResource, match=r"lacks 1 of 3 utterances, as three\.wav"):
        find_spoken(utterances, folder)
    found = find_spoken(utterances[:2], folder)
    assert [Path(each.audio).name for each in found] == ["one.wav", "two.flac"]
    assert found[0].seconds == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("text", "language", "wanted"),
    [
        ("Well, it's “done” — now!", "en", "well it's done now"),
        ("Don\u2019t stop: 3.5%", "en", "don't stop 35"),
        ("a   b", "en", "a  b"),
        ("你好，世界！ ok", "zh", "你 好 世 界 o k"),
    ],
)
def test_texts_are_compared_without_punctuation(text: str, language: str, wanted: str) -> None:
    assert normalize(text, language) == wanted


def test_a_list_is_spoken_and_judged(listed: Path, tts: ZeroShotTTS, tmp_path: Path) -> None:
    out = tmp_path / "out"
    spoken = speak_all(tts, to_lines(read_list(listed)), out, seed=5)
    assert read_spoken(out) == spoken
    assert [each.seed for each in spoken] == [5, 6, 7]
    assert sorted(path.name for path in (out / "prompts").iterdir()) == ["0000.wav", "0001.wav"]
    said = iter(["the first text", "and second", ""])
    judges = Judges(
        recognizer=lambda waveforms: [next(said) for _ in waveforms],
        normalize=normalize,
        speaker_model=lambda waveform: torch.fft.rfft(waveform, 64).abs() + 1e-3,
    )
    sections, utterances = listed_sections(
        spoken, out, judges, tokenizer=tts.synthesizer.tokenizer, generator=torch.Generator()
    )
    row = sections["speech"].rows["all"]
    assert row["wer"].value == pytest.approx(2 / 7), "of the corpus: a word, and all of one"
    assert row["wer_mean"].value == pytest.approx((0 + 1 / 3 + 1) / 3), "of the utterances"
    assert row["sim_o"].count == row["sim_r"].count == 3
    assert row["sim_o"].value != row["sim_r"].value
    assert set(sections) == {"speech", "speed"}
    assert utterances[1]["hypothesis"] == "and second"


def test_speech_of_others_needs_no_codec(listed: Path, tmp_path: Path) -> None:
    for name in ("one", "two", "three"):
        write_audio(tmp_path / f"{name}.wav", speech_like(1.0).waveform, 16_000)
    spoken = find_spoken(read_list(listed), tmp_path)
    judges = Judges(
        recognizer=lambda waveforms: ["x"] * len(waveforms),
        normalize=normalize,
        speaker_model=lambda waveform: torch.ones(3),
    )
    sections, _ = listed_sections(
        spoken, tmp_path, judges, tokenizer=None, generator=torch.Generator()
    )
    assert list(sections) == ["speech"]
    assert sections["speech"].rows["all"]["sim_o"].value == pytest.approx(1)
    assert "sim_r" not in sections["speech"].rows["all"]
