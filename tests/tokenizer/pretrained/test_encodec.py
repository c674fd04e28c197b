"""A checkpoint of the original EnCodec gives the original's codes and sound."""

from __future__ import annotations

import warnings
from typing import Any

import pytest
import torch

from uslm_tokenizer.codecs.encodec.bridge import import_encodec
from uslm_tokenizer.codecs.encodec.checkpoint import ENCODEC_24KHZ, ENCODEC_48KHZ
from uslm_tokenizer.codecs.transformers.base import TransformersCodecConfig
from uslm_tokenizer.codecs.transformers.model import Encodec
from uslm_tokenizer.errors import CheckpointError, ConfigError
from uslm_tokenizer.pretrained.key_mapping import load_pretrained

TINY: dict[str, object] = {
    "hidden_size": 8,
    "num_filters": 4,
    "codebook_size": 16,
    "target_bandwidths": [0.3, 0.9],
}


def original(*, stereo: bool) -> Any:
    """A tiny random EnCodec of the package encodec, made like one of the published two."""
    encodec = import_encodec()
    norm = "time_group_norm" if stereo else "weight_norm"
    sizes = {
        "channels": 2 if stereo else 1,
        "dimension": 8,
        "n_filters": 4,
        "causal": not stereo,
        "norm": norm,
    }
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # it uses the old weight_norm
        model = encodec.EncodecModel(
            encodec.modules.SEANetEncoder(**sizes),
            encodec.modules.SEANetDecoder(**sizes),
            encodec.quantization.ResidualVectorQuantizer(dimension=8, n_q=3, bins=16),
            target_bandwidths=[0.3, 0.9],
            sample_rate=24_000,
            channels=sizes["channels"],
            normalize=stereo,
            segment=0.1 if stereo else None,
            overlap=0.1,
        ).eval()
    for level in model.quantizer.vq.layers:
        torch.nn.init.normal_(level._codebook.embed, std=0.1)
    model.set_target_bandwidth(0.9)
    return model


def test_the_24_khz_layout_gives_the_originals_codes() -> None:
    theirs = original(stereo=False)
    config = TransformersCodecConfig(backbone=TINY)
    ours = load_pretrained(ENCODEC_24KHZ, theirs.state_dict(), config)
    assert isinstance(ours, Encodec)
    waveform = 0.1 * torch.randn(2, 1, 3000)
    with torch.no_grad():
        ((codes, scale),) = theirs.encode(waveform)
        decoded = theirs.decode([(codes, scale)])
    assert len(set(codes.flatten().tolist())) > 4
    assert torch.equal(ours.encode(waveform), codes)
    torch.testing.assert_close(ours.decode(codes), decoded)


def test_the_48_khz_layout_gives_the_originals_segments() -> None:
    theirs = original(stereo=True)
    shape = {**ENCODEC_48KHZ.read_config({}).backbone, **TINY}
    shape |= {"sampling_rate": 24_000, "chunk_length_s": 0.1, "overlap": 0.1}
    ours = load_pretrained(
        ENCODEC_48KHZ, theirs.state_dict(), TransformersCodecConfig(backbone=shape)
    )
    assert isinstance(ours, Encodec)
    waveform = 0.1 * torch.randn(1, 2, 6000)
    with torch.no_grad():
        segments = theirs.encode(waveform)
        decoded = theirs.decode(segments)
    found = ours.encode_segments(waveform)
    for index, (codes, scale) in enumerate(segments):
        end = codes.shape[-1]
        assert torch.equal(found.codes[index, ..., :end], codes)
        torch.testing.assert_close(found.scales[index], scale)
    end = found.codes.shape[-1] - segments[-1][0].shape[-1]
    assert found.missing_frames == end > 0
    torch.testing.assert_close(ours.decode_segments(found), decoded)


def test_another_size_is_named() -> None:
    theirs = original(stereo=False).state_dict()
    with pytest.raises(CheckpointError, match="encodec_24khz"):
        load_pretrained(ENCODEC_24KHZ, theirs, ENCODEC_24KHZ.read_config({}))
    with pytest.raises(ConfigError, match="has no keys"):
        ENCODEC_24KHZ.read_config({"n_filters": 4})
