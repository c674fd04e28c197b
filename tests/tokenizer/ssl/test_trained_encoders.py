"""Speech encoders that are trained: one that no other library has, as BEATs', and one of
transformers under differentiable k-means; each in a tokenizer that is trained and saved."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import pytest
import torch
from torch import Tensor, nn

from uslm_tokenizer.codecs.judged_units.model import JudgedUnits
from uslm_tokenizer.codecs.ssl_units.base import SSLUnitTokenizer
from uslm_tokenizer.nn.padding import length_mask
from uslm_tokenizer.quantize.diff_kmeans import DifferentiableKMeans, DifferentiableKMeansConfig
from uslm_tokenizer.ssl.base import SpeechEncoder
from uslm_tokenizer.ssl.encoder import SSLConfig, SSLEncoder
from uslm_tokenizer.ssl.tiny_backbones import TINY_HUBERT

DIM, SIZE = 8, 16


class Patches(SpeechEncoder):
    """Patches of 50 ms at 8 kHz, each mapped alone: another rate and hop than all others have."""

    sample_rate, hop_length, window_length = 8_000, 400, 400
    dim, pads = DIM, True

    def __init__(self) -> None:
        super().__init__()
        self.patch = nn.Linear(self.hop_length, DIM)
        self.requires_grad_(False)

    def forward(self, waveform: Tensor, lengths: Tensor | None = None) -> tuple[Tensor, Tensor]:
        patches = waveform[:, 0].unfold(-1, self.hop_length, self.hop_length)
        if lengths is None:
            lengths = torch.full((len(waveform),), waveform.shape[-1])
        return self.patch(patches), length_mask(lengths // self.hop_length, patches.shape[1])

    def unfreeze(self) -> None:
        self.requires_grad_(True)


@dataclass(frozen=True, kw_only=True)
class PatchUnitsConfig:
    """Sizes of PatchUnits."""

    codebook_size: int = SIZE


class PatchUnits(SSLUnitTokenizer):
    """Units of patches, by centroids that a loss moves."""

    model_type: ClassVar[str] = "patch_units"
    config_class: ClassVar[type] = PatchUnitsConfig
    num_codebooks = 1

    def __init__(self, config: PatchUnitsConfig) -> None:
        super().__init__(config)
        self.encoder = Patches()
        self.quantizer = DifferentiableKMeans(
            DifferentiableKMeansConfig(dim=DIM, codebook_size=config.codebook_size)
        )

    codebook_size = property(lambda self: self.config.codebook_size)

    def encode(self, waveform: Tensor, lengths: Tensor | None = None) -> Tensor:
        features, _ = self._features(waveform, lengths)
        return self.quantizer.encode(features.transpose(1, 2))

    def forward(self, waveform: Tensor, lengths: Tensor) -> tuple[Tensor, Any]:
        features, mask = self._features(waveform, lengths)
        draws = torch.Generator().manual_seed(0)
        return features, self.quantizer(features.transpose(1, 2), mask, generator=draws)

    @classmethod
    def tiny_config(cls) -> PatchUnitsConfig:
        return PatchUnitsConfig()


def audio(b: int, n: int) -> Tensor:
    return torch.randn(b, 1, n, generator=torch.Generator().manual_seed(0))


@pytest.fixture(params=["patches", "hubert"])
def units(request: pytest.FixtureRequest) -> SSLUnitTokenizer:
    torch.manual_seed(0)
    if request.param == "patches":
        return PatchUnits(PatchUnits.tiny_config()).eval()
    encoder = SSLEncoder(SSLConfig(backbone=TINY_HUBERT, layers=(1, 2), layer_weights="learnt"))
    quantizer = DifferentiableKMeansConfig(dim=encoder.dim, codebook_size=SIZE)
    return JudgedUnits.from_encoder(encoder, quantizer)


def train(units: Any, steps: int = 5) -> None:
    """A classifier of the units, which all of them learn from."""
    units.train()
    judge = nn.Linear(units.quantizer.config.dim, 4)
    trained = [each for each in units.parameters() if each.requires_grad]
    optimizer = torch.optim.SGD([*trained, *judge.parameters()], lr=0.1)
    waveform, lengths = audio(2, 6400), torch.tensor([6400, 3200])
    for _ in range(steps):
        made = units(waveform, lengths)
        quantized = made.quantized if hasattr(made, "quantized") else made[1]
        scores = judge(quantized.latents.transpose(1, 2)).flatten(0, 1)
        loss = nn.functional.cross_entropy(scores, torch.arange(len(scores)) % 4)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    units.eval()


def weights(units: SSLUnitTokenizer) -> dict[str, Tensor]:
    return {name: each.clone() for name, each in units.encoder.named_parameters()}


def test_rate_hop_and_padding_are_the_encoders_own(units: SSLUnitTokenizer) -> None:
    assert units.sample_rate == units.encoder.sample_rate
    hop = units.hop_length
    waveform = audio(2, 4 * hop + 7)
    codes = units.encode(waveform)
    assert codes.shape == (2, 1, 5)
    alone = units.encode(waveform[1:, :, : 2 * hop])
    padded = units.encode(waveform, torch.tensor([4 * hop + 7, 2 * hop]))
    assert torch.equal(padded[1:, :, :2], alone)


def test_a_loss_reaches_the_encoder_when_it_may_and_no_sooner(units: SSLUnitTokenizer) -> None:
    before = weights(units)
    train(units)
    assert all(map(torch.equal, before.values(), weights(units).values()))
    units.encoder.unfreeze()
    train(units)
    changed = [not torch.equal(before[name], each) for name, each in weights(units).items()]
    assert sum(changed) > len(changed) / 2


def test_what_was_trained_is_saved(units: SSLUnitTokenizer, tmp_path: Path) -> None:
    waveform = audio(1, 6400)
    units.encoder.unfreeze()
    train(units)
    loaded = type(units).from_pretrained(units.save_pretrained(tmp_path))
    after = weights(units)
    assert all(torch.equal(after[name], each) for name, each in weights(loaded).items())
    assert torch.equal(loaded.encode(waveform), units.encode(waveform))
    assert not any(each.requires_grad for each in loaded.encoder.parameters())
