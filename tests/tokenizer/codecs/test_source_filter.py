"""The default codec: F0 is found and coded, the source sings it, windows equal the whole."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import parselmouth
import pytest
import torch
from torch import Tensor

from uslm_tokenizer.audio.read import read_audio
from uslm_tokenizer.codecs.source_filter.decoder import SourceFilterDecoder
from uslm_tokenizer.codecs.source_filter.model import SourceFilterCodec
from uslm_tokenizer.codecs.source_filter.pitch import PitchConfig, estimate_f0
from uslm_tokenizer.errors import ConfigError, UserError

ROOT = Path(__file__).parents[3]
RATE, HOP = 16_000, 320
VOICES = sorted((ROOT / "examples").glob("*.wav"))


def pulses(f0: float, seconds: float) -> Tensor:
    """A voice at its simplest: harmonics of F0 that fall off."""
    time = torch.arange(int(seconds * RATE), dtype=torch.float64) / RATE
    tones = [(2 * torch.pi * k * f0 * time).cos() / k for k in range(1, int(4000 / f0))]
    return (0.1 * torch.stack(tones).sum(0)).float()


@pytest.mark.parametrize("f0", [70.0, 118.3, 233.0, 480.0])
def test_the_f0_of_a_tone_is_found(f0: float) -> None:
    found = estimate_f0(pulses(f0, 0.5), RATE, HOP, PitchConfig())
    assert len(found) == 25
    assert found[3:-3].numpy() == pytest.approx(f0, rel=2e-3)


def test_silence_and_noise_have_none() -> None:
    noise = 0.1 * torch.randn(RATE, generator=torch.Generator().manual_seed(0))
    assert not bool(estimate_f0(torch.zeros(RATE), RATE, HOP, PitchConfig()).any())
    assert float((estimate_f0(noise, RATE, HOP, PitchConfig()) > 0).float().mean()) < 0.1


@pytest.mark.parametrize("n", [1, 320, 321, 1000])
def test_short_sounds_have_a_frame_for_each_hop(n: int) -> None:
    assert len(estimate_f0(pulses(100, 1.0)[:n], RATE, HOP, PitchConfig())) == -(-n // HOP)


@pytest.mark.parametrize("path", VOICES, ids=lambda path: path.stem)
def test_f0_is_praats(path: Path) -> None:
    waveform = read_audio(path).resampled(RATE).waveform[0]
    found = estimate_f0(waveform, RATE, HOP, PitchConfig()).numpy()
    # Silence around, so that Praat has a frame at the middle of every hop.
    padded = np.pad(waveform.double().numpy(), 1600)
    pitch = parselmouth.Sound(padded, RATE).to_pitch_ac(
        time_step=HOP / RATE, pitch_floor=65, pitch_ceiling=500
    )
    middles = (np.arange(len(found)) + 0.5) * HOP / RATE + 1600 / RATE
    nearest = np.abs(pitch.xs()[None] - middles[:, None]).argmin(axis=1)
    theirs = pitch.selected_array["frequency"][nearest]
    both = (found > 0) & (theirs > 0)
    assert ((found > 0) == (theirs > 0)).mean() > 0.93
    half_tones = np.abs(12 * np.log2(found[both] / theirs[both]))
    assert np.median(half_tones) < 0.15 and (half_tones > 6).mean() < 0.05


def test_codes_of_f0_are_half_of_half_tones() -> None:
    config = PitchConfig()
    codes = torch.arange(config.num_steps + 1)
    f0 = config.decode(codes)
    assert torch.equal(config.encode(f0), codes)
    assert f0[1:3].tolist() == pytest.approx([60.0, 60.0 * 2 ** (1 / 24)])
    assert config.encode(torch.tensor([20.0, 9000.0])).tolist() == [1, config.num_steps]


@pytest.fixture
def decoder() -> SourceFilterDecoder:
    torch.manual_seed(0)
    config = SourceFilterCodec.tiny_config()
    made = SourceFilterDecoder(config.decoder, config.latent_dim, RATE, HOP).eval()
    torch.nn.init.normal_(made.to_filters.weight, std=0.3)
    return made


def test_the_source_sings_f0_and_is_silent_where_unvoiced(decoder: SourceFilterDecoder) -> None:
    f0 = torch.full((1, 50), 200.0)
    f0[:, 25:] = 0
    source = decoder.harmonics(f0)[0]
    spectrum = torch.fft.rfft(source[: 20 * HOP] * torch.hann_window(20 * HOP)).abs()
    bins = 20 * HOP * 200 // RATE  # between harmonics there is nothing
    assert float(spectrum[bins::bins][:-1].min()) > 100 * float(spectrum[bins // 2 :: bins].max())
    assert not bool(source[26 * HOP :].any())


def test_a_window_equals_its_part_of_the_whole(decoder: SourceFilterDecoder) -> None:
    t, context = 100, decoder.context_frames
    generator = torch.Generator().manual_seed(0)
    latents = torch.randn(1, t, SourceFilterCodec.tiny_config().latent_dim, generator=generator)
    f0 = 80 + 200 * torch.rand(1, t, generator=generator)
    f0[:, :7] = f0[:, 40:55] = 0
    whole = decoder(latents, f0)
    for start, stop in [(0, 10), (10, 60), (60, 61), (61, t)]:
        known = min(t, stop + context)
        part = decoder.window_of(latents[:, :known], f0[:, :known], start, stop)
        torch.testing.assert_close(
            part, whole[:, :, start * HOP : stop * HOP], atol=1e-5, rtol=1e-4
        )


def test_a_pitch_that_no_code_stands_for_is_refused() -> None:
    codec = SourceFilterCodec(SourceFilterCodec.tiny_config())
    codes = torch.zeros(1, codec.num_codebooks, 4, dtype=torch.long)
    codes[0, 1, 2] = 31
    codec.check_codes(codes)
    wide = replace(codec.config, pitch=replace(codec.config.pitch, num_steps=20))
    with pytest.raises(UserError, match="pitches from 0 to 20 in row 1"):
        SourceFilterCodec(wide).check_codes(codes)
    with pytest.raises(ConfigError, match="num_steps must be below the 32 entries"):
        replace(codec.config, pitch=PitchConfig(num_steps=32))


def test_fewer_mel_codebooks_are_a_coarser_copy() -> None:
    torch.manual_seed(0)
    codec = SourceFilterCodec(SourceFilterCodec.tiny_config())
    latents = torch.randn(1, 200, codec.config.latent_dim)
    codec.quantizer.initialize(latents.transpose(1, 2), generator=torch.Generator().manual_seed(0))
    errors = []
    for count in (3, 4, 5):
        codec.use_codebooks(count)
        codes = codec.quantize(latents)
        assert codes.shape[1] == count - 2
        errors.append(float((codec.dequantize(codes) - latents).detach().square().mean()))
    assert errors[0] > errors[1] > errors[2]
    with pytest.raises(UserError, match="from 3 to 5"):
        codec.use_codebooks(2)
