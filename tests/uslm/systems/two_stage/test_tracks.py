"""The rhythm of a recording: each symbol is said when it is said there, alone and among others."""

from __future__ import annotations

from itertools import groupby

import pytest
import torch

from uslm.generate.autoregressive import StopRule, UnitRequest
from uslm.generate.sampling import Sampling
from uslm.serving.pool import UnitPool
from uslm.systems.two_stage.bundle import Bundle
from uslm.systems.two_stage.tiny import speech_like, tiny_bundle, tiny_pitched_bundle, tiny_voice
from uslm.systems.two_stage.tracks import speak_along, symbol_track
from uslm_tokenizer.errors import UserError

TEXT = "Hello there."


@pytest.fixture(scope="module")
def bundle() -> Bundle:
    return tiny_pitched_bundle()


def test_speech_lasts_as_long_as_the_recording_and_says_its_symbols_then(bundle: Bundle) -> None:
    read, voice = bundle.frontend()(TEXT), tiny_voice(bundle)
    for seconds in (1.5, 2.5):
        recording = speech_like(seconds)
        track = symbol_track(bundle, recording, read)
        assert [place for place, _ in groupby(track)] == list(range(len(read.text_ids)))
        made = speak_along(bundle, read, recording, voice, seed=1)
        assert made.codes.shape[1] == len(track) > 40 * seconds


def test_another_draw_keeps_the_rhythm_and_says_other_units(bundle: Bundle) -> None:
    read, voice, recording = bundle.frontend()(TEXT), tiny_voice(bundle), speech_like(1.5)
    one, other = (speak_along(bundle, read, recording, voice, seed=seed) for seed in (1, 2))
    assert one.codes.shape == other.codes.shape
    assert not torch.equal(one.codes[0], other.codes[0])


def test_rows_of_a_pool_follow_theirs(bundle: Bundle) -> None:
    tracks = ([0, 0, 1, 2, 2], None, [0, 1, 1, 1, 1, 1, 2])
    requests = [
        UnitRequest(
            text_ids=torch.tensor([9, 12, 20]),
            prompt_units=torch.zeros(0, dtype=torch.long),
            stop=StopRule(min_frames=0, max_frames=12),
            sampling=Sampling(),
            generator=torch.Generator().manual_seed(number),
            track=track,
        )
        for number, track in enumerate(tracks)
    ]
    *_, rows = UnitPool(bundle.semantic, 2).for_one()(requests)
    assert [rows[0].text_positions, rows[2].text_positions] == [tracks[0], tracks[2]]
    assert rows[0].stop_reason == rows[2].stop_reason == "end"
    assert rows[1].units


def test_what_has_no_track_is_named(bundle: Bundle) -> None:
    read = bundle.frontend()("Far too much is to be said here for so short a time.")
    with pytest.raises(UserError, match=r"the recording of 0\.2 s is too short for the \d+ symb"):
        symbol_track(bundle, speech_like(0.2), read)
    other = tiny_bundle()
    hello = other.frontend()(TEXT)
    with pytest.raises(UserError, match="semantic_lm says symbols when it will"):
        speak_along(other, hello, speech_like(1.5), tiny_voice(other), seed=1)
