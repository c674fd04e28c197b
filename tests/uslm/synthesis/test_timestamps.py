"""Words know when they are said: inside a segment by the recogniser, in the whole by counted
samples."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from uslm.models.folders import resolve_bundle
from uslm.output.joiner import JoinConfig, Joiner
from uslm.output.speech import AudioChunk, SegmentReport
from uslm.serving.shared import SharedSynthesizer
from uslm.synthesis.protocols import FrontEnd
from uslm.synthesis.timestamps import LEAD_SECONDS, timed, word_aligner
from uslm.systems.two_stage.bundle import Bundle
from uslm.systems.two_stage.tiny import speech_like
from uslm.tts import ZeroShotTTS
from uslm.voices.prompt import VoicePrompt
from uslm.voices.verification import recognize_phonemes
from uslm.voices.word_times import WordAligner
from uslm_tokenizer.audio.read import read_audio
from uslm_tokenizer.registry import load_tokenizer

RATE = 8_000


VOICE = Path(__file__).parents[3] / "examples" / "voice.wav"


class Beeps(WordAligner):
    """A stand-in for an aligner: each word is a beep, heard a little before it begins."""

    def __init__(self) -> None:
        self.tokenizer = SimpleNamespace(sample_rate=RATE)

    def __call__(self, waveform: torch.Tensor, text: str) -> list[tuple[str, float, float]]:
        loud = (waveform[0].abs() > 0.1).int()
        edges = torch.nn.functional.pad(loud, (1, 1)).diff()
        begins, ends = (torch.nonzero(edges == sign)[:, 0] / RATE for sign in (1, -1))
        words = text.split()
        assert len(words) == len(begins), "the segment's own samples, no more and no less"
        places = (begins - LEAD_SECONDS, ends - LEAD_SECONDS)
        return list(zip(words, *(place.tolist() for place in places), strict=True))


def beeping(num_beeps: int) -> torch.Tensor:
    """Beeps of 0.2 s, with 0.1 s of silence before each and after the last."""
    beep = torch.cat([torch.zeros(800), torch.full((1_600,), 0.5)])
    return torch.cat([beep.repeat(num_beeps), torch.zeros(800)])[None]


def long_stream(num_segments: int) -> Iterator[AudioChunk]:
    """Segments joined as a session joins them; a sample rate that no frame divides, odd pauses."""
    joiner = Joiner(JoinConfig(trim_silence=False), RATE)

    def chunk(waveform: torch.Tensor, report: SegmentReport | None = None) -> AudioChunk:
        return AudioChunk(waveform=waveform, sample_rate=RATE, index=0, report=report)

    for index in range(num_segments):
        start = joiner.num_samples
        segment = beeping(num_beeps := 5 + index % 7)
        yield chunk(joiner.push(segment[:, :4_999]))
        yield chunk(joiner.push(segment[:, 4_999:]))
        last = joiner.end_segment()
        report = SegmentReport(
            index=index,
            text=" ".join(f"w{index}.{i}" for i in range(num_beeps)),
            phonemes="",
            start_seconds=start / RATE,
            end_seconds=joiner.num_samples / RATE,
            seed=0,
        )
        yield chunk(last, report)
        yield chunk(joiner.pause(0.333 + 0.0001 * index))
    yield replace(chunk(joiner.finish()), is_final=True)


def test_over_ten_minutes_no_word_drifts() -> None:
    chunks = list(timed(long_stream(250), Beeps()))
    waveform = torch.cat([chunk.waveform for chunk in chunks], dim=1)
    assert waveform.shape[1] > 600 * RATE
    words = [word for chunk in chunks if chunk.report for word in chunk.report.words or ()]
    received = Beeps()(waveform, " ".join(word.text for word in words))
    drift = [
        abs(word.start_seconds - at - LEAD_SECONDS)
        for word, (_, at, _) in zip(words, received, strict=True)
    ]
    assert max(drift) < 0.05
    assert max(drift[-50:]) < 1e-3, "counted, not summed up"


def test_words_are_in_order_and_inside_their_segment() -> None:
    for chunk in timed(long_stream(8), Beeps()):
        if chunk.report is None:
            continue
        words = chunk.report.words
        assert words
        edges = [edge for word in words for edge in (word.start_seconds, word.end_seconds)]
        assert edges == sorted(edges)
        assert chunk.report.start_seconds <= edges[0]
        assert edges[-1] <= chunk.report.end_seconds
        assert words[0].end_seconds - words[0].start_seconds == pytest.approx(0.2, abs=0.01)


def test_timing_leaves_the_stream_as_it_is(tts: ZeroShotTTS, voice: VoicePrompt) -> None:
    text = "Hello there. [pause:0.5] And here, at last, is another sentence."
    plain, speech = (tts.generate(text, voice, seed=1, words=words) for words in (False, True))
    assert torch.equal(plain.waveform, speech.waveform)
    assert [chunk.words for chunk in plain.segments] == [None, None]
    assert plain.words == ()
    assert [replace(chunk, words=None) for chunk in speech.segments] == list(plain.segments)


def test_words_are_those_of_the_text(tts: ZeroShotTTS, voice: VoicePrompt) -> None:
    """A babbler's recogniser finds nothing sensible, yet it puts all words somewhere."""
    text = 'He paid $5 — "too much", on 3/4.'
    speech = tts.generate(text, voice, seed=1, words=True)
    assert [word.text for word in speech.words] == text.split()
    record = speech.to_dict()["segments"][0]["words"][0]
    assert record["text"] == "He"
    assert record["start_seconds"] == round(speech.words[0].start_seconds, 4)


def test_what_was_not_found_has_no_words(bundle: Bundle) -> None:
    report = SegmentReport(
        index=0, text="many words " * 20, phonemes="", start_seconds=0.0, end_seconds=0.5, seed=0
    )
    chunk = AudioChunk(
        waveform=speech_like(0.5).waveform, sample_rate=16_000, index=0, report=report
    )
    align = word_aligner(bundle, bundle.frontend())
    [short] = timed([chunk], align)
    assert short.report is not None and short.report.words == ()
    silent = replace(chunk, report=replace(report, text="?", stop_reason="silent"))
    [none] = timed([silent], align)
    assert none.report is not None and none.report.words == ()


def test_another_rate_is_heard_as_well(bundle: Bundle) -> None:
    report = SegmentReport(
        index=0, text="two words", phonemes="", start_seconds=0.0, end_seconds=2.0, seed=0
    )
    speech = speech_like(2.0, 24_000)
    chunk = AudioChunk(waveform=speech.waveform, sample_rate=24_000, index=0, report=report)
    [received] = timed([chunk], word_aligner(bundle, bundle.frontend()))
    assert received.report is not None and received.report.words is not None
    assert [word.text for word in received.report.words] == ["two", "words"]
    assert 0 <= received.report.words[1].start_seconds <= 2.0


def test_systems_without_an_ear_borrow_the_default_models(bundle: Bundle) -> None:
    class Deaf(SharedSynthesizer):
        tokenizer = None

        def word_aligner(self, frontend: FrontEnd) -> WordAligner | None:
            return None

    align = word_aligner(Deaf(bundle, bundle.semantic, 1), bundle.frontend())
    assert align.tokenizer.num_codebooks > bundle.tokenizer.num_codebooks
    words = [word for word, _, _ in align(speech_like(2.0).waveform, "Two words.")]
    assert words == ["Two", "words."]


def test_the_default_models_ear_follows_the_speech() -> None:
    """A recording a second later: what is heard in it is a second later."""
    tokenizer = load_tokenizer(resolve_bundle("default") / "tokenizer")
    rate = tokenizer.sample_rate
    audio = read_audio(VOICE, max_seconds=4.0).resampled(rate).waveform
    received = recognize_phonemes(tokenizer, audio)
    groups = {str(i): received[i : i + 4] for i in range(0, len(received), 4)}
    align = WordAligner(tokenizer, lambda word: groups[word])
    now = align(audio, " ".join(groups))
    later = align(torch.cat([torch.zeros(1, rate), audio], dim=1), " ".join(groups))
    assert len(now) > 5 and now[0][1] < 1 and now[-1][2] > 3
    shifts = sorted(b[1] - a[1] for a, b in zip(now, later, strict=True))
    assert shifts[len(shifts) // 2] == pytest.approx(1.0, abs=0.021), "a frame"
