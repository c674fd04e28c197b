"""The watermark: found where it is and only there; a stream is marked as the whole would be."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest
import torch

from uslm.output.speech import Speech
from uslm.output.watermark import Detection, MarkedStream, Perth, detect, watermarked
from uslm.systems.two_stage.tiny import speech_like
from uslm.tts import ZeroShotTTS
from uslm.voices.prompt import VoicePrompt
from uslm_tokenizer.audio.read import read_audio, resample
from uslm_tokenizer.audio.write import write_audio
from uslm_tokenizer.errors import AudioError, EnvironmentProblem, MissingResource

VOICE = Path(__file__).parents[3] / "examples" / "voice.wav"


@pytest.fixture(scope="module")
def perth() -> Perth:
    """The real one, with the weights of the package."""
    return Perth.from_package()


@pytest.fixture(scope="module")
def real() -> torch.Tensor:
    """Two seconds of a person, at 16 kHz."""
    return read_audio(VOICE, max_seconds=2.0).resampled(16_000).waveform


@pytest.fixture(scope="module")
def marked(perth: Perth, real: torch.Tensor) -> torch.Tensor:
    return perth.mark(real, 16_000)


class Louder:
    """A stand-in: half the level more, and nothing that looks at neighbours."""

    name = "louder"

    def mark(self, waveform: torch.Tensor, sample_rate: int) -> torch.Tensor:
        return waveform * 1.5

    def score(self, waveform: torch.Tensor, sample_rate: int) -> float:
        return float(waveform.abs().max() > 0.5)


def test_the_mark_is_found_where_it_is_and_only_there(
    perth: Perth, real: torch.Tensor, marked: torch.Tensor
) -> None:
    assert perth.score(real, 16_000) < 0.2
    assert perth.score(marked, 16_000) > 0.95


def test_the_mark_is_soft_and_low(real: torch.Tensor, marked: torch.Tensor) -> None:
    assert marked.shape == real.shape
    added = marked - real
    assert float(real.square().mean() / added.square().mean()) > 10
    power = torch.fft.rfft(added[0]).abs().square()
    bin_of_2500_hz = round(2500 / 8000 * len(power))
    assert float(power[bin_of_2500_hz:].sum() / power.sum()) < 0.01


def test_the_mark_survives_mp3_and_another_rate(
    perth: Perth, marked: torch.Tensor, tmp_path: Path
) -> None:
    write_audio(tmp_path / "marked.mp3", resample(marked, 16_000, 44_100), 44_100)
    again = read_audio(tmp_path / "marked.mp3")
    assert perth.score(again.waveform, again.sample_rate) > 0.9


def test_a_stream_is_marked_however_it_is_cut(perth: Perth, real: torch.Tensor) -> None:
    def joined(sizes: list[int]) -> torch.Tensor:
        stream, out, rest = MarkedStream(perth, 16_000), [], real
        for size in sizes:
            out.append(stream.push(rest[:, :size], is_final=False))
            rest = rest[:, size:]
        return torch.cat([*out, stream.push(rest, is_final=True)], dim=1)

    whole = joined([])
    assert whole.shape == real.shape
    assert torch.equal(joined([1, 7_000, 0, 15_999]), whole)
    assert torch.equal(joined([32_000]), whole)
    assert perth.score(whole, 16_000) > 0.95


def test_blocks_join_without_a_seam(perth: Perth, real: torch.Tensor) -> None:
    """The margin is as far as the network sees: a second in, nothing tells a block from all."""
    whole, stream = perth.mark(real, 16_000), MarkedStream(perth, 16_000)
    torch.testing.assert_close(stream.push(real, is_final=True), whole, atol=2e-3, rtol=0)


@pytest.mark.parametrize("num_samples", [0, 1, 700, 16_000, 16_001])
def test_short_streams_keep_their_length(num_samples: int, perth: Perth) -> None:
    waveform = speech_like(2.0).waveform[:, :num_samples]
    assert MarkedStream(perth, 16_000).push(waveform, is_final=True).shape == waveform.shape


def test_silence_stays_silent(perth: Perth) -> None:
    silence = torch.zeros(1, 16_000)
    assert float(perth.mark(silence, 16_000).abs().max()) < 1e-6


def test_marked_speech_is_the_speech_marked(tts: ZeroShotTTS, voice: VoicePrompt) -> None:
    text = "Hello there. And here is another sentence."
    plain = tts.generate(text, voice, seed=1)
    speech = Speech.joined(watermarked(tts.stream(text, voice, seed=1), Louder()))
    assert torch.equal(speech.waveform, plain.waveform * 1.5)
    assert [chunk.end_seconds for chunk in speech.segments] == [
        chunk.end_seconds for chunk in plain.segments
    ]


def test_a_recording_is_searched_window_by_window() -> None:
    quiet, loud = torch.full((1, 80_000), 0.1), torch.full((1, 80_000), 0.9)
    found = detect(Louder(), torch.cat([quiet] * 3 + [loud] * 2, dim=1), 8_000)
    assert [(round(a, 2), round(b, 2), s) for a, b, s in found.windows] == [
        (0, 10, 0), (10, 20, 0), (20, 30, 0), (30, 40, 1), (40, 50, 1),
    ]  # fmt: skip
    assert found.score == found.marked_share == pytest.approx(0.4)
    assert Detection(windows=((0.0, 4.0, 0.5),)).marked_share == 0


def test_what_cannot_be_searched_is_refused() -> None:
    with pytest.raises(AudioError, match=r"1 s or more, but there are 0.50 s"):
        detect(Louder(), torch.ones(1, 4_000), 8_000)
    with pytest.raises(AudioError, match="silent"):
        detect(Louder(), torch.zeros(1, 16_000), 8_000)


def test_without_the_package_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    from uslm.output import watermark

    monkeypatch.setattr(watermark, "find_spec", lambda name: None)
    with pytest.raises(EnvironmentProblem, match=r"pip install 'uslm\[watermark\]'"):
        Perth.from_package()
    other = importlib.util.find_spec("json")
    monkeypatch.setattr(watermark, "find_spec", lambda name: other)
    with pytest.raises(MissingResource, match="another package named perth"):
        Perth.from_package()
