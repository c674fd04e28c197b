"""A codec put together from parts: DAC's encoder before, Vocos or a SEANet after."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from uslm_tokenizer.codecs.waveform_codec.model import (
    WaveformCodec,
    WaveformCodecConfig,
    residual_levels,
)
from uslm_tokenizer.config import from_dict, to_dict
from uslm_tokenizer.errors import ConfigError
from uslm_tokenizer.nn.dac import DacEncoder, DacEncoderConfig
from uslm_tokenizer.nn.seanet import SEANetConfig
from uslm_tokenizer.nn.vocos import VocosConfig

DAC = DacEncoderConfig(num_channels=2, dim=12, strides=(4, 8, 10))
VOCOS = VocosConfig(in_dim=12, dim=8, hidden_dim=16, num_layers=1, n_fft=640, hop_length=320)
SEANET = SEANetConfig(dim=12, num_filters=2, strides=(4, 8, 10), num_lstm_layers=0)


@pytest.mark.parametrize("decoder", [VOCOS, SEANET])
def test_a_dac_encoder_trains_and_fills_the_last_frame(
    decoder: VocosConfig | SEANetConfig,
) -> None:
    config = WaveformCodecConfig(encoder=DAC, quantizer=residual_levels(12, 16, 2), decoder=decoder)
    assert from_dict(WaveformCodecConfig, to_dict(config)) == config
    codec = WaveformCodec(config).train()
    assert isinstance(codec.encoder, DacEncoder)
    made = codec(0.1 * torch.randn(1, 1, 3200))
    made.waveform.square().mean().backward()  # type: ignore[no-untyped-call]
    assert any(p.grad is not None and p.grad.any() for p in codec.encoder.parameters())
    codes = codec.eval().encode(0.1 * torch.randn(2, 1, 3300))
    assert codes.shape == (2, 2, 11) and codec.decode(codes).shape == (2, 1, 3520)


def test_a_dac_encoder_has_no_counterpart() -> None:
    with pytest.raises(ConfigError, match="decoder must be given to a DAC encoder"):
        WaveformCodecConfig(encoder=DAC, quantizer=residual_levels(12, 16, 2))
    with pytest.raises(ConfigError, match=r"decoder\.dim must be 12, but is 6"):
        WaveformCodecConfig(
            encoder=DAC, quantizer=residual_levels(12, 16, 2), decoder=replace(SEANET, dim=6)
        )
