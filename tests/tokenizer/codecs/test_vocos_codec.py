"""WavTokenizer and Language-Codec: parts that fit, codebooks in use, a training pass."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from uslm_tokenizer.codecs.language_codec.model import LanguageCodec, LanguageCodecConfig
from uslm_tokenizer.codecs.vocos.model import VocosCodec
from uslm_tokenizer.codecs.wav_tokenizer.model import WavTokenizer, WavTokenizerConfig
from uslm_tokenizer.errors import ConfigError, UserError


@pytest.mark.parametrize(
    ("config", "rate", "codebooks", "entries"),
    [(WavTokenizerConfig, 75, 1, 4096), (LanguageCodecConfig, 75, 8, 1024)],
)
def test_the_defaults_are_the_pretrained_sizes(
    config: type, rate: int, codebooks: int, entries: int
) -> None:
    built = config()
    assert built.sample_rate / built.encoder.hop_length == rate
    assert len(built.quantizer.levels) == codebooks
    assert built.quantizer.levels[0].codebook_size == entries


def test_language_codec_needs_its_first_three_codebooks() -> None:
    codec = LanguageCodec(LanguageCodec.tiny_config()).eval()
    waveform = 0.1 * torch.randn(1, 1, 400)
    every = codec.encode(waveform)
    codec.use_codebooks(3)
    assert torch.equal(codec.encode(waveform), every[:, :3])
    assert codec.decode(every[:, :3]).shape == (1, 1, 400)
    for count in (2, 6):
        with pytest.raises(UserError, match=f"must be from 3 to 5, but is {count}"):
            codec.use_codebooks(count)


def test_conditions_change_the_sound() -> None:
    codec = WavTokenizer(WavTokenizer.tiny_config()).eval()
    torch.nn.init.normal_(codec.decoder.backbone.input_norm.shift.weight)  # type: ignore[union-attr, arg-type]
    latents = torch.randn(2, 12, 5)
    assert torch.equal(codec.synthesize(latents), codec.synthesize(latents, 0))
    assert not torch.allclose(codec.synthesize(latents), codec.synthesize(latents, 1))


@pytest.mark.parametrize("codec_class", [WavTokenizer, LanguageCodec])
def test_every_part_learns(codec_class: type[VocosCodec]) -> None:
    codec = codec_class(codec_class.tiny_config())
    waveform = 0.1 * torch.randn(2, 1, 400)
    result = codec(waveform, torch.Generator().manual_seed(0))
    assert result.waveform.shape == waveform.shape
    ((result.waveform - waveform).abs().mean() + result.quantized.loss).backward()
    silent = [name for name, p in codec.named_parameters() if p.grad is None]
    assert silent == []


@pytest.mark.parametrize(
    ("part", "changes", "message"),
    [
        ("encoder", {"audio_channels": 2}, "audio_channels must be 1, but is 2"),
        ("encoder", {"dim": 9}, r"quantizer\.levels must fit the encoder, 9, but is 12"),
        ("encoder", {"strides": (2, 4)}, r"decoder\.hop_length must fit the encoder, 8, but is 40"),
        ("decoder", {"in_dim": 9}, r"decoder\.in_dim must fit the encoder, 12, but is 9"),
    ],
)
def test_parts_that_do_not_fit_are_refused(
    part: str, changes: dict[str, int], message: str
) -> None:
    config = WavTokenizer.tiny_config()
    changed = dataclasses.replace(getattr(config, part), **changes)
    with pytest.raises(ConfigError, match=message):
        dataclasses.replace(config, **{part: changed})
