"""One codebook: values, gradients, moving averages, revival of dead codes, late start."""

import pytest
import torch
from torch import Tensor, distributed

from uslm_tokenizer.config import from_dict, to_dict
from uslm_tokenizer.quantize.vq import VectorQuantizer, VectorQuantizerConfig


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def speech(b: int = 3, d: int = 6, t: int = 20, seed: int = 1) -> Tensor:
    return torch.randn(b, d, t, generator=seeded(seed))


def build(**options: object) -> VectorQuantizer:
    torch.manual_seed(0)
    return VectorQuantizer(VectorQuantizerConfig(**{"dim": 6, "codebook_size": 16} | options))


@pytest.mark.parametrize("update", ["ema", "gradient"])
@pytest.mark.parametrize("cosine", [False, True])
def test_decode_gives_what_forward_gave(update: str, cosine: bool) -> None:
    vq = build(update=update, cosine=cosine).eval()
    out = vq(speech())
    assert out.latents.shape == (3, 6, 20) and out.codes.shape == (3, 1, 20)
    assert int(out.codes.min()) >= 0 and int(out.codes.max()) < vq.codebook_size
    assert torch.equal(vq.encode(speech()), out.codes)
    torch.testing.assert_close(vq.decode(out.codes), out.latents)


def test_every_code_decodes_to_itself() -> None:
    vq = build().eval()
    codes = torch.arange(16)[None, None]
    assert torch.equal(vq.encode(vq.decode(codes)), codes)


def test_gradient_passes_straight_through() -> None:
    latents, upstream = speech().requires_grad_(), speech(seed=2)
    build(commitment_weight=0.0).eval()(latents).latents.backward(upstream)
    assert torch.equal(latents.grad, upstream)


def test_the_two_losses_pull_each_its_own_side() -> None:
    vq = build(update="gradient", codebook_weight=0.0)
    latents = speech().requires_grad_()
    vq(latents).loss.backward()
    assert latents.grad.abs().sum() > 0 and vq.embedding.grad.abs().sum() == 0
    vq = build(update="gradient", commitment_weight=0.0)
    latents = speech().requires_grad_()
    vq(latents).loss.backward()
    assert vq.embedding.grad.abs().sum() > 0 and latents.grad.abs().sum() == 0


def test_moving_averages_equal_those_by_hand() -> None:
    vq = build(decay=0.9, dead_share=0.0)
    size, total = vq.cluster_size.clone(), vq.running_sum.clone()
    for step in range(3):
        latents = speech(seed=step)
        codes = vq(latents).codes[:, 0].flatten()
        frames = latents.transpose(1, 2).reshape(-1, 6)
        for code in range(16):
            chosen = frames[codes == code]
            size[code] = 0.9 * size[code] + 0.1 * len(chosen)
            total[code] = 0.9 * total[code] + 0.1 * chosen.sum(0)
        torch.testing.assert_close(vq.cluster_size, size)
        torch.testing.assert_close(vq.embedding, total / size[:, None])


def test_smoothed_moving_averages_equal_those_by_hand() -> None:
    """EnCodec's: every size grows by the same, and all shrink so that their sum stays."""
    vq = build(decay=0.9, dead_share=0.0, smoothing=0.5)
    vq(speech())
    total = vq.cluster_size.sum()
    sizes = (vq.cluster_size + 0.5) * total / (total + 16 * 0.5)
    torch.testing.assert_close(vq.embedding, vq.running_sum / sizes[:, None])
    torch.testing.assert_close(sizes.sum(), total)


def test_a_code_can_die_by_its_count_alone() -> None:
    vq = build(dead_share=0.0, dead_count=2.0)
    vq.cluster_size.fill_(10.0), vq.running_sum.copy_(10 * vq.embedding)
    vq.embedding[3], vq.running_sum[3], vq.cluster_size[3] = 1e3, 1.9e3, 1.9
    vq(speech(), generator=seeded())
    frames = speech().transpose(1, 2).reshape(-1, 6)
    revived = [code for code in range(16) if (frames == vq.embedding[code]).all(1).any()]
    assert revived == [3]
    assert vq.cluster_size[3] > 2


@pytest.mark.parametrize("update", ["ema", "gradient"])
def test_revival_resets_every_statistic_and_lasts(update: str) -> None:
    vq = build(update=update)
    with torch.no_grad():
        vq.embedding[3] = 1e3  # nobody will choose it
        vq.cluster_size[3] = 1e-3
        if update == "ema":
            vq.running_sum[3] = 1.0
    latents = speech()
    vq(latents, generator=seeded())
    frames = latents.transpose(1, 2).reshape(-1, 6)
    revived = vq.embedding[3].detach().clone()
    assert (frames == revived).all(1).any()
    assert vq.cluster_size[3] > 0.1
    if update == "ema":
        torch.testing.assert_close(vq.running_sum[3], revived * vq.cluster_size[3])
    assert (vq(latents, generator=seeded()).codes == 3).any()
    assert vq.embedding[3].norm() < 100


def test_revival_is_the_generators() -> None:
    books = []
    for seed in (0, 0, 1):
        vq = build(dead_share=0.5, decay=0.5)
        vq(speech(), generator=seeded(seed))
        books.append(vq.embedding.clone())
    assert torch.equal(books[0], books[1]) and not torch.equal(books[0], books[2])


def test_more_of_the_codebook_comes_into_use() -> None:
    data = speech(8, 6, 100)
    vq = build(codebook_size=64, decay=0.9)
    vq.embedding.mul_(0.01).add_(3.0), vq.running_sum.copy_(vq.embedding)
    before = len(vq.eval().encode(data).unique())
    vq.train()
    generator = seeded()
    first = vq(data, generator=generator).loss
    for _ in range(60):
        last = vq(data, generator=generator).loss
    assert before < 20 and len(vq.eval().encode(data).unique()) > 55
    assert last < first / 3


@pytest.mark.parametrize("update", ["ema", "gradient"])
def test_padding_has_no_influence(update: str) -> None:
    mask = torch.arange(20) < torch.tensor([20, 11, 5])[:, None]
    results = []
    for padding in (0.0, 7.0, float("nan")):
        vq = build(update=update, dead_share=0.5)
        latents = torch.where(mask[:, None], speech(), padding)
        out = vq(latents, mask, generator=seeded())
        out.loss.backward() if update == "gradient" else None
        results.append((out.loss.detach(), vq.embedding.detach().clone(), vq.cluster_size.clone()))
    for other in results[1:]:
        for a, b in zip(results[0], other, strict=True):
            assert torch.equal(a, b)


def test_masked_loss_is_the_loss_of_the_frames_alone() -> None:
    mask = torch.zeros(1, 20, dtype=torch.bool)
    mask[:, :9] = True
    masked, alone = build(), build()
    a, b = masked(speech(1), mask), alone(speech(1)[..., :9])
    torch.testing.assert_close(a.loss, b.loss)
    torch.testing.assert_close(masked.embedding, alone.embedding)


def test_a_batch_of_padding_changes_nothing() -> None:
    vq = build(decay=0.9)
    out = vq(speech(), torch.zeros(3, 20, dtype=torch.bool), generator=seeded())
    assert out.loss == 0 and vq.embedding.isfinite().all()


def test_a_row_alone_gets_the_codes_it_gets_in_a_batch() -> None:
    vq = build().eval()
    assert torch.equal(vq.encode(speech())[1:2], vq.encode(speech()[1:2]))


def test_processes_share_their_statistics(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two processes with the same batch must do what one does with the batch twice."""
    monkeypatch.setattr(distributed, "is_initialized", lambda: True)
    monkeypatch.setattr(distributed, "all_reduce", lambda tensor: tensor.mul_(2))
    monkeypatch.setattr(distributed, "broadcast", lambda tensor, src: tensor.fill_(5))
    two = build(decay=0.9, dead_share=0.0)
    two(speech())
    revived = build(decay=0.0, dead_share=0.5)
    revived(speech())
    monkeypatch.undo()
    one = build(decay=0.9, dead_share=0.0)
    one(torch.cat([speech(), speech()]))
    torch.testing.assert_close(two.embedding, one.embedding)
    torch.testing.assert_close(two.cluster_size, one.cluster_size)
    assert (revived.embedding == 5).all(1).any()  # new codes are the first process's, everywhere


@pytest.mark.parametrize("cosine", [False, True])
def test_late_start(cosine: bool) -> None:
    vq = build(delayed_init=True, cosine=cosine)
    latents = speech()
    out = vq(latents)
    assert torch.equal(out.latents, latents) and out.loss == 0
    vq.initialize(latents, generator=seeded())
    started = vq(latents)
    assert not torch.equal(started.latents, latents)
    # k-means starts closer than noise does
    random = build(cosine=cosine).eval()(latents).commitment
    assert started.commitment < random
    fresh = build(delayed_init=True, cosine=cosine)
    fresh.load_state_dict(vq.state_dict())
    assert bool(fresh.initialized)


def test_autocast_does_not_touch_the_arithmetic() -> None:
    vq = build().eval()
    with torch.autocast("cpu", torch.bfloat16):
        inside = vq(speech())
    outside = vq(speech())
    assert torch.equal(inside.codes, outside.codes) and torch.equal(inside.loss, outside.loss)
    assert vq(speech().bfloat16()).latents.dtype == torch.bfloat16


@pytest.mark.parametrize("update", ["ema", "gradient"])
def test_loaded_equals_saved(update: str) -> None:
    vq = build(update=update)
    vq(speech(), generator=seeded())
    other = VectorQuantizer(from_dict(VectorQuantizerConfig, to_dict(vq.config)))
    other.load_state_dict(vq.state_dict())
    a, b = (q(speech(), generator=seeded()) for q in (vq, other))
    assert torch.equal(a.latents, b.latents)
    assert torch.equal(vq.cluster_size, other.cluster_size)


@pytest.mark.parametrize(
    "wrong",
    [
        {"decay": 1.0},
        {"dead_share": -0.1},
        {"codebook_size": 0},
        {"dead_count": -1.0},
        {"smoothing": -1.0},
    ],
)
def test_wrong_config(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        build(**wrong)


def test_a_codebook_without_counts_is_its_codes_alone() -> None:
    counting, bare = (
        build(update="gradient", dead_share=0.0, count_use=count_use) for count_use in (True, False)
    )
    assert set(bare.state_dict()) == {"embedding"} < set(counting.state_dict())
    for vq in (counting, bare):
        vq.initialize(speech(), generator=seeded())
    assert torch.equal(counting(speech()).latents, bare(speech()).latents)


@pytest.mark.parametrize("needs", [{"update": "ema"}, {"dead_share": 0.1}, {"delayed_init": True}])
def test_what_needs_counts_is_refused_without(needs: dict[str, object]) -> None:
    options = {"update": "gradient", "dead_share": 0.0, "count_use": False} | needs
    with pytest.raises(ValueError, match="count_use may only be False"):
        build(**options)
