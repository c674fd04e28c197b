"""K-means finds planted clusters, the same ones each time, and leaves no centroid without work."""

import pytest
import torch
from torch import Tensor

from uslm_tokenizer.quantize.kmeans import (
    KMeans,
    KMeansConfig,
    cluster_counts,
    cluster_sums,
    fit,
    nearest,
)


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def planted(k: int = 12, each: int = 40, d: int = 4) -> tuple[Tensor, Tensor]:
    centres = torch.randn(k, d, generator=seeded(5)) * 20
    noise = torch.randn(k * each, d, generator=seeded(6)) * 0.1
    return centres, centres.repeat_interleave(each, 0) + noise


@pytest.mark.parametrize("batch_size", [None, 64])
def test_planted_clusters_are_found(batch_size: int | None) -> None:
    centres, features = planted()
    found = fit(features, 12, batch_size=batch_size, generator=seeded())
    distance, order = torch.cdist(centres, found).min(1)
    assert order.unique().numel() == 12 and distance.max() < 0.2


def test_empty_centroids_are_put_to_work() -> None:
    """Two far groups of unequal size: bad luck at the start must not leave centroids idle."""
    _, features = planted()
    codes, _ = nearest(features, fit(features, 30, generator=seeded()))
    assert codes.unique().numel() == 30


def test_same_generator_same_centroids() -> None:
    _, features = planted()
    a, b, c = (fit(features, 20, batch_size=50, generator=seeded(s)) for s in (1, 1, 2))
    assert torch.equal(a, b) and not torch.equal(a, c)


def test_nearest_and_sums_equal_the_plain_way() -> None:
    features, centroids = torch.randn(50, 3), torch.randn(7, 3)
    codes, distance = nearest(features, centroids)
    plain = torch.cdist(features, centroids)
    assert torch.equal(codes, plain.argmin(1))
    torch.testing.assert_close(distance, plain.min(1).values.square(), atol=1e-4, rtol=1e-4)
    counts, sums = cluster_counts(codes, 7), cluster_sums(features, codes, 7)
    for code in range(7):
        assert counts[code] == (codes == code).sum()
        torch.testing.assert_close(sums[code], features[codes == code].sum(0))


def test_identical_features_do_no_harm() -> None:
    assert fit(torch.ones(10, 3), 4, generator=seeded()).isfinite().all()


def test_too_few_features() -> None:
    with pytest.raises(ValueError, match="at least 5 features"):
        fit(torch.randn(4, 3), 5)


def test_quantizer() -> None:
    _, features = planted()
    latents = features.T[None].requires_grad_()
    model = KMeans(KMeansConfig(dim=4, codebook_size=12))
    mask = torch.ones(1, features.shape[0], dtype=torch.bool)
    mask[:, ::7] = False
    with torch.no_grad():
        broken = latents.masked_fill(~mask[:, None], 1e6)
    model.initialize(broken, mask, generator=seeded())
    assert model.centroids.abs().max() < 1e3
    out = model(latents)
    assert out.codes.shape == (1, 1, features.shape[0]) and out.loss == 0
    assert torch.equal(model.encode(latents), out.codes)
    torch.testing.assert_close(model.decode(out.codes), out.latents)
    assert (out.latents - latents).abs().max() < 1
    out.latents.backward(torch.ones_like(latents))
    assert torch.equal(latents.grad, torch.ones_like(latents))
    other = KMeans(model.config)
    other.load_state_dict(model.state_dict())
    assert torch.equal(other.encode(latents), out.codes)
