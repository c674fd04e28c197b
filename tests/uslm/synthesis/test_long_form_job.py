"""A text in work: spoken through it is what the model speaks, and any segment can be drawn
again."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from uslm.generate.length import LengthConfig
from uslm.output.joiner import JoinConfig
from uslm.output.speech import Speech
from uslm.serving.engine import Engine, EngineConfig
from uslm.synthesis.long_form_job import LongFormJob
from uslm.synthesis.plan import PlanConfig
from uslm.systems.two_stage.bundle import Bundle
from uslm.systems.two_stage.config import BundleConfig
from uslm.systems.two_stage.tiny import tiny_bundle, tiny_voice
from uslm.tts import ZeroShotTTS
from uslm.voices.prompt import VoicePrompt
from uslm_tokenizer.errors import ConfigError, TextError, UserError

HASTY = LengthConfig(min_frames_per_symbol=0.2, max_frames_per_symbol=0.4, margin_frames=5)
TEXT = (
    "This is the first of all. And here comes the second.\n\n***\n\n"
    "[pause:0.5] A third one ends it."
)


@pytest.fixture(scope="module")
def bundle() -> Bundle:
    # Random weights say nothing but silence now and then: it is kept.
    keep = JoinConfig(trim_silence=False)
    return tiny_bundle(BundleConfig(name="tiny", length=HASTY, join=keep))


@pytest.fixture(scope="module")
def tts(bundle: Bundle) -> ZeroShotTTS:
    return ZeroShotTTS(bundle)


@pytest.fixture(scope="module")
def voice(bundle: Bundle) -> VoicePrompt:
    return tiny_voice(bundle)


@pytest.fixture(scope="module")
def speech(tts: ZeroShotTTS, voice: VoicePrompt) -> Speech:
    return tts.generate(TEXT, voice, seed=7)


def speak(long_form_job: LongFormJob, *indices: int) -> None:
    for _ in long_form_job.stream(indices or None):
        pass


def test_spoken_through_it_is_what_the_model_speaks(
    tts: ZeroShotTTS, voice: VoicePrompt, speech: Speech
) -> None:
    long_form_job = tts.long_form_job(TEXT, voice, seed=7)
    speak(long_form_job, 1)
    speak(long_form_job)
    ours = long_form_job.speech()
    assert torch.equal(ours.waveform, speech.waveform)
    assert torch.equal(ours.codes, speech.codes)
    assert ours.segments == speech.segments
    assert ours.settings == speech.settings
    assert 0 < ours.timings.semantic < ours.timings.total


def test_an_engine_speaks_it_beside_other_requests(
    bundle: Bundle, voice: VoicePrompt, speech: Speech
) -> None:
    with Engine(bundle, EngineConfig(num_slots=2)) as engine:
        long_form_job = engine.call(lambda tts: tts.long_form_job(TEXT, voice, seed=7)).result()
        chunks = [*engine.run(lambda _: long_form_job.stream())]
    assert [chunk.index for chunk in chunks if chunk.report] == [0, 1, 3]
    assert torch.equal(long_form_job.speech().codes, speech.codes)


def test_lines_tell_how_far_it_is(tts: ZeroShotTTS, voice: VoicePrompt) -> None:
    long_form_job = tts.long_form_job(TEXT, voice, seed=7)
    assert long_form_job.missing == (0, 1, 3)
    assert [line.pause_seconds for line in long_form_job.lines] == [0.3, 0.6, 0.5, 0.0]
    for chunk in long_form_job.stream([3]):
        if chunk.report is not None:
            assert torch.equal(chunk.waveform, long_form_job.waveform(3))
    assert [line.is_done for line in long_form_job.lines] == [False, False, True, True]
    report = long_form_job.lines[3].report
    assert report is not None
    assert report.start_seconds == 0
    seconds = long_form_job.waveform(3).shape[1] / tts.sample_rate
    assert report.end_seconds == pytest.approx(seconds, abs=1e-3)
    with pytest.raises(UserError, match="2 segments are not spoken yet: 1, 2"):
        long_form_job.speech()
    with pytest.raises(UserError, match="segment 0 is not spoken"):
        long_form_job.waveform(0)
    with pytest.raises(UserError, match="no segment 2"):
        long_form_job.stream([2])


def test_one_segment_again_leaves_the_others(tts: ZeroShotTTS, voice: VoicePrompt) -> None:
    long_form_job = tts.long_form_job(TEXT, voice, seed=7)
    speak(long_form_job)
    before = long_form_job.speech()
    seeds = {before.segments[1].seed}
    for _ in range(2):
        speak(long_form_job, 1)
        after = long_form_job.speech()
        assert [a.seed == b.seed for a, b in zip(after.segments, before.segments, strict=True)] == [
            True, False, True, True,
        ]  # fmt: skip
        seeds.add(after.segments[1].seed)
    assert len(seeds) == 3


def test_a_closed_stream_keeps_what_is_done(tts: ZeroShotTTS, voice: VoicePrompt) -> None:
    long_form_job = tts.long_form_job(TEXT, voice, seed=7)
    stream = long_form_job.stream()
    while next(stream).report is None:
        pass
    stream.close()  # type: ignore[attr-defined]
    assert long_form_job.missing == (1, 3)


def test_a_script_has_several_voices(bundle: Bundle, tts: ZeroShotTTS, voice: VoicePrompt) -> None:
    anna = replace(tiny_voice(bundle, num_frames=40, seed=5), name="anna")
    text = "The narrator says it first. [anna] Then it is my turn to say it. [bob] And mine, too."
    voices = {"anna": anna, "bob": voice}
    long_form_job = tts.long_form_job(text, voice, seed=3, voices=voices)
    assert [line.voice for line in long_form_job.lines] == [voice.name, "anna", voice.name]
    speak(long_form_job)
    spoken = tts.generate(text, voice, seed=3, voices=voices)
    assert torch.equal(spoken.waveform, long_form_job.speech().waveform)
    assert [chunk.voice for chunk in spoken.segments] == [voice.name, "anna", voice.name]
    # What a voice says is what it says alone.
    alone = tts.generate("x. [anna] Then it is my turn to say it.", voice, seed=3, voices=voices)
    frames = alone.units.tolist()[-10:]
    assert frames in [spoken.units.tolist()[i : i + 10] for i in range(len(spoken.units) - 9)]
    with pytest.raises(TextError, match=r"\[carl\]; the voices given: anna, bob"):
        tts.stream("[carl] Hello.", voice, voices=voices)
    foreign = replace(anna, tokenizer_hash="0" * 16)
    with pytest.raises(ConfigError, match="anna"):
        tts.stream("Hello.", voice, voices={"anna": foreign})


def test_rests_can_be_chosen(tts: ZeroShotTTS, voice: VoicePrompt) -> None:
    plan = PlanConfig(sentence_seconds=1.0, paragraph_seconds=2.0)
    long_form_job = tts.long_form_job(TEXT, voice, seed=7, plan=plan)
    assert [line.pause_seconds for line in long_form_job.lines] == [1.0, 2.0, 0.5, 0.0]
    speak(long_form_job)
    speech = long_form_job.speech()
    assert speech.settings["plan"]["sentence_seconds"] == 1.0
    first, second, *_ = speech.segments
    assert second.start_seconds - first.end_seconds == pytest.approx(1.0, abs=0.03)
