"""Vevo's content tokenizer over features: rows, strides, saving, learning."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from uslm_tokenizer.codecs.vevo_content.model import (
    ConvStackConfig,
    VevoContentConfig,
    VevoContentTokenizer,
)
from uslm_tokenizer.errors import ConfigError


def build(config: VevoContentConfig | None = None) -> VevoContentTokenizer:
    torch.manual_seed(0)
    return VevoContentTokenizer(config or VevoContentTokenizer.tiny_config()).eval()


def noise(*shape: int, seed: int = 1) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def test_a_row_of_a_padded_batch_equals_the_row_alone() -> None:
    model, features = build(), noise(3, 20, 16)
    lengths = torch.tensor([20, 7, 13])
    codes = model.encode(features, lengths)
    assert codes.shape == (3, 1, 20)
    for row, length in enumerate(lengths.tolist()):
        alone = model.encode(features[row : row + 1, :length])
        assert torch.equal(codes[row, :, :length], alone[0])


def test_a_loaded_tokenizer_equals_the_saved_one(tmp_path: Path) -> None:
    model, features = build(), noise(2, 9, 16)
    loaded = VevoContentTokenizer.from_pretrained(model.save_pretrained(tmp_path))
    assert loaded.config == model.config
    assert torch.equal(loaded.encode(features), model.encode(features))


def test_decoding_the_codes_gives_what_the_forward_pass_gives() -> None:
    model, features = build(), noise(2, 9, 16)
    made = model(features)
    torch.testing.assert_close(model.decode(made.quantized.codes), made.features)
    assert torch.equal(made.quantized.codes, model.encode(features))


def test_strides_shorten_and_lengthen_again() -> None:
    tiny = VevoContentTokenizer.tiny_config()
    encoder = ConvStackConfig(dim=16, strides=(2, 3), ratios=(0.5, 2.0))
    decoder = ConvStackConfig(dim=16, strides=(3, 2), ratios=(2.0, 0.5))
    model = build(replace(tiny, encoder=encoder, decoder=decoder))
    codes = model.encode(noise(1, 24, 16))
    assert codes.shape == (1, 1, 4)
    assert model.decode(codes).shape == (1, 24, 16)


def test_the_perplexity_counts_the_codes_in_use() -> None:
    model = build()
    perplexity = model(noise(1, 500, 16)).perplexity
    used = len(model.encode(noise(1, 500, 16)).unique())
    assert perplexity.shape == (1,)
    assert 1 < float(perplexity) <= used + 1e-3


def test_some_features_are_learnt_by_heart() -> None:
    # As many different frames as there are codes, each some frames long.
    features = noise(8, 16).repeat_interleave(4, dim=0)[None]
    model = build().train()
    model.quantizer.initialize(model.latents(features))
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)

    def loss() -> torch.Tensor:
        return (model(features).features - features).abs().mean()

    first = float(loss().detach())
    for _ in range(140):
        optimizer.zero_grad()
        loss().backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    assert float(loss().detach()) < first / 2


@pytest.mark.parametrize("wrong", [{"ratios": (1.0,)}, {"kernel_size": 4}, {"strides": (1,)}])
def test_impossible_stacks_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ConfigError, match="must be"):
        ConvStackConfig(**wrong)  # type: ignore[arg-type]


@torch.no_grad()
def test_the_loss_by_hand() -> None:
    """The squared error of the features, weighed beside the commitment."""
    config = replace(VevoContentTokenizer.tiny_config(), feature_weight=3.0)
    codec = VevoContentTokenizer(config).eval()
    features = torch.randn(2, 5, 16)
    made = codec(features)
    error = sum(
        (a - b) ** 2
        for a, b in zip(made.features.flatten().tolist(), features.flatten().tolist(), strict=True)
    )
    wanted = 3.0 * error / features.numel() + float(made.quantized.loss)
    assert float(made.loss) == pytest.approx(wanted, rel=1e-4)
