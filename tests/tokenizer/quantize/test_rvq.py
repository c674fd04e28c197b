"""Residual and factorized quantizers: values, depth, dropout, and gradients at every level."""

import pytest
import torch
from torch import Tensor

from uslm_tokenizer.config import from_dict, to_dict
from uslm_tokenizer.quantize.factorized import FactorizedQuantizer, FactorizedQuantizerConfig
from uslm_tokenizer.quantize.rvq import ResidualQuantizer, ResidualQuantizerConfig
from uslm_tokenizer.quantize.vq import VectorQuantizerConfig

LEVELS = {
    "ema": VectorQuantizerConfig(dim=6, codebook_size=16),
    "gradient": VectorQuantizerConfig(dim=6, codebook_size=16, update="gradient"),
    "factorized": FactorizedQuantizerConfig(dim=6, codebook_size=16, code_dim=3),
    "weight-normed": FactorizedQuantizerConfig(
        dim=6, codebook_size=16, code_dim=3, weight_norm=True, count_use=False
    ),
}


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def speech(b: int = 3, t: int = 20, seed: int = 1) -> Tensor:
    return torch.randn(b, 6, t, generator=seeded(seed))


def build(kind: str, **options: object) -> ResidualQuantizer:
    torch.manual_seed(0)
    levels = (LEVELS[kind],) * 4
    return ResidualQuantizer(ResidualQuantizerConfig(levels=levels, **options))


every_kind = pytest.mark.parametrize("kind", LEVELS)


@every_kind
def test_decode_gives_what_forward_gave(kind: str) -> None:
    rvq = build(kind).eval()
    out = rvq(speech())
    assert out.latents.shape == (3, 6, 20) and out.codes.shape == (3, 4, 20)
    assert int(out.codes.min()) >= 0 and int(out.codes.max()) < rvq.codebook_size
    assert torch.equal(rvq.encode(speech()), out.codes)
    torch.testing.assert_close(rvq.decode(out.codes), out.latents)


@every_kind
@pytest.mark.parametrize("depth", [1, 2, 4])
def test_the_first_levels_alone(kind: str, depth: int) -> None:
    rvq = build(kind).eval()
    codes = rvq.encode(speech())
    assert torch.equal(rvq.encode(speech(), num_quantizers=depth), codes[:, :depth])
    shallow = rvq(speech(), num_quantizers=depth)
    assert torch.equal(shallow.codes, codes[:, :depth])
    torch.testing.assert_close(rvq.decode(codes[:, :depth]), shallow.latents)
    torch.testing.assert_close(rvq.decode(codes, num_quantizers=depth), shallow.latents)


@every_kind
def test_later_levels_alone(kind: str) -> None:
    """Nothing is subtracted for the levels left out, as `st` of SpeechTokenizer has it."""
    rvq = build(kind).eval()
    codes = rvq.encode(speech(), start=2)
    first = rvq.levels[2].encode(speech())
    second = rvq.levels[3].encode(speech() - rvq.levels[2].decode(first))
    assert torch.equal(codes, torch.cat([first, second], dim=1))
    total = rvq.levels[2].decode(first) + rvq.levels[3].decode(second)
    torch.testing.assert_close(rvq.decode(codes, start=2), total)
    assert torch.equal(rvq.encode(speech(), num_quantizers=3, start=2), first)
    torch.testing.assert_close(rvq.decode(codes, 3, start=2), rvq.levels[2].decode(first))
    with pytest.raises(ValueError, match="start must be from 0 to 3"):
        rvq.encode(speech(), start=4)
    with pytest.raises(ValueError, match="num_quantizers must be from 3 to 4"):
        rvq.encode(speech(), num_quantizers=2, start=2)


@every_kind
def test_forward_says_what_each_level_adds(kind: str) -> None:
    rvq = build(kind, dropout=0.0)
    latents = speech().requires_grad_()
    before = [level.decode(codes) for level, codes in zip(
        rvq.levels, rvq.encode(latents).split(1, dim=1), strict=True
    )]  # fmt: skip
    out = rvq(latents)
    assert len(out.levels) == 4
    for added, decoded in zip(out.levels, before, strict=True):
        torch.testing.assert_close(added, decoded)
        (gradient,) = torch.autograd.grad(added.sum(), latents, retain_graph=True)
        assert gradient.abs().sum() > 0


@every_kind
@pytest.mark.parametrize("index", range(4))
def test_commitment_of_every_level_reaches_the_encoder(kind: str, index: int) -> None:
    rvq = build(kind, dropout=0.0)
    losses: list[Tensor] = []
    for level in rvq.levels:
        level.register_forward_hook(lambda module, inputs, output: losses.append(output.loss))
    latents = speech().requires_grad_()
    rvq(latents, generator=seeded())
    losses[index].backward()
    assert latents.grad is not None and latents.grad.abs().sum() > 0


@pytest.mark.parametrize("kind", ["gradient", "factorized", "weight-normed"])
def test_every_parameter_of_every_level_learns(kind: str) -> None:
    rvq = build(kind, dropout=0.0)
    out = rvq(speech())
    (out.loss + out.latents.square().sum()).backward()
    for name, parameter in rvq.named_parameters():
        assert parameter.grad is not None and parameter.grad.abs().sum() > 0, name


def test_gradient_passes_straight_through_once() -> None:
    latents, upstream = speech().requires_grad_(), speech(seed=2)
    build("ema").eval()(latents).latents.backward(upstream)
    assert torch.equal(latents.grad, upstream)


def errors_by_depth(rvq: ResidualQuantizer, latents: Tensor) -> list[float]:
    with torch.no_grad():
        outputs = [rvq(latents, num_quantizers=n).latents for n in (1, 2, 3, 4)]
    return [float((output - latents).square().mean()) for output in outputs]


@pytest.mark.parametrize("kind", ["ema", "gradient"])
def test_every_level_leaves_less(kind: str) -> None:
    rvq, latents = build(kind).eval(), speech(8, 50)
    rvq.initialize(latents, generator=seeded())
    errors = errors_by_depth(rvq, latents)
    assert errors == sorted(errors, reverse=True) and errors[-1] < 0.3 * errors[0]


def test_factorized_levels_learn_to_leave_less() -> None:
    rvq, latents = build("factorized", dropout=0.0), speech(8, 50)
    optimizer = torch.optim.Adam(rvq.parameters(), 0.02)
    for _ in range(60):
        out = rvq(latents)
        ((out.latents - latents).square().mean() + out.loss).backward()
        optimizer.step()
        optimizer.zero_grad()
    errors = errors_by_depth(rvq.eval(), latents)
    assert errors == sorted(errors, reverse=True) and errors[-1] < 0.3 * errors[0]


@every_kind
def test_dropout_is_drawn_for_each_row(kind: str) -> None:
    rvq = build(kind, dropout=1.0, min_levels=2)
    frozen = build(kind).eval()
    latents = speech(16)
    out = rvq(latents, generator=seeded())
    depths = []
    for row in range(16):
        whole = [frozen.decode(out.codes[row : row + 1], num_quantizers=n)[0] for n in (1, 2, 3, 4)]
        fits = [n for n, w in enumerate(whole, 1) if torch.allclose(w, out.latents[row], atol=1e-5)]
        assert len(fits) == 1
        depths += fits
    assert set(depths) == {2, 3, 4}
    again = build(kind, dropout=1.0, min_levels=2)(latents, generator=seeded())
    assert torch.equal(again.latents, out.latents)


@every_kind
def test_no_dropout_in_evaluation_or_at_a_set_depth(kind: str) -> None:
    rvq = build(kind, dropout=1.0)
    frozen = build(kind).eval()
    set_depth = rvq(speech(), generator=seeded(), num_quantizers=4)
    torch.testing.assert_close(set_depth.latents, frozen.decode(set_depth.codes))
    torch.testing.assert_close(frozen(speech()).latents, frozen.decode(frozen.encode(speech())))


def test_dropped_levels_learn_nothing_from_the_row() -> None:
    """The rows that reach a level give it the same loss and statistics as they would alone."""
    rvq, alone = build("ema", dropout=1.0), build("ema", dropout=0.0)
    depth = torch.tensor([1, 4, 4])
    rvq._draw_depth = lambda *_: depth  # type: ignore[method-assign]
    rvq(speech(), generator=seeded())
    alone(speech(), (depth == 4)[:, None].expand(-1, 20), generator=seeded())
    torch.testing.assert_close(rvq.levels[3].cluster_size, alone.levels[3].cluster_size)
    torch.testing.assert_close(rvq.levels[3].embedding, alone.levels[3].embedding)


@every_kind
def test_loss_does_not_grow_with_the_number_of_levels(kind: str) -> None:
    rvq = build(kind, dropout=0.0).eval()
    losses: list[Tensor] = []
    for level in rvq.levels:
        level.register_forward_hook(lambda module, inputs, output: losses.append(output.loss))
    torch.testing.assert_close(rvq(speech()).loss, torch.stack(losses).mean())


@every_kind
def test_padding_has_no_influence(kind: str) -> None:
    mask = torch.arange(20) < torch.tensor([20, 11, 5])[:, None]
    results = []
    for padding in (0.0, 7.0):
        rvq = build(kind, dropout=0.5)
        out = rvq(torch.where(mask[:, None], speech(), padding), mask, generator=seeded())
        results.append([out.loss.detach(), *rvq.state_dict().values()])
    for a, b in zip(*results, strict=True):
        assert torch.equal(a, b)


@every_kind
def test_a_row_alone_equals_the_row_in_a_batch(kind: str) -> None:
    rvq = build(kind).eval()
    assert torch.equal(rvq.encode(speech())[1:2], rvq.encode(speech()[1:2]))


@every_kind
def test_loaded_equals_saved(kind: str) -> None:
    rvq = build(kind).eval()
    config = from_dict(ResidualQuantizerConfig, to_dict(rvq.config))
    assert config == rvq.config
    other = ResidualQuantizer(config).eval()
    other.load_state_dict(rvq.state_dict())
    assert torch.equal(rvq(speech()).latents, other(speech()).latents)


def test_autocast_does_not_touch_the_arithmetic() -> None:
    rvq = build("factorized").eval()
    with torch.autocast("cpu", torch.bfloat16):
        inside = rvq(speech())
    assert torch.equal(inside.latents, rvq(speech()).latents)


def test_factorized_lookup_is_by_angle() -> None:
    vq = FactorizedQuantizer(LEVELS["factorized"]).eval()
    vq.in_proj.bias.data.zero_()
    assert torch.equal(vq.encode(speech()), vq.encode(speech() * 5))


@pytest.mark.parametrize(
    "wrong", [{"levels": ()}, {"dropout": 2.0}, {"min_levels": 5}, {"min_levels": 0}]
)
def test_wrong_config(wrong: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        ResidualQuantizerConfig(**{"levels": (LEVELS["ema"],) * 4} | wrong)


@pytest.mark.parametrize("number", [0, 5])
def test_wrong_depth(number: int) -> None:
    with pytest.raises(ValueError, match="num_quantizers must be"):
        build("ema").encode(speech(), num_quantizers=number)
