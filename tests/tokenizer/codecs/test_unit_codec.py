"""The unit codec: fewer codebooks are a lower bit rate."""

from __future__ import annotations

import pytest
import torch

from uslm_tokenizer.codecs.unit_codec.model import UnitCodec
from uslm_tokenizer.errors import UserError


def test_fewer_codebooks_are_the_first_ones() -> None:
    codec = UnitCodec(UnitCodec.tiny_config()).eval()
    waveform = 0.1 * torch.randn(1, 1, 8 * codec.hop_length)
    most, every = codec.num_codebooks, codec.encode(waveform)
    sounds = []
    for count in range(1, most + 1):
        codec.use_codebooks(count)
        assert codec.num_codebooks == count
        assert torch.equal(codec.encode(waveform), every[:, :count])
        sounds.append(codec.decode(every[:, :count]))
        assert sounds[-1].shape == waveform.shape
    assert not torch.equal(sounds[0], sounds[-1])
    for count in (0, most + 1):
        with pytest.raises(UserError, match=f"from 1 to {most}, but is {count}"):
            codec.use_codebooks(count)
