"""Differentiable k-means: centroids move by any loss; outside training it is k-means."""

import pytest
import torch
from torch import Tensor

from uslm_tokenizer.errors import ConfigError, UserError
from uslm_tokenizer.quantize.base import Quantizer
from uslm_tokenizer.quantize.diff_kmeans import DifferentiableKMeans, DifferentiableKMeansConfig
from uslm_tokenizer.quantize.fsq import FiniteScalarQuantizer, FiniteScalarQuantizerConfig
from uslm_tokenizer.quantize.grvq import GroupedQuantizer, GroupedQuantizerConfig
from uslm_tokenizer.quantize.kmeans import KMeans, KMeansConfig
from uslm_tokenizer.quantize.rvq import ResidualQuantizer, ResidualQuantizerConfig
from uslm_tokenizer.quantize.vq import VectorQuantizer, VectorQuantizerConfig


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def started(size: int = 6) -> tuple[DifferentiableKMeans, Tensor]:
    latents = torch.randn(2, 4, 50, generator=seeded(1))
    model = DifferentiableKMeans(DifferentiableKMeansConfig(dim=4, codebook_size=size))
    model.initialize(latents, generator=seeded())
    return model, latents


def test_at_the_start_it_is_k_means() -> None:
    model, latents = started()
    plain = KMeans(KMeansConfig(dim=4, codebook_size=6))
    plain.initialize(latents, generator=seeded())
    assert torch.equal(model.encode(latents), plain.encode(latents))
    out = model.eval()(latents)
    assert torch.equal(out.codes, plain.encode(latents))
    torch.testing.assert_close(out.latents.detach(), plain.decode(out.codes))


def test_a_loss_after_it_moves_the_centroids_and_the_features() -> None:
    model, latents = started()
    latents.requires_grad_()
    out = model.train()(latents, generator=seeded())
    torch.testing.assert_close(out.latents, model.decode(out.codes))
    assert not torch.equal(out.codes, model.encode(latents))  # drawn, not the nearest
    out.latents.square().sum().backward()
    assert latents.grad is not None and model.centroids.grad is not None
    assert bool((model.centroids.grad.norm(dim=1) > 0).all())
    assert bool((latents.grad.norm(dim=1) > 0).all())


def test_the_gradient_is_that_of_the_mixture_by_hand() -> None:
    """One frame at 0.5 between centroids 0 and 2, without noise: p = softmax(-.25, -2.25)."""
    model = DifferentiableKMeans(
        DifferentiableKMeansConfig(dim=1, codebook_size=2, temperature=1.0)
    )
    with torch.no_grad():
        model.centroids.copy_(torch.tensor([[0.0], [2.0]]))
    frame = torch.tensor([[[0.5]]], requires_grad=True)
    # The Gumbel noise of both is equal: it cancels.
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch, "rand", lambda *size, **_: torch.full(size[0], 0.5))
        out = model.train()(frame)
    assert float(out.latents.detach()) == 0.0
    out.latents.sum().backward()
    first, second = torch.tensor([-0.25, -2.25]).softmax(0).tolist()
    slope = first * second  # of a two-way softmax
    # d value / d frame = 2 * d p2 / d frame; the scores' difference grows by 2 * (2 - 0).
    assert frame.grad is not None
    assert float(frame.grad) == pytest.approx(2 * slope * 4, rel=1e-5)
    # d value / d c1 = (hard) 1 + 2 * d p2 / d c1, where the first score changes by 2 (0.5 - 0);
    # d value / d c2 = (hard) 0 + 2 * d p2 / d c2, where the second changes by 2 (0.5 - 2).
    assert model.centroids.grad is not None
    by_hand = [1 - 2 * slope * 1.0, 2 * slope * -3.0]
    assert model.centroids.grad.flatten().tolist() == pytest.approx(by_hand, rel=1e-5)


def test_what_generator_draws_is_drawn_again() -> None:
    model, latents = started()
    model.train()
    a, b, c = (model(latents, generator=seeded(s)).codes for s in (1, 1, 2))
    assert torch.equal(a, b) and not torch.equal(a, c)


def test_sharp_distances_draw_the_nearest() -> None:
    model, latents = started()
    model.sharpness.fill_(1e6)
    out = model.train()(latents, generator=seeded())
    assert torch.equal(out.codes, model.encode(latents))


def test_padding_counts_in_no_loss() -> None:
    model, latents = started()
    model.config = DifferentiableKMeansConfig(dim=4, codebook_size=6, commitment_weight=1.0)
    mask = torch.ones(2, 50, dtype=torch.bool)
    mask[1, 20:] = False
    broken = latents.masked_fill(~mask[:, None], 1e3)
    out = model.eval()(broken, mask)
    real = latents.transpose(1, 2)[mask]
    chosen = model.decode(model.encode(latents)).detach().transpose(1, 2)[mask]
    assert float(out.loss) == pytest.approx(float((real - chosen).square().mean()), rel=1e-4)


def test_bad_temperatures_are_refused() -> None:
    with pytest.raises(ConfigError, match="temperature must be above 0, but is 0"):
        DifferentiableKMeansConfig(dim=4, temperature=0.0)
    with pytest.raises(ConfigError, match="temperature must be above 0"):
        started()[0].set_temperature(-1.0)


# ---- soft assignment, of every quantizer that has it


def every_quantizer() -> dict[str, Quantizer]:
    torch.manual_seed(0)
    vq = VectorQuantizerConfig(dim=4, codebook_size=6)
    return {
        "kmeans": KMeans(KMeansConfig(dim=4, codebook_size=6)),
        "diff_kmeans": DifferentiableKMeans(DifferentiableKMeansConfig(dim=4, codebook_size=6)),
        "vq": VectorQuantizer(vq),
        "cosine": VectorQuantizer(VectorQuantizerConfig(dim=4, codebook_size=6, cosine=True)),
        "rvq": ResidualQuantizer(ResidualQuantizerConfig(levels=(vq, vq))),
        "grvq": GroupedQuantizer(
            GroupedQuantizerConfig(
                group=VectorQuantizerConfig(dim=2, codebook_size=6), num_groups=2
            )
        ),
    }


@pytest.mark.parametrize("name", every_quantizer())
def test_a_cold_soft_assignment_is_the_code(name: str) -> None:
    quantizer, latents = every_quantizer()[name].eval(), torch.randn(2, 4, 9, generator=seeded(2))
    codes = quantizer.encode(latents)
    cold = quantizer.soft_assignment(latents, 1e-5)
    assert cold.shape == (*codes.shape, quantizer.codebook_size)
    assert torch.equal(cold.argmax(-1), codes)
    torch.testing.assert_close(cold.max(-1).values, torch.ones(codes.shape), atol=1e-3, rtol=0)
    warm, hot = quantizer.soft_assignment(latents, 1.0), quantizer.soft_assignment(latents, 1e4)
    torch.testing.assert_close(warm.sum(-1), torch.ones(codes.shape))
    assert torch.equal(warm.argmax(-1), codes) and bool((warm.max(-1).values < 1).any())
    torch.testing.assert_close(hot, torch.full_like(hot, 1 / 6), atol=1e-2, rtol=0)


def test_a_soft_assignment_by_hand() -> None:
    quantizer = KMeans(KMeansConfig(dim=1, codebook_size=2))
    quantizer.centroids.copy_(torch.tensor([[0.0], [3.0]]))
    found = quantizer.soft_assignment(torch.tensor([[[1.0]]]), 2.0)
    torch.testing.assert_close(found[0, 0, 0], torch.tensor([-0.5, -2.0]).softmax(0))


def test_what_has_no_soft_assignment_says_so() -> None:
    quantizer = FiniteScalarQuantizer(FiniteScalarQuantizerConfig())
    with pytest.raises(UserError, match="FiniteScalarQuantizer has no soft assignment"):
        quantizer.soft_assignment(torch.randn(1, 4, 3))
    with pytest.raises(UserError, match="temperature must be above 0"):
        KMeans(KMeansConfig(dim=4)).soft_assignment(torch.randn(1, 4, 3), 0.0)
