"""Masked models at work: rows do not influence each other, seeds repeat, the schedule holds."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest
import torch
from torch import Tensor

from uslm.generate.guidance import guide
from uslm.generate.masked import RowStep, Unmasking, fill_masked, generators_uniform, unmask
from uslm.models.masked import MaskedModel, MaskedRow
from uslm.systems.maskgct.model import MaskGCTSemanticToAcoustic, MaskGCTTextToSemantic
from uslm_tokenizer.errors import UserError

SETTINGS = Unmasking(steps=(4,), filter_threshold=0.8)


def seeded(*seeds: int) -> list[torch.Generator]:
    return [torch.Generator().manual_seed(seed) for seed in seeds]


def ids(*shape: int, seed: int) -> Tensor:
    return torch.randint(32, shape, generator=torch.Generator().manual_seed(seed))


def build(kind: type[Any]) -> Any:
    torch.manual_seed(0)
    model = kind(kind.tiny_config()).eval()
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    return model


def t2s_rows() -> list[MaskedRow]:
    sizes = [(5, 4, 9), (9, 0, 12), (3, 7, 1)]
    return [
        MaskedRow(condition=ids(c, seed=c), prompt=ids(1, p, seed=p), target=ids(1, t, seed=t))
        for c, p, t in sizes
    ]


def s2a_rows() -> list[MaskedRow]:
    return [
        MaskedRow(condition=ids(p + t, seed=p), prompt=ids(3, p, seed=p), target=ids(3, t, seed=t))
        for p, t in [(4, 9), (0, 12), (7, 2)]
    ]


CASES: list[tuple[type[MaskedModel], list[MaskedRow], tuple[int, ...]]] = [
    (MaskGCTTextToSemantic, t2s_rows(), (4,)),
    (MaskGCTSemanticToAcoustic, s2a_rows(), (3, 1)),
]
each_model = pytest.mark.parametrize(("kind", "rows", "steps"), CASES, ids=["t2s", "s2a"])


@each_model
@pytest.mark.parametrize("guidance", [0.0, 2.5])
def test_a_row_of_a_batch_becomes_what_it_becomes_alone(
    kind: type[MaskedModel], rows: list[MaskedRow], steps: tuple[int, ...], guidance: float
) -> None:
    model, how = build(kind), replace(SETTINGS, steps=steps, guidance=guidance)
    together = fill_masked(model, rows, how, generators=seeded(1, 2, 3))
    for i, row in enumerate(rows):
        alone = fill_masked(model, [row], how, generators=seeded(i + 1))[0]
        assert torch.equal(together[i], alone)


@each_model
def test_seeds_decide(
    kind: type[MaskedModel], rows: list[MaskedRow], steps: tuple[int, ...]
) -> None:
    model, how = build(kind), replace(SETTINGS, steps=steps)
    one, again, other = (
        fill_masked(model, rows[:1], how, generators=seeded(seed))[0] for seed in (1, 1, 2)
    )
    assert torch.equal(one, again) and not torch.equal(one, other)
    assert torch.equal(one[: model.first_codebook], rows[0].target[: model.first_codebook])


def steps_of_a_row(how: Unmasking, row: MaskedRow | None = None) -> list[RowStep]:
    model = build(MaskGCTTextToSemantic)
    batch = model.batch([row or t2s_rows()[1]])
    return [row for (row,) in unmask(model, batch, how, generators_uniform(seeded(1)))]


def test_fewer_and_fewer_are_masked_and_what_is_kept_stays() -> None:
    done = steps_of_a_row(SETTINGS)
    # Of 12 frames: floor(12 sin(t pi / 2)) at t = 3/4, 1/2, 1/4.
    assert [int(step.is_masked.sum()) for step in done] == [12, 11, 8, 4]
    for before, after in pairwise(done):
        kept = ~after.is_masked
        assert not bool((after.is_masked & ~before.is_masked).any())
        assert torch.equal(before.codes[kept], after.codes[kept])


def test_only_the_likeliest_codes_are_drawn() -> None:
    for step in steps_of_a_row(SETTINGS):
        allowed = step.drawn.logits.isfinite()
        assert bool((allowed.sum(1) == 7).all())  # ceil of a fifth of 32
        assert bool(allowed.gather(1, step.drawn.codes[:, None]).all())
        probability = step.drawn.logits.softmax(1).gather(1, step.drawn.codes[:, None])[:, 0]
        torch.testing.assert_close(step.drawn.confidence, probability)


@pytest.mark.parametrize(("top_k", "kept"), [(3, 3), (0, 32), (99, 32)])
def test_top_k_stands_in_for_the_share(top_k: int, kept: int) -> None:
    for step in steps_of_a_row(replace(SETTINGS, top_k=top_k)):
        assert bool((step.drawn.logits.isfinite().sum(1) == kept).all())


def test_the_last_of_several_steps_takes_the_likeliest() -> None:
    last = steps_of_a_row(SETTINGS)[-1]
    assert torch.equal(last.drawn.codes, last.drawn.logits.argmax(1))


def test_a_short_row_is_done_early() -> None:
    # One frame: at t = 3/4 nothing is masked any more.
    assert len(steps_of_a_row(SETTINGS, t2s_rows()[2])) == 1


def test_guidance_of_rows_is_their_own_unless_asked_for() -> None:
    given = [torch.randn(3, 4, generator=g) for g in seeded(1, 2)]
    free = [torch.randn(3, 4, generator=g) for g in seeded(3, 4)]
    how = {"guidance": 2.0, "rescale": 1.0}
    both = guide(given, free, **how)
    for row, alone in zip(both, zip(given, free, strict=True), strict=True):
        assert torch.equal(row, guide([alone[0]], [alone[1]], **how)[0])
    for row, source in zip(both, given, strict=True):
        torch.testing.assert_close(row.std(), source.std())
    mixed = torch.cat(guide(given, free, **how, whole_batch=True))
    torch.testing.assert_close(mixed.std(), torch.cat(given).std())
    assert not torch.allclose(mixed, torch.cat(both))
    unscaled = guide(given, free, guidance=2.0, rescale=0.0)[0]
    torch.testing.assert_close(unscaled, 3 * given[0] - 2 * free[0])


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"steps": ()}, "steps must be 1 or more"),
        ({"steps": (0,)}, "steps must be 1 or more"),
        ({"temperature": -1.0}, "temperature must be 0 or more"),
        ({"filter_threshold": 1.0}, "filter_threshold must be"),
        ({"rescale": 2.0}, "rescale must be"),
        ({"top_k": -1}, "top_k must be 0"),
    ],
)
def test_wrong_settings(wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        Unmasking(**wrong)


def test_steps_must_be_there_for_each_codebook() -> None:
    model = build(MaskGCTSemanticToAcoustic)
    with pytest.raises(UserError, match="steps must be 2 numbers"):
        fill_masked(model, s2a_rows(), SETTINGS, generators=seeded(1, 2, 3))
