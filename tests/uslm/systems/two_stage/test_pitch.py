"""Pitch from stage 1 to the codes: drawn with the units, in the height of the voice."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F

from uslm.conversion import VoiceConverter
from uslm.generate.autoregressive import StopRule, UnitRow, speak_units
from uslm.generate.sampling import Sampling
from uslm.models.teacher_forcing import NOT_PREDICTED
from uslm.serving.engine import Engine
from uslm.systems.two_stage.bundle import Bundle
from uslm.systems.two_stage.config import BundleConfig, LengthConfig
from uslm.systems.two_stage.monotonic import MonotonicLM
from uslm.systems.two_stage.tiny import (
    TINY,
    speech_like,
    tiny_bundle,
    tiny_pitched_bundle,
    tiny_voice,
)
from uslm.systems.two_stage.voice_row import median_pitch
from uslm.tts import ZeroShotTTS
from uslm_tokenizer.errors import ConfigError

TEXT = "Hello there. How are you?"


@pytest.fixture
def model() -> MonotonicLM:
    torch.manual_seed(0)
    return MonotonicLM(MonotonicLM.tiny_config()).eval()


def spoken(model: MonotonicLM, *, seed: int = 0, pitch_temperature: float = 1.0) -> UnitRow:
    [*_, rows] = speak_units(
        model,
        [torch.arange(3, 12)],
        [torch.arange(5)],
        [StopRule(min_frames=20, max_frames=20)],
        sampling=Sampling(pitch_temperature=pitch_temperature),
        generators=[torch.Generator().manual_seed(seed)],
        prompt_pitches=[torch.tensor([0, 3, 4, 4, 5])],
    )
    return rows[0]


def test_pitches_are_drawn_by_what_training_scores(model: MonotonicLM) -> None:
    """Step by step the likeliest pitch is the one that a pass over all of it finds likeliest."""
    row = spoken(model, pitch_temperature=0.0)
    units = torch.cat([torch.arange(5), row.tensor()])
    pitches = torch.cat([torch.tensor([0, 3, 4, 4, 5]), torch.tensor(row.pitches)])
    hidden = []
    cache = model.new_cache(1, 40)
    model.prefill([torch.arange(3, 12)], [units[:5]], cache, [pitches[:5]])
    for place in range(5, 25):
        hidden.append(cache.hidden[0])
        model.take_pitch(pitches[place : place + 1], cache)
        model.step(units[place : place + 1], cache)
    head = model.pitch_head
    assert head is not None
    histories = head.histories(F.pad(pitches, (1, 0))[None])[0, 5:25]
    best = head(torch.stack(hidden), units[5:], histories).argmax(dim=-1)
    assert len(set(row.pitches)) > 1
    assert best.tolist() == row.pitches


def test_a_pitch_is_drawn_for_each_unit_and_by_the_seed(model: MonotonicLM) -> None:
    one, same, other = spoken(model), spoken(model), spoken(model, seed=1)
    assert len(one.pitches) == len(one.units) == 20
    assert one.pitches == same.pitches != other.pitches


def test_pitches_change_no_unit(model: MonotonicLM) -> None:
    """The units of a model are those that it drew before it was taught pitch."""
    without = MonotonicLM(replace(model.config, pitch_reach=0)).eval()
    missing = without.load_state_dict(model.state_dict(), strict=False).unexpected_keys
    assert missing and all(name.startswith("pitch_head.") for name in missing)
    text, units = torch.arange(3, 12), torch.arange(5)
    logits = [each.prefill([text], [units], each.new_cache(1, 20)) for each in (model, without)]
    assert torch.equal(*logits)


def test_only_predicted_units_have_a_pitch_to_learn(model: MonotonicLM) -> None:
    pitches = torch.tensor([0, 3, 4, 0, 5])
    batch = model.batch([torch.arange(4)], [torch.arange(5)], predict_from=[2], pitches=[pitches])
    assert batch.pitches[0].tolist() == [0, 0, 3, 4, 0, 5]
    unknown = NOT_PREDICTED
    assert batch.pitch_targets[0].tolist() == [unknown, unknown, 4, 0, 5, unknown]
    untold = model.batch([torch.arange(4)], [torch.arange(5)])
    assert set(untold.pitch_targets[0].tolist()) == {NOT_PREDICTED}


def test_a_pitch_is_relative_to_the_median_of_the_voiced(model: MonotonicLM) -> None:
    received = torch.tensor([0, 20, 22, 24, 0, 40])
    relative = model.relative_pitch(received)
    # A reach of 6: 7 stands for the median (22), 13 for 6 steps and more above it.
    assert relative.tolist() == [0, 5, 7, 9, 0, 13]
    assert [model.absolute_pitch(each, 30) for each in relative.tolist()] == [0, 28, 30, 32, 0, 36]
    assert model.absolute_pitch(1, 3) == 1  # not 0, which is unvoiced
    assert model.relative_pitch(torch.zeros(3, dtype=torch.long)).tolist() == [0, 0, 0]


def in_pitch(bundle: Bundle, height: int) -> torch.Tensor:
    """The voiced pitches of speech in a voice that stands at a height."""
    voice = tiny_voice(bundle)
    voice.codes[1] = height
    speech = ZeroShotTTS(bundle).generate(TEXT, voice, seed=3)
    assert speech.codes is not None
    return speech.codes[1][speech.codes[1] > 0]


def test_the_same_words_are_as_much_higher_as_the_voice_is() -> None:
    bundle = tiny_pitched_bundle()
    low, high = in_pitch(bundle, 10), in_pitch(bundle, 20)
    assert len(low) == len(high) > 10
    assert set((high - low).tolist()) == {10}
    assert int(in_pitch(bundle, 31).max()) == bundle.tokenizer.num_pitches - 1


@pytest.mark.parametrize("use_prompt_units", [False, True])
def test_streams_batches_and_shared_steps_say_the_same(use_prompt_units: bool) -> None:
    config = BundleConfig(
        name="tiny",
        length=LengthConfig(max_frames_per_symbol=2.0, margin_frames=5),
        use_prompt_units=use_prompt_units,
    )
    bundle = tiny_pitched_bundle(config)
    voice, tts = tiny_voice(bundle), ZeroShotTTS(bundle)
    whole = tts.generate(TEXT, voice, seed=3)
    segments = [chunk.waveform for chunk in tts.stream(TEXT, voice, seed=3)]
    torch.testing.assert_close(torch.cat(segments, dim=1), whole.waveform)
    assert len(segments) > 1
    [batched] = tts.generate_batch([TEXT], voice, [3])
    assert batched.codes is not None and whole.codes is not None
    assert torch.equal(batched.codes[:2], whole.codes[:2])
    with Engine(bundle) as engine:
        shared = torch.cat([c.waveform for c in engine.submit(TEXT, voice, seed=3)], dim=-1)
    assert shared.shape == whole.waveform.shape
    torch.testing.assert_close(shared, whole.waveform, rtol=1e-3, atol=1e-3)


def test_a_conversion_keeps_the_melody_at_the_height_of_the_voice() -> None:
    bundle = tiny_pitched_bundle()
    voice, recording = tiny_voice(bundle), speech_like(2.0)
    voice.codes[1] = 16
    converted = VoiceConverter(bundle).convert(recording, voice, seed=0)
    received = bundle.tokenizer.encode(recording.waveform[None])[0, 1]
    assert converted.codes is not None
    made = converted.codes[1]
    assert torch.equal(made > 0, received > 0) and int((made > 0).sum()) > 10
    assert median_pitch(made) == 16
    steps = (made - received)[(made > 1) & (made < 31)]
    assert len(set(steps.tolist())) == 1


def test_parts_that_do_not_agree_on_pitch_are_refused() -> None:
    bundle, plain = tiny_pitched_bundle(), tiny_bundle()
    silent = MonotonicLM(replace(MonotonicLM.tiny_config(), pitch_reach=0))
    with pytest.raises(ConfigError, match="draws none"):
        Bundle(TINY, bundle.tokenizer, silent, bundle.acoustic)
    with pytest.raises(ConfigError, match=r"codebooks|is none"):
        Bundle(TINY, plain.tokenizer, bundle.semantic, bundle.acoustic)
