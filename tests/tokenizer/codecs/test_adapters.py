"""The codecs of transformers give, behind our interface, what transformers itself gives."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from uslm_tokenizer.codecs.transformers.base import TransformersCodec, TransformersCodecConfig
from uslm_tokenizer.codecs.transformers.model import Dac, Encodec, Mimi, XCodec
from uslm_tokenizer.errors import CheckpointError, ConfigError, UserError
from uslm_tokenizer.registry import load_tokenizer

CODECS: list[type[TransformersCodec]] = [Encodec, Dac, Mimi, XCodec]


@pytest.fixture(params=CODECS)
def codec(request: pytest.FixtureRequest) -> TransformersCodec:
    built: TransformersCodec = request.param(request.param.tiny_config()).eval()
    return built


@pytest.fixture
def folder(codec: TransformersCodec, tmp_path: Path) -> Path:
    """The network as transformers saves it."""
    codec.backbone.save_pretrained(tmp_path / "theirs")
    return tmp_path / "theirs"


def audio(n: int) -> Tensor:
    return 0.1 * torch.randn(2, 1, n, generator=torch.Generator().manual_seed(3))


def test_codes_and_sound_are_those_of_transformers(codec: TransformersCodec, folder: Path) -> None:
    theirs: Any = type(codec.backbone).from_pretrained(folder)
    ours = load_tokenizer(folder)
    waveform = audio(4 * codec.hop_length)
    most = {"bandwidth": 0.9} if isinstance(codec, Encodec) else {}
    with torch.no_grad():
        expected = theirs(waveform, **most)
    codes = ours.encode(waveform)
    assert torch.equal(codes, expected.audio_codes.view_as(codes))
    assert len(set(codes.flatten().tolist())) > 4
    decoded, wanted = ours.decode(codes), expected.audio_values.view(2, 1, -1)
    torch.testing.assert_close(decoded[..., : wanted.shape[-1]], wanted)


def test_a_converted_folder_equals_the_one_of_transformers(
    codec: TransformersCodec, folder: Path, tmp_path: Path
) -> None:
    theirs = load_tokenizer(folder)
    ours = load_tokenizer(theirs.save_pretrained(tmp_path / "ours"))
    assert type(ours) is type(codec) and ours.config == theirs.config
    assert torch.equal(ours.encode(audio(3000)), theirs.encode(audio(3000)))


def test_it_may_move_between_two_uses(codec: TransformersCodec) -> None:
    codes = codec.encode(audio(1000))
    before = codec.decode(codes)
    after = codec.double().decode(codes)
    assert after.dtype == torch.float64
    torch.testing.assert_close(after.float(), before, atol=1e-4, rtol=1e-3)


def test_fewer_codebooks_are_the_first_of_all(codec: TransformersCodec, tmp_path: Path) -> None:
    every = codec.encode(audio(2000))
    codec.use_codebooks(2)
    assert codec.num_codebooks == 2
    assert torch.equal(codec.encode(audio(2000)), every[:, :2])
    assert codec.decode(every[:, :2]).shape == (2, 1, every.shape[-1] * codec.hop_length)
    with pytest.raises(UserError, match=r"codes must be \[b, 2, t\]"):
        codec.decode(every)
    loaded = load_tokenizer(codec.save_pretrained(tmp_path / "ours"))
    assert loaded.num_codebooks == 2


def test_the_bandwidth_chooses_the_codebooks(codec: TransformersCodec) -> None:
    one = codec.bandwidth / codec.num_codebooks
    for bandwidth, count in ((one, 1), (2.5 * one, 2), (99 * one, codec.max_codebooks)):
        codec.use_bandwidth(bandwidth)
        assert codec.num_codebooks == count
    with pytest.raises(UserError, match="bandwidth must be at least"):
        codec.use_bandwidth(0.9 * one)


@pytest.mark.parametrize("count", [0, 99])
def test_codebooks_that_are_not_there_are_refused(codec: TransformersCodec, count: int) -> None:
    most = codec.max_codebooks
    with pytest.raises(UserError, match=f"must be from 1 to {most}, but is {count}"):
        codec.use_codebooks(count)
    config = TransformersCodecConfig(backbone=codec.config.backbone, num_codebooks=99)
    with pytest.raises(UserError, match=f"must be from 1 to {most}, but is 99"):
        type(codec)(config)


def test_pretrained_rates() -> None:
    encodec = Encodec(TransformersCodecConfig(backbone={"num_filters": 4, "hidden_size": 8}))
    assert (encodec.sample_rate, encodec.frame_rate, encodec.num_codebooks) == (24_000, 75, 32)
    encodec.use_bandwidth(6.0)
    assert encodec.num_codebooks == 8 and encodec.bandwidth == 6.0


def test_another_network_is_refused(tmp_path: Path) -> None:
    Dac(Dac.tiny_config()).backbone.save_pretrained(tmp_path)
    with pytest.raises(ConfigError, match="holds a 'dac' of transformers, not 'mimi'"):
        Mimi.from_pretrained(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps({**config, "model_type": "hubert"}))
    with pytest.raises(UserError, match="no tokenizer named 'hubert'"):
        load_tokenizer(tmp_path)


def test_broken_weights_are_refused(tmp_path: Path) -> None:
    Dac(Dac.tiny_config()).backbone.save_pretrained(tmp_path)
    path = tmp_path / "model.safetensors"
    tensors = load_file(path)
    removed = tensors.pop("encoder.conv1.weight")
    save_file(tensors, path, {"format": "pt"})
    with pytest.raises(CheckpointError, match=r"missing keys.*encoder\.conv1\.weight"):
        Dac.from_pretrained(tmp_path)
    tensors["encoder.conv1.weight"] = removed[:2].clone()
    save_file(tensors, path, {"format": "pt"})
    with pytest.raises(CheckpointError, match="dac"):
        Dac.from_pretrained(tmp_path)
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(CheckpointError, match="not a readable dac"):
        Dac.from_pretrained(tmp_path)
    path.unlink()
    with pytest.raises(CheckpointError, match="not a readable dac"):
        Dac.from_pretrained(tmp_path)


def test_a_config_that_describes_no_network_is_refused() -> None:
    with pytest.raises(ConfigError, match="does not describe a mimi"):
        Mimi(TransformersCodecConfig(backbone={"num_quantizers": "many"}))


@pytest.fixture
def stereo() -> Encodec:
    """Made like the 48 kHz network: stereo, in seconds, each of its own loudness."""
    shape: dict[str, object] = {
        **Encodec.tiny_config().backbone,
        "audio_channels": 2,
        "sampling_rate": 3200,
        "normalize": True,
        "chunk_length_s": 1.0,
        "overlap": 0.1,
        "norm_type": "time_group_norm",
        "use_causal_conv": False,
        "target_bandwidths": [0.04, 0.12],
    }
    return Encodec(TransformersCodecConfig(backbone=shape)).eval()


def test_segments_are_those_of_transformers(stereo: Encodec) -> None:
    waveform = torch.randn(1, 2, 7000)
    segments = stereo.encode_segments(waveform)
    assert segments.codes.shape == (3, 1, 3, 10)
    with torch.no_grad():
        expected = stereo.backbone(waveform, bandwidth=0.12)
    assert torch.equal(segments.codes, expected.audio_codes)
    # What transformers pads the last segment with is left out, as in the original.
    decoded = stereo.decode_segments(segments)
    assert segments.missing_frames == 6
    assert 7000 <= decoded.shape[-1] < 7000 + stereo.hop_length
    torch.testing.assert_close(decoded[..., :5700], expected.audio_values[..., :5700])


def test_codes_without_their_loudness_are_refused(stereo: Encodec) -> None:
    with pytest.raises(UserError, match="encode_segments"):
        stereo.encode(torch.randn(1, 1, 3200))
    with pytest.raises(UserError, match="decode_segments"):
        stereo.decode(torch.zeros(1, 3, 10, dtype=torch.long))
    with pytest.raises(UserError, match="must have 2 channels, but has 1"):
        stereo.encode_segments(torch.randn(1, 1, 3200))
