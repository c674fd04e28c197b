"""MaskGCT's codec: frames, fewer codebooks, training, parts that must fit."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from uslm_tokenizer.codecs.maskgct.model import MaskGCTCodec, MaskGCTDecoder, MaskGCTEncoder
from uslm_tokenizer.errors import ConfigError, UserError


def build() -> MaskGCTCodec:
    torch.manual_seed(0)
    return MaskGCTCodec(MaskGCTCodec.tiny_config()).eval()


def audio(n: int = 300) -> Tensor:
    return 0.1 * torch.randn(2, 1, n, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("strides", [(2, 3, 5), (3, 4, 5, 8), (7,)])
def test_a_waveform_of_whole_hops_gives_a_frame_for_each(strides: tuple[int, ...]) -> None:
    config = replace(MaskGCTCodec.tiny_config().encoder, strides=strides)
    encoder = MaskGCTEncoder(config)
    for frames in (1, 2, 3):
        assert encoder(torch.zeros(1, 1, frames * encoder.hop_length)).shape[-1] == frames


def test_parts_are_the_whole(tmp_path: Path) -> None:
    codec = build()
    encoder = MaskGCTEncoder.from_pretrained(codec.encoder.save_pretrained(tmp_path / "encoder"))
    decoder = MaskGCTDecoder.from_pretrained(codec.decoder.save_pretrained(tmp_path / "decoder"))
    again = MaskGCTCodec.from_parts(encoder, decoder)
    assert again.config == codec.config
    codes = codec.encode(audio())
    assert torch.equal(again.encode(audio()), codes)
    assert torch.equal(again.decode(codes), codec.decode(codes))


def test_fewer_codebooks_are_the_first_of_all(tmp_path: Path) -> None:
    codec = build()
    every = codec.encode(audio())
    codec.use_codebooks(2)
    assert torch.equal(codec.encode(audio()), every[:, :2])
    assert codec.decode(every[:, :2]).shape == audio().shape
    assert MaskGCTCodec.from_pretrained(codec.save_pretrained(tmp_path)).num_codebooks == 2
    with pytest.raises(UserError, match="from 1 to 3, but is 4"):
        codec.use_codebooks(4)


def test_all_of_it_learns() -> None:
    codec = build().train()
    waveform = torch.sin(torch.arange(300) / 3.0).expand(2, 1, -1)
    optimizer = torch.optim.AdamW(codec.parameters(), lr=3e-3)
    losses = []
    for step in range(100):
        out = codec(waveform, torch.Generator().manual_seed(step))
        error = (out.waveform - waveform).abs().mean()
        optimizer.zero_grad()
        (error + out.quantized.loss).backward()
        if step == 0:
            idle = [n for n, p in codec.named_parameters() if p.grad is None]
            assert not idle
        optimizer.step()
        losses.append(float(error.detach()))
    assert losses[-1] < losses[0] / 2


def test_parts_that_do_not_fit_are_refused() -> None:
    config = MaskGCTCodec.tiny_config()
    encoder = replace(config.encoder, strides=(2, 3, 4))
    with pytest.raises(ConfigError, match="hop_length must be 24"):
        MaskGCTCodec(replace(config, encoder=encoder))
    with pytest.raises(ConfigError, match="must be of one width, but are 9, 8 and 8"):
        MaskGCTCodec(replace(config, encoder=replace(config.encoder, out_dim=9)))
