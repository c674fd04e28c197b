"""A long text: cut, spoken, spoken again; scripts with kept voices."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from uslm.voices.prompt import VoicePrompt
from uslm.voices.store import VoiceStore
from uslm_demo.model import Model
from uslm_demo.reading import ReadOptions, prepare, read_out, script_voices
from uslm_demo.widgets.segments import progress
from uslm_tokenizer.errors import TextError

TEXT = "This is the first of all segments. And here comes the second."


def test_it_is_what_the_library_speaks(model: Model, voice: VoicePrompt) -> None:
    long_form_job = prepare(model, TEXT, voice, None, ReadOptions(seed=3))
    assert progress(long_form_job.lines, [0]).count("waiting</small>") == 1
    assert 'aria-label="Listen segment 1"' not in progress(long_form_job.lines)
    assert list(read_out(model, long_form_job)) == [0, 1]
    before = long_form_job.speech()
    assert torch.equal(before.codes, model.tts().generate(TEXT, voice, seed=3).codes)
    assert list(read_out(model, long_form_job, [1])) == [1]
    after = long_form_job.speech()
    assert after.segments[0] == before.segments[0]
    assert after.segments[1].seed != before.segments[1].seed
    assert 'aria-label="Redo segment 2"' in progress(long_form_job.lines)


def test_who_stops_may_go_on(model: Model, voice: VoicePrompt) -> None:
    long_form_job = prepare(model, TEXT, voice, None, ReadOptions(seed=3))
    reading = read_out(model, long_form_job)
    assert next(reading) == 0
    reading.close()  # type: ignore[attr-defined]
    left = list(long_form_job.missing)
    assert list(read_out(model, long_form_job)) == left
    assert long_form_job.missing == ()


def test_a_script_finds_its_voices(model: Model, voice: VoicePrompt, tmp_path: Path) -> None:
    store = VoiceStore(tmp_path)
    store.save(replace(voice, name="bob"))
    store.save(replace(voice, name="unused"))
    text = "I tell it, and you listen to me. [bob] And so do I, my friend. [anna] The end is near."
    voices = script_voices(model, text, store, voice)
    assert sorted(voices) == ["anna", "bob"]
    options = ReadOptions(seed=1, sentence_seconds=1.0)
    long_form_job = prepare(model, text, voice, voices, options)
    assert [line.voice for line in long_form_job.lines] == ["anna", "bob", "anna"]
    assert long_form_job.lines[0].pause_seconds == 1.0
    with pytest.raises(TextError, match=r"\[carl\]; .* given: ada, anna, ben, bob, .*unused"):
        script_voices(model, "[carl] Hm.", store, voice)
