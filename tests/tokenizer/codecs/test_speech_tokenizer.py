"""SpeechTokenizer beyond the contract: parts of the codes, training, bad input."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from uslm_tokenizer.codecs.speech_tokenizer.checkpoint import read_config
from uslm_tokenizer.codecs.speech_tokenizer.model import SpeechTokenizer
from uslm_tokenizer.errors import ConfigError, UserError
from uslm_tokenizer.nn.conv import fold_weight_norm
from uslm_tokenizer.nn.seanet import SEANetConfig

PRETRAINED = {
    "n_filters": 64, "strides": [8, 5, 4, 2], "dimension": 1024, "semantic_dimension": 768,
    "bidirectional": True, "dilation_base": 2, "residual_kernel_size": 3, "n_residual_layers": 1,
    "lstm_layers": 2, "activation": "ELU", "codebook_size": 1024, "n_q": 8, "sample_rate": 16000,
    "batch_size": 6,
}  # fmt: skip


def build(**options: object) -> SpeechTokenizer:
    torch.manual_seed(0)
    return SpeechTokenizer(replace(SpeechTokenizer.tiny_config(), **options))


def audio(b: int = 2, n: int = 400) -> Tensor:
    return 0.1 * torch.randn(b, 1, n, generator=torch.Generator().manual_seed(0))


def test_fewer_codebooks_are_the_first_ones() -> None:
    model = build().eval()
    codes = model.encode(audio())
    model.use_codebooks(2)
    assert model.num_codebooks == 2
    assert torch.equal(model.encode(audio()), codes[:, :2])
    with pytest.raises(UserError, match=r"codes must be \[b, 2, t\], but are \[2, 3, 10\]"):
        model.decode(codes)
    model.use_codebooks(3)
    for count in (0, 4):
        with pytest.raises(UserError, match=f"from 1 to 3, but is {count}"):
            model.use_codebooks(count)
    assert torch.equal(model.encode(audio()), codes)


def test_levels_from_a_start() -> None:
    model = build().eval()
    lengths = torch.tensor([400, 123])
    codes = model.encode(audio(), start=1)
    assert codes.shape == (2, 2, 10)
    short = model.encode(audio(), lengths, start=1)
    assert torch.equal(short[0], codes[0])
    alone = model.encode(audio()[1:, :, :123], start=1)
    assert torch.equal(short[1:, :, : alone.shape[-1]], alone)
    assert model.decode(codes, start=1).shape == (2, 1, 400)
    with pytest.raises(UserError, match=r"codes must be \[b, 3, t\]"):
        model.decode(codes)
    with pytest.raises(UserError, match="start must be from 0 to 2, but is 3"):
        model.encode(audio(), start=3)


def test_a_training_pass_moves_the_codebooks_and_reaches_every_weight() -> None:
    model = build().train()
    model.initialize(audio(4, 2000), torch.Generator().manual_seed(0))
    before = model.quantizer.levels[0].embedding.clone()
    passed = model(audio(), torch.Generator().manual_seed(0))
    assert passed.waveform.shape == (2, 1, 400) and passed.semantic.shape == (2, 10, 8)
    assert not torch.equal(model.quantizer.levels[0].embedding, before)
    distance = (passed.waveform - audio()).square().mean()
    (distance + passed.quantized.loss + passed.semantic.square().mean()).backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None and bool(parameter.grad.abs().sum() > 0), name


def test_evaluation_moves_nothing_and_its_parts_agree() -> None:
    model = build().eval()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    with torch.no_grad():
        passed = model(audio())
        torch.testing.assert_close(passed.waveform, model.decode(model.encode(audio())))
        quantized = model.quantize(audio())
    assert torch.equal(quantized.codes, model.encode(audio()))
    torch.testing.assert_close(sum(quantized.levels), quantized.latents)
    for name, tensor in model.state_dict().items():
        assert torch.equal(tensor, before[name]), name


def test_k_means_starts_nearer_to_the_sound() -> None:
    model = build().eval()
    far = model.quantize(audio(4, 2000)).commitment
    model.initialize(audio(4, 2000), torch.Generator().manual_seed(0))
    assert model.quantize(audio(4, 2000)).commitment < 0.5 * far


def test_folded_weights_give_the_same_codes_and_sound() -> None:
    model = build().eval()
    codes = model.encode(audio())
    waveform = model.decode(codes)
    fold_weight_norm(model)
    assert torch.equal(model.encode(audio()), codes)
    assert torch.equal(model.decode(codes), waveform)


def test_no_projection_where_the_teacher_is_as_wide() -> None:
    model = build(semantic_dim=12).eval()
    assert not any(name.startswith("to_semantic") for name in model.state_dict())
    assert model(audio()).semantic.shape == (2, 10, 12)


def test_the_pretrained_config_is_the_default() -> None:
    config = read_config(PRETRAINED)
    assert config == type(config)()
    assert config.network.hop_length == 320
    assert read_config(PRETRAINED | {"activation": "Snake"}).network.activation == "snake"
    with pytest.raises(ConfigError, match="activation must be one of"):
        read_config(PRETRAINED | {"activation": "GELU"})


def test_wrong_config() -> None:
    tiny = SpeechTokenizer.tiny_config()
    with pytest.raises(ConfigError, match=r"level.dim must be network.dim, 12, but is 5"):
        replace(tiny, level=replace(tiny.level, dim=5))
    with pytest.raises(ConfigError, match="audio_channels must be 1, but is 2"):
        replace(tiny, network=SEANetConfig(dim=12, audio_channels=2))
    with pytest.raises(UserError, match="from 1 to 3, but is 9"):
        build(num_codebooks=9)
