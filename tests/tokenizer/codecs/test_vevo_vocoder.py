"""Vevo's vocoder: mel frames as published, waveforms of whole frames, saving."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch

from uslm_tokenizer.codecs.vevo_vocoder.checkpoint import VEVO_VOCODER
from uslm_tokenizer.codecs.vevo_vocoder.model import VevoVocoder, VevoVocoderConfig
from uslm_tokenizer.errors import CheckpointError, ConfigError
from uslm_tokenizer.nn.vocos import VocosConfig
from uslm_tokenizer.pretrained.key_mapping import load_pretrained


@pytest.fixture(scope="module")
def vocoder() -> VevoVocoder:
    torch.manual_seed(0)
    return VevoVocoder(VevoVocoder.tiny_config()).eval()


def noise(size: int, seed: int = 1) -> torch.Tensor:
    return 0.1 * torch.randn(1, 1, size, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("size", [1, 479, 480, 481, 5000, 4800])
def test_a_frame_for_each_hop_begun(vocoder: VevoVocoder, size: int) -> None:
    frames = vocoder.mel(noise(size))
    assert frames.shape == (1, math.ceil(size / 480), 8)
    assert bool(frames.isfinite().all())


def test_frames_are_those_of_transformers_spectrogram(vocoder: VevoVocoder) -> None:
    from transformers.audio_utils import mel_filter_bank, spectrogram, window_function

    waveform = noise(4800)
    filters = mel_filter_bank(961, 8, 0.0, 12_000.0, 24_000, norm="slaney", mel_scale="slaney")
    padded = torch.nn.functional.pad(waveform[0], (720, 720), "reflect")[0]
    log_mel = spectrogram(
        padded.double().numpy(), window_function(1920, "hann"), 1920, 480, power=1.0,
        center=False, mel_filters=filters, log_mel="log", mel_floor=1e-5,
    )  # fmt: skip
    wanted = (torch.tensor(log_mel.T, dtype=torch.float32) + 4.92) / math.sqrt(8.14)
    torch.testing.assert_close(vocoder.mel(waveform)[0], wanted, atol=1e-4, rtol=1e-4)


def test_samples_depend_on_the_frames_around_them_only(vocoder: VevoVocoder) -> None:
    frames = vocoder.mel(noise(480 * 40))
    whole = vocoder.decode(frames)
    assert whole.shape == (1, 1, 480 * 40)
    near = vocoder.context_frames
    part = vocoder.decode(frames[:, 10 - near : 20 + near])[..., near * 480 : -near * 480]
    torch.testing.assert_close(part, whole[..., 4800:9600], atol=1e-5, rtol=1e-4)


def test_a_loaded_vocoder_equals_the_saved_one(vocoder: VevoVocoder, tmp_path: Path) -> None:
    loaded = VevoVocoder.from_pretrained(vocoder.save_pretrained(tmp_path))
    frames = vocoder.mel(noise(4800))
    assert torch.equal(loaded.decode(frames), vocoder.decode(frames))


def test_a_vocoder_that_pads_another_way_is_refused() -> None:
    pretrained = {
        "input_channels": 8, "dim": 16, "intermediate_dim": 32, "num_layers": 1, "n_fft": 64,
        "hop_size": 16, "padding": "center",
    }  # fmt: skip
    with pytest.raises(ConfigError, match="padding must be 'same'"):
        VEVO_VOCODER.read_config(pretrained)
    config = VEVO_VOCODER.read_config(pretrained | {"padding": "same"})
    vocos = VocosConfig(in_dim=8, dim=16, hidden_dim=32, num_layers=1, n_fft=64, hop_length=16)
    assert config == VevoVocoderConfig(vocos=vocos)
    with pytest.raises(CheckpointError, match="lacks"):
        load_pretrained(VEVO_VOCODER, {"head.out.bias": torch.zeros(66)}, config)
