"""Measures of codecs: perfect is perfect, worse is worse; codes are counted."""

from __future__ import annotations

import sys
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from uslm.evaluation.metrics.codec_measures import (
    PESQ_FAILED,
    available_measures,
    f0_correlation,
    measure_pair,
    mel_distance,
    pesq,
    si_sdr,
    stoi,
)
from uslm.evaluation.suites.codec import CodeCounts, codec_sections, resynthesize
from uslm.systems.two_stage.tiny import speech_like, tiny_bundle
from uslm_tokenizer.audio.read import read_audio
from uslm_tokenizer.audio.write import write_audio
from uslm_tokenizer.errors import EnvironmentProblem, MissingResource

RATE = 16_000
VOICE = Path(__file__).parents[3] / "examples" / "voice.wav"


@pytest.fixture(scope="module")
def speech() -> torch.Tensor:
    """Three seconds of a person."""
    return read_audio(VOICE, max_seconds=3.0).resampled(RATE).waveform[0]


@pytest.fixture(scope="module")
def noisy(speech: torch.Tensor) -> torch.Tensor:
    """The same, 10 dB above noise."""
    noise = torch.randn(len(speech), generator=torch.Generator().manual_seed(0))
    return speech + noise * speech.std() / 10**0.5


class NoUtterancesError(Exception):
    pass


@pytest.fixture
def made_up_pesq(monkeypatch: pytest.MonkeyPatch) -> None:
    """Stands in for the compiled package: 4.5 less the mean difference; silence fails."""

    def score(rate: int, reference: Any, decoded: Any, mode: str) -> float:
        assert (rate, mode) == (16_000, "wb")
        if not reference.any():
            raise NoUtterancesError
        return float(4.5 - abs(reference - decoded).mean())

    module = SimpleNamespace(
        pesq=score, NoUtterancesError=NoUtterancesError, BufferTooShortError=NoUtterancesError
    )
    monkeypatch.setitem(sys.modules, "pesq", module)


@pytest.mark.usefixtures("made_up_pesq")
def test_perfect_is_perfect_and_noise_is_worse(speech: torch.Tensor, noisy: torch.Tensor) -> None:
    same, other = (measure_pair(speech, decoded, RATE) for decoded in (speech, noisy))
    assert set(same) == {"pesq", "stoi", "si_sdr", "mel_distance", "f0_correlation"} == set(other)
    assert same["stoi"] == pytest.approx(1, abs=1e-3)
    assert same["mel_distance"] == 0
    assert same["f0_correlation"] == pytest.approx(1)
    assert same["si_sdr"] > 100
    for name in ("pesq", "stoi", "si_sdr", "f0_correlation"):
        assert other[name] < same[name]
    assert other["mel_distance"] > 0.1


def test_si_sdr_is_the_ratio_and_knows_no_scale(speech: torch.Tensor, noisy: torch.Tensor) -> None:
    assert si_sdr(speech, noisy, RATE) == pytest.approx(10, abs=0.3)
    assert si_sdr(speech, 7 * noisy, RATE) == pytest.approx(si_sdr(speech, noisy, RATE))
    assert si_sdr(speech, torch.zeros_like(speech), RATE) is None


def test_pitch_is_followed_whatever_its_height(speech: torch.Tensor) -> None:
    """A glide and its octave rise together; a glide and its mirror do not."""
    time = torch.arange(RATE) / RATE

    def glide(start: float, end: float) -> torch.Tensor:
        phase = torch.cumsum(start * (end / start) ** time, 0) * 2 * torch.pi / RATE
        return sum(torch.sin(k * phase) / k for k in range(1, 6)) * 0.1

    up = glide(120, 240)
    assert f0_correlation(up, glide(240, 480), RATE) == pytest.approx(1, abs=0.02)
    assert f0_correlation(up, glide(240, 120), RATE) == pytest.approx(-1, abs=0.02)
    assert f0_correlation(up, torch.zeros_like(up), RATE) is None
    assert f0_correlation(up[:100], up[:100], RATE) is None


def test_what_is_too_short_has_no_stoi(speech: torch.Tensor) -> None:
    assert stoi(speech[:3_000], speech[:3_000], RATE) is None


@pytest.mark.usefixtures("made_up_pesq")
def test_pesq_without_speech_is_the_worst() -> None:
    assert pesq(torch.zeros(RATE), torch.ones(RATE), RATE) == PESQ_FAILED


@pytest.mark.skipif(find_spec("pesq") is None, reason="it has to be compiled: an extra of its own")
def test_the_real_pesq(speech: torch.Tensor, noisy: torch.Tensor) -> None:
    assert pesq(speech, speech, RATE) > 4.5 > 2.5 > pesq(speech, noisy, RATE) >= 1
    nothing = torch.zeros_like(speech)
    for pair in (
        (nothing, nothing),
        (nothing, speech),
        (speech, nothing),
        (speech[:9], speech[:9]),
    ):
        assert pesq(*pair, RATE) == PESQ_FAILED
    assert pesq(speech, nothing + 0.1, RATE) < 4.65


def test_mel_distance_grows_with_the_distance(speech: torch.Tensor) -> None:
    half, tenth = (mel_distance(speech, speech * gain, RATE) for gain in (0.5, 0.1))
    assert 0 < half < tenth


def test_missing_packages_are_named(speech: torch.Tensor, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("pesq", "pystoi"):
        monkeypatch.setitem(sys.modules, name, None)
    assert "pesq" not in available_measures()
    with pytest.raises(EnvironmentProblem, match=r"pip install 'uslm\[eval\]'"):
        stoi(speech, speech, RATE)
    with pytest.raises(EnvironmentProblem, match=r"pip install 'uslm\[pesq\]'"):
        pesq(speech, speech, RATE)


def test_codes_are_counted() -> None:
    tokenizer = tiny_bundle().tokenizer
    counts = CodeCounts(tokenizer)
    codes = torch.zeros(1, 4, 64, dtype=torch.long)
    codes[0, 1] = torch.arange(64) % 2
    codes[0, 2] = torch.arange(64) % 32
    counts.add(codes)
    section = counts.section()
    used = [section.rows[f"codebook {codebook}"]["codes_used"].value for codebook in range(4)]
    assert used == pytest.approx([1 / 32, 2 / 32, 1, 1 / 32])
    perplexity = [section.rows[f"codebook {codebook}"]["perplexity"].value for codebook in range(4)]
    assert perplexity == pytest.approx([1, 2, 32, 1])
    everything = section.rows["all"]
    assert everything["bit_rate"].value == 50 * 4 * 5, "50 frames, 4 codebooks, 5 bits"
    assert everything["entropy_rate"].value == pytest.approx(50 * (0 + 1 + 5 + 0))
    assert everything["token_rate"].value == 200


def test_a_codec_is_measured_on_recordings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pesq", None)
    tokenizer = tiny_bundle().tokenizer
    paths = [tmp_path / "a.wav", tmp_path / "b.flac"]
    for seed, path in enumerate(paths):
        sound = speech_like(1.5, 24_000, seed=seed)
        write_audio(path, sound.waveform, sound.sample_rate)
    sections, utterances = codec_sections(tokenizer, paths, tmp_path, torch.Generator())
    row = sections["codec"].rows["all"]
    assert row["stoi"].count == 2 and "pesq" not in row
    assert "uslm[pesq]" in sections["codec"].note
    assert [each["recording"] for each in utterances] == ["a.wav", "b.flac"]
    kept = read_audio(tmp_path / utterances[0]["audio"]).waveform
    original = read_audio(paths[0]).resampled(RATE).waveform
    torch.testing.assert_close(kept, resynthesize(tokenizer, original), atol=1e-3, rtol=0)
    with pytest.raises(MissingResource, match=r"gone\.wav"):
        codec_sections(tokenizer, [tmp_path / "gone.wav"], tmp_path, torch.Generator())
