"""What the buttons do: progress comes piece by piece, and mistakes are named."""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest
import torch

from uslm_demo.engine import Engine
from uslm_demo.results import report_table, result_files
from uslm_demo.speaking import Limits, Made, SpeakOptions, convert, create_voice, read_seed, speak
from uslm_tokenizer.audio import read_audio
from uslm_tokenizer.errors import AudioError, TextError, UserError

TEXT = (
    "This is the first sentence of them all, and it is long enough for itself. "
    "Here is the second one, which is not shorter than the first one is."
)


@pytest.fixture(scope="module")
def made(engine: Engine, recording: Path) -> Made:
    *_, last = speak(engine, TEXT, str(recording), options=SpeakOptions(seed=5))
    assert last.made is not None
    return last.made


def test_speaking_is_what_the_library_speaks(engine: Engine, recording: Path, made: Made) -> None:
    tts = engine.tts()
    speech = tts.generate(TEXT, create_voice(tts, str(recording)), seed=5)
    assert torch.equal(made.speech.waveform, speech.waveform)
    assert torch.equal(made.speech.codes, speech.codes)
    assert made.speech.chunks == speech.chunks
    ours, theirs = made.speech.to_dict(), speech.to_dict()
    assert ours.keys() == theirs.keys()
    assert ours["settings"].items() <= theirs["settings"].items()
    assert {**ours, "timings": 0, "settings": 0} == {**theirs, "timings": 0, "settings": 0}


def test_progress_comes_piece_by_piece(engine: Engine, recording: Path) -> None:
    options = SpeakOptions(seed=5, temperature=0.5, top_k=3, top_p=0.9, verify=True)
    steps = list(speak(engine, TEXT, str(recording), "hello", options))
    done = [len(step.chunks) for step in steps]
    assert done[0] == 0
    assert done[-1] == 2
    assert all(before <= after <= before + 1 for before, after in pairwise(done))
    assert "1 of 2 pieces" in " ".join(step.status for step in steps)
    assert [step.made is None for step in steps] == [True] * (len(steps) - 1) + [False]
    assert all(chunk.phoneme_error_rate is not None for chunk in steps[-1].chunks)


def test_the_work_ends_with_the_iterator(
    engine: Engine, recording: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tts, ended = engine.tts(), []
    stream = type(tts).stream

    def watched(*args: object, **kwargs: object) -> object:
        try:
            yield from stream(*args, **kwargs)  # type: ignore[arg-type]
        finally:
            ended.append(True)

    monkeypatch.setattr(type(tts), "stream", watched)
    steps = speak(engine, TEXT, str(recording))
    while "so far" not in next(steps).status:
        pass
    assert not ended
    steps.close()  # type: ignore[attr-defined]
    assert ended


def test_conversion_keeps_the_length(engine: Engine, recording: Path, tmp_path: Path) -> None:
    *_, last = convert(engine, str(recording), str(recording), seed=1)
    assert last.made is not None
    assert last.made.speech.seconds == pytest.approx(4, abs=0.05)
    *_, last = convert(
        engine, str(recording), str(recording), limits=Limits(max_source_seconds=2.0)
    )
    assert last.made is not None
    assert last.made.speech.seconds == pytest.approx(2, abs=0.05)
    assert "Only the first 2 s" in last.status


def test_mistakes_are_named(engine: Engine, recording: Path, tmp_path: Path) -> None:
    voice = str(recording)
    with pytest.raises(TextError, match="something to say"):
        list(speak(engine, "  ", voice))
    with pytest.raises(TextError, match="5 characters, but has 6"):
        list(speak(engine, "abcdef", voice, limits=Limits(max_chars=5)))
    with pytest.raises(AudioError, match="recording of the voice"):
        list(speak(engine, TEXT, None))
    with pytest.raises(AudioError, match="recording to convert"):
        list(convert(engine, None, voice))
    with pytest.raises(UserError, match="seed"):
        list(speak(engine, TEXT, voice, options=SpeakOptions(seed=-1)))


def test_no_message_tells_where_uploads_lie(engine: Engine, tmp_path: Path) -> None:
    path = tmp_path / "notes.wav"
    path.write_bytes(b"this is no sound at all")
    with pytest.raises(AudioError, match=r"notes\.wav") as raised:
        list(speak(engine, TEXT, str(path)))
    assert str(tmp_path) not in str(raised.value)


def test_files_live_as_long_as_they_are_needed(made: Made) -> None:
    with result_files(made.speech) as files:
        assert files.wav.name == "uslm-5.wav"
        seconds = read_audio(files.wav).seconds
        assert seconds == pytest.approx(made.speech.seconds, abs=0.001)
        assert json.loads(files.json.read_text())["seed"] == 5
    assert not files.wav.parent.exists()


def test_the_report_keeps_every_digit_of_a_seed(made: Made) -> None:
    table = report_table(made.speech.chunks)
    for chunk in made.speech.chunks:
        assert f">{chunk.text}<" in table
        assert f">{chunk.seed}<" in table
    assert report_table([]) == ""


def test_what_people_write_is_no_html(made: Made) -> None:
    chunk = replace(made.speech.chunks[0], text="<script>", phoneme_error_rate=0.125)
    table = report_table([chunk])
    assert "<script>" not in table
    assert ">&lt;script&gt;<" in table
    assert ">12%<" in table


def test_seeds_are_read_exactly() -> None:
    assert read_seed(" 9007199254740993 ") == 9007199254740993
    assert read_seed("") is None
    with pytest.raises(UserError, match="whole number or empty"):
        read_seed("1.5")
