"""What a caller of the speaking model may rely on, with a model that babbles."""

from __future__ import annotations

import base64
import json
import re
import weakref
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from uslm.models.base import SemanticModel
from uslm.output.speech import SegmentReport, Speech
from uslm.systems.registry import MODELS, model_class
from uslm.systems.two_stage.bundle import Bundle
from uslm.systems.two_stage.config import BundleConfig
from uslm.systems.two_stage.tiny import TINY, speech_like, tiny_bundle, tiny_voice
from uslm.tts import ZeroShotTTS
from uslm.voices.prompt import VoicePrompt
from uslm.voices.store import VoiceStore
from uslm_tokenizer.audio.read import read_audio
from uslm_tokenizer.audio.write import write_audio
from uslm_tokenizer.errors import (
    ConfigError,
    EnvironmentProblem,
    GenerationError,
    MissingResource,
    TextError,
    UserError,
)

SEMANTIC = [name for name in MODELS if issubclass(model_class(name), SemanticModel)]
TEXT = "This one is the first of all. Here is the second one too. [pause:0.5] And a third."


@pytest.fixture(scope="module")
def speech(tts: ZeroShotTTS, voice: VoicePrompt) -> Speech:
    return tts.generate(TEXT, voice, seed=7)


def test_same_seed_same_bytes(tts: ZeroShotTTS, voice: VoicePrompt, speech: Speech) -> None:
    again = tts.generate(TEXT, voice, seed=7)
    assert torch.equal(again.waveform, speech.waveform)
    assert torch.equal(again.codes, speech.codes)
    other = tts.generate(TEXT, voice, seed=8)
    assert not torch.equal(other.units[:20], speech.units[:20])


@pytest.mark.parametrize("options", [{}, {"verify": True, "retries": 1}, {"speed": 1.25}])
def test_streamed_samples_are_the_offline_samples(
    tts: ZeroShotTTS, voice: VoicePrompt, options: dict[str, Any]
) -> None:
    whole = tts.generate(TEXT, voice, seed=7, **options)
    chunks = list(tts.stream(TEXT, voice, seed=7, **options))
    assert torch.equal(torch.cat([chunk.waveform for chunk in chunks], dim=1), whole.waveform)
    assert [chunk.is_final for chunk in chunks] == [False] * (len(chunks) - 1) + [True]
    assert tuple(chunk.report for chunk in chunks if chunk.report) == whole.segments
    assert [chunk.timings is not None for chunk in chunks] == [chunk.is_final for chunk in chunks]


def test_the_first_chunk_comes_before_the_first_segment_is_spoken(
    tts: ZeroShotTTS, voice: VoicePrompt
) -> None:
    text = "This one sentence is long enough to be spoken in more than a single block of frames."
    chunks = [chunk for chunk in tts.stream(text, voice, seed=2) if chunk.waveform.numel()]
    assert len(chunks) > 2
    assert chunks[0].waveform.shape[1] < sum(c.waveform.shape[1] for c in chunks) / 2


def test_a_row_of_a_batch_is_what_it_is_alone(bundle: Bundle, tts: ZeroShotTTS) -> None:
    texts = [TEXT, "Short words.", "Another text."]
    voices = [tiny_voice(bundle, num_frames=30 + 20 * i, seed=i) for i in range(3)]
    batch = tts.generate_batch(texts, voices, [1, 2, 3], batch_size=2)
    for speech, text, voice, seed in zip(batch, texts, voices, [1, 2, 3], strict=True):
        alone = tts.generate(text, voice, seed=seed)
        assert torch.equal(speech.codes, alone.codes)
        torch.testing.assert_close(speech.waveform, alone.waveform, atol=1e-5, rtol=1e-4)
        assert speech.segments == alone.segments


def test_a_seed_is_drawn_reported_and_enough_to_repeat(
    tts: ZeroShotTTS, voice: VoicePrompt
) -> None:
    speech = tts.generate("Once and again.", voice)
    again = tts.generate("Once and again.", voice, seed=speech.seed)
    assert torch.equal(speech.waveform, again.waveform)


def test_the_report_covers_the_text(speech: Speech) -> None:
    assert [chunk.index for chunk in speech.segments] == [0, 1, 2]
    assert " ".join(c.text for c in speech.segments) == re.sub(r"\[.*?\] ", "", TEXT)
    assert speech.segments[2].start_seconds - speech.segments[1].end_seconds == pytest.approx(
        0.5, abs=0.03
    )
    assert speech.seconds == pytest.approx(speech.segments[-1].end_seconds, abs=0.03)
    assert torch.equal(speech.codes[0], speech.units)
    assert speech.waveform.abs().max() <= 1
    assert 0 < speech.timings.first_audio < speech.timings.total


def test_samples_and_sidecar_are_saved(speech: Speech, tmp_path: Path) -> None:
    path = speech.save(tmp_path / "speech.wav")
    assert path.stat().st_size > speech.waveform.shape[1] * 2
    with pytest.raises(UserError):
        speech.save(path)
    speech.save(path, force=True)
    sidecar = json.loads(speech.to_json())
    assert (sidecar["seed"], sidecar["text"]) == (7, TEXT)
    assert len(sidecar["units"].split()) == len(speech.units)
    assert sidecar["settings"]["temperature"] == 0.8


def test_progress_is_told(tts: ZeroShotTTS, voice: VoicePrompt) -> None:
    reported: list[tuple[SegmentReport, int]] = []
    speech = tts.generate(TEXT, voice, seed=7, on_segment=lambda *news: reported.append(news))
    assert [report for report, _ in reported] == list(speech.segments)
    assert {total for _, total in reported} == {3}


def test_a_closed_stream_stops_the_work(tts: ZeroShotTTS, voice: VoicePrompt) -> None:
    reported: list[SegmentReport] = []
    stream = tts.stream(
        TEXT * 20, voice, seed=7, on_segment=lambda report, _: reported.append(report)
    )
    next(stream)
    stream.close()  # type: ignore[attr-defined]
    assert not reported
    assert next(stream, None) is None


def test_threads_share_a_model(tts: ZeroShotTTS, voice: VoicePrompt) -> None:
    texts = [f"Sentence number {word}." for word in ("one", "two")]
    alone = [tts.generate(text, voice, seed=5).waveform for text in texts]
    with ThreadPoolExecutor(2) as pool:
        together = list(pool.map(lambda text: tts.generate(text, voice, seed=5).waveform, texts))
    assert all(map(torch.equal, alone, together))


def test_what_cannot_be_said_is_reported_and_the_rest_is_spoken(
    tts: ZeroShotTTS, voice: VoicePrompt
) -> None:
    speech = tts.generate("Speak this first line.\n\n\U0001f600\n\nAnd this.", voice, seed=1)
    assert [chunk.stop_reason == "silent" for chunk in speech.segments] == [False, True, False]


def test_a_long_text_is_spoken_word_for_word_in_bounded_memory(
    tts: ZeroShotTTS, voice: VoicePrompt
) -> None:
    text = " ".join(f"Here is sentence number {i} of this text." for i in range(24))
    words: list[str] = []
    alive = []
    for chunk in tts.stream(text, voice, seed=1):
        if chunk.report is not None and chunk.codes is not None:
            words += chunk.report.text.split()
            alive.append(weakref.ref(chunk.codes))
        del chunk
    assert words == text.split()
    assert sum(codes() is not None for codes in alive) == 0


@pytest.mark.parametrize("text", ["", " \n", "?!", "\U0001f600", "[pause:1]", "\x00", "\ud800"])
def test_a_text_with_nothing_to_say_is_refused(
    tts: ZeroShotTTS, voice: VoicePrompt, text: str
) -> None:
    with pytest.raises(TextError):
        tts.stream(text, voice)  # before anything is drawn from the iterator


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"temperature": -1.0}, "temperature"),
        ({"temperature": float("nan")}, "temperature"),
        ({"top_k": -1}, "top_k"),
        ({"top_p": 0.0}, "top_p"),
        ({"retries": -1, "verify": True}, "retries"),
        ({"speed": 4.5}, "speed"),
        ({"seed": -5}, "seed"),
    ],
)
def test_wrong_options_are_named(
    tts: ZeroShotTTS, voice: VoicePrompt, options: dict[str, Any], named: str
) -> None:
    with pytest.raises(UserError, match=named):
        tts.stream("Hello.", voice, **options)


def test_a_voice_of_another_model_is_refused_by_name(tts: ZeroShotTTS) -> None:
    other = tiny_bundle(BundleConfig(name="other"), seed=5)
    with pytest.raises(ConfigError, match="'babble' was made with the tokenizer of model 'other'"):
        tts.generate("Hello.", tiny_voice(other))


@pytest.mark.parametrize(("voices", "seeds"), [(1, None), (3, None), (2, [1]), (2, [1, 2, 3])])
def test_a_batch_needs_a_voice_and_a_seed_each(
    tts: ZeroShotTTS, voice: VoicePrompt, voices: int, seeds: list[int] | None
) -> None:
    with pytest.raises(UserError, match="each of 2 texts"):
        tts.generate_batch(["One.", "Two."], [voice] * voices, seeds)


def test_an_empty_batch_is_no_work(tts: ZeroShotTTS, voice: VoicePrompt) -> None:
    assert tts.generate_batch([], voice) == []


def test_silence_is_a_failure(voice: VoicePrompt) -> None:
    mute = tiny_bundle()
    mute.tokenizer.head.weight.data.zero_()
    mute.tokenizer.head.bias.data.fill_(-20.0)
    tts = ZeroShotTTS(mute)
    with pytest.raises(GenerationError, match="silence"):
        tts.generate("Hello there.", tiny_voice(mute))


def test_samples_that_are_no_numbers_are_a_failure() -> None:
    broken = tiny_bundle()
    broken.tokenizer.head.bias.data.fill_(float("nan"))
    with pytest.raises(GenerationError, match="finite"):
        ZeroShotTTS(broken).generate("Hello there.", tiny_voice(broken))


@pytest.mark.parametrize("name", SEMANTIC)
def test_every_first_stage_speaks(bundle: Bundle, voice: VoicePrompt, name: str) -> None:
    found = model_class(name)
    tts = ZeroShotTTS(replace(bundle, semantic=found(found.tiny_config()).eval()))
    alone = tts.generate("Hello there.", voice, seed=3)
    [row, _] = tts.generate_batch(["Hello there.", "Another one."], voice, [3, 4])
    assert torch.equal(alone.codes, row.codes)
    streamed = [chunk.waveform for chunk in tts.stream("Hello there.", voice, seed=3)]
    assert torch.equal(torch.cat(streamed, dim=1), alone.waveform)


@pytest.mark.parametrize("use_prompt_units", [True, False])
def test_stage_1_may_do_without_the_prompt(use_prompt_units: bool) -> None:
    bundle = tiny_bundle(replace(TINY, use_prompt_units=use_prompt_units))
    tts, voices = ZeroShotTTS(bundle), [tiny_voice(bundle, seed=i) for i in (1, 2)]
    one, other = (tts.generate("Hello there.", voice, seed=3).units for voice in voices)
    assert torch.equal(one, other) != use_prompt_units


@pytest.mark.parametrize("dtype", ["bfloat16", torch.bfloat16])
def test_half_precision_works_on_the_cpu(dtype: str | torch.dtype) -> None:
    bundle = tiny_bundle().to("cpu", dtype)
    assert bundle.semantic.dtype == torch.bfloat16
    speech = ZeroShotTTS(bundle).generate("Hello there.", tiny_voice(bundle), seed=1)
    assert speech.waveform.dtype == torch.float32


def test_a_wrong_precision_or_device_is_named() -> None:
    with pytest.raises(UserError, match="float32, bfloat16, float16, but is 'int8'"):
        tiny_bundle().to("cpu", "int8")
    with pytest.raises(EnvironmentProblem, match="'cuda:99'"):
        tiny_bundle().to("cuda:99")


def test_a_voice_may_be_named_or_left_out(
    tts: ZeroShotTTS, voice: VoicePrompt, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("USLM_VOICES", str(tmp_path / "kept"))
    VoiceStore().save(replace(voice, name="anna"))
    voice.save(tmp_path / "file.safetensors")
    audio = speech_like(4.0)
    write_audio(tmp_path / "me.wav", audio.waveform, audio.sample_rate)
    for named in ("anna", tmp_path / "file.safetensors"):
        assert torch.equal(tts.voice(named).codes, voice.codes)
    array, rate = audio.waveform[0].numpy(), audio.sample_rate
    codes = [tts.create_voice(form).codes for form in ((array, rate), (rate, array), audio)]
    codes.append(tts.create_voice(array, sample_rate=rate).codes)
    assert all(torch.equal(each, codes[0]) for each in codes)
    assert tts.voice().name == tts.voice("ada").name == "ada"
    spoken = tts.generate("Hello there.", tmp_path / "me.wav", seed=1)
    made = tts.voice(str(tmp_path / "me.wav"))
    assert torch.equal(spoken.codes, tts.generate("Hello there.", made, seed=1).codes)
    with pytest.raises(MissingResource, match=r"no recording 'bob'; voices: anna, ada"):
        tts.generate("Hello there.", "bob")


def test_speech_is_short_in_words_and_has_a_player(
    tts: ZeroShotTTS, voice: VoicePrompt, speech: Speech, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    for shown in (repr(speech), repr(voice), repr(tts)):
        assert len(shown) < 160 and "tensor" not in shown
    assert "seed=7" in repr(speech) and voice.name in repr(voice)
    sound = re.search(r"base64,([^\"]+)", speech._repr_html_())
    assert sound is not None
    assert read_audio(base64.b64decode(sound[1])).seconds == pytest.approx(speech.seconds, abs=1e-3)
    played: list[Any] = []
    monkeypatch.setattr("uslm.output.speech.find_player", lambda: lambda *each: played.append(each))
    speech.play()
    assert torch.equal(played[0][0], speech.waveform) and played[0][1] == speech.sample_rate
    for thing, path in ((speech, tmp_path / "a.wav"), (voice, tmp_path / "a.safetensors")):
        thing.save(path)
        thing.save(path, overwrite=True)
        with pytest.raises(UserError, match="exists"):
            thing.save(path)
    assert tts.to("cpu") is tts
