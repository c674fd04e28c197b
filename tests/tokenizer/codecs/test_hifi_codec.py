"""HiFi-Codec beyond the contract: the last frame, training, bad input."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from uslm_tokenizer.codecs.hifi_codec.checkpoint import read_config
from uslm_tokenizer.codecs.hifi_codec.model import HiFiCodec, HiFiCodecConfig
from uslm_tokenizer.errors import AudioError, ConfigError

PRETRAINED = {
    "resblock": "1", "upsample_rates": [8, 5, 4, 2], "upsample_kernel_sizes": [16, 11, 8, 4],
    "upsample_initial_channel": 512, "resblock_kernel_sizes": [3, 7, 11],
    "resblock_dilation_sizes": [[1, 3, 5], [1, 3, 5], [1, 3, 5]], "n_code_groups": 2,
    "n_codes": 1024, "codebook_loss_lambda": 1.0, "commitment_loss_lambda": 0.25,
    "sampling_rate": 24000, "learning_rate": 0.0002,
}  # fmt: skip


def build(**options: object) -> HiFiCodec:
    torch.manual_seed(0)
    return HiFiCodec(replace(HiFiCodec.tiny_config(), **options)).eval()


def audio(n: int, b: int = 2) -> Tensor:
    return 0.1 * torch.randn(b, 1, n, generator=torch.Generator().manual_seed(0))


def test_an_unfinished_frame_is_filled_with_silence_or_left_out_as_published() -> None:
    ours, pretrained = build(), build(fill_last_frame=False)
    silent = torch.cat([audio(95), torch.zeros(2, 1, 5)], dim=-1)
    assert torch.equal(ours.encode(audio(95)), ours.encode(silent))
    assert pretrained.encode(audio(95)).shape == (2, 4, 9)
    assert torch.equal(pretrained.encode(audio(100)), ours.encode(audio(100)))
    with pytest.raises(AudioError, match=r"at least 10 samples, one frame, .* but has 9"):
        pretrained.encode(audio(9))


def test_a_training_pass_reaches_every_weight() -> None:
    model = build().train()
    passed = model(audio(100))
    assert passed.waveform.shape == (2, 1, 100)
    (passed.waveform.square().mean() + passed.quantized.loss).backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None and bool(parameter.grad.abs().sum() > 0), name


def test_the_pretrained_config_is_the_default() -> None:
    config = read_config(PRETRAINED)
    assert config == HiFiCodecConfig()
    assert config.level.dim == 512
    assert not read_config(PRETRAINED | {"resblock": "2"}).stacks[0].double


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"kernel_sizes": (4,)}, "as many as strides"),
        ({"kernel_sizes": (4, 10)}, "by an even number"),
        ({"num_filters": 12}, "multiple of 8, but is 12"),
    ],
)
def test_wrong_config(wrong: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        build(**wrong)
