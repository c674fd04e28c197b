"""Inverse k-means: units in order, the voice of the prompt, neither of them padding."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from uslm.systems.vec_tok.model import InverseKMeans, InverseKMeansConfig
from uslm_tokenizer.errors import ConfigError, UserError


def build() -> InverseKMeans:
    torch.manual_seed(0)
    model = InverseKMeans(InverseKMeans.tiny_config()).eval()
    model.centroids.normal_(generator=torch.Generator().manual_seed(1))
    return model


def batch() -> dict[str, Tensor]:
    draw = torch.Generator().manual_seed(2)
    mask, prompt_mask = torch.ones(2, 7, dtype=torch.bool), torch.ones(2, 5, dtype=torch.bool)
    mask[1, 4:] = False
    prompt_mask[1, :2] = False
    return {
        "units": torch.randint(16, (2, 7), generator=draw),
        "mask": mask,
        "prompt": torch.randn(2, 5, 16, generator=draw),
        "prompt_mask": prompt_mask,
    }


def test_units_and_prompt_both_count_and_padding_does_not() -> None:
    model, given = build(), batch()
    vectors = model(**given)
    assert vectors.shape == (2, 7, 16)

    def moved(**other: Tensor) -> Tensor:
        return (model(**(given | other)) - vectors).abs().amax(-1)

    units, prompt = given["units"].clone(), given["prompt"].clone()
    units[:, 2] = (units[:, 2] + 3) % 16
    assert bool((moved(units=units)[given["mask"]] > 1e-5).all())
    prompt[:, 4] += 1.0
    assert bool((moved(prompt=prompt)[given["mask"]] > 1e-5).all())
    padded_units, padded_prompt = given["units"].clone(), given["prompt"].clone()
    padded_units[1, 4:], padded_prompt[1, :2] = 3, 9.0
    changed = moved(units=padded_units, prompt=padded_prompt)
    assert bool((changed[given["mask"]] < 1e-5).all())


def test_a_row_of_a_batch_equals_the_row_alone() -> None:
    model, given = build(), batch()
    together = model(**given)[1, :4]
    alone = model(
        given["units"][1:, :4], given["mask"][1:, :4], given["prompt"][1:, 2:],
        given["prompt_mask"][1:, 2:],
    )  # fmt: skip
    torch.testing.assert_close(together, alone[0], atol=1e-5, rtol=1e-4)


def test_without_a_prompt_it_still_gives_vectors() -> None:
    model, given = build(), batch()
    none = model(given["units"], given["mask"], given["prompt"][:, :0], given["prompt_mask"][:, :0])
    assert bool(none.isfinite().all())


def test_some_units_are_dropped_in_training_only() -> None:
    model, given = build(), batch()
    many = {name: x.repeat(40, *[1] * (x.ndim - 1)) for name, x in given.items()}
    units, hidden = model._dropped(many["units"], torch.Generator().manual_seed(0))
    assert 0.02 < float(hidden.float().mean()) < 0.09
    assert 0.02 < float((units != many["units"]).float().mean()) < 0.09
    draw = torch.Generator().manual_seed(0)
    assert not torch.allclose(model(**many, generator=draw), model(**many))


def test_the_loss_by_hand() -> None:
    model = build()
    found, wanted = torch.zeros(1, 3, 16), torch.zeros(1, 3, 16)
    found[0, 0, 0], wanted[0, 0, 1] = 2.0, 2.0  # at a right angle
    found[0, 1, 0], wanted[0, 1, 0] = 1.0, 3.0  # in line
    found[0, 2] = 50.0  # padding
    mask = torch.tensor([[True, True, False]])
    expected = (8 + 4) / 32 + 0.5
    assert float(model.loss(found, wanted, mask)) == pytest.approx(expected)


def test_mistakes_are_told() -> None:
    model, given = build(), batch()
    with pytest.raises(UserError, match=r"units must lie in \[0, 16\), but reach from .* to 16"):
        model(**(given | {"units": torch.full((2, 7), 16)}))
    with pytest.raises(UserError, match="must be 16 wide, as the centroids, but are 8"):
        model(**(given | {"prompt": given["prompt"][..., :8]}))
    with pytest.raises(ConfigError, match=r"dropped_units must be in \[0, 1\), but is 1"):
        InverseKMeansConfig(dropped_units=1.0)
