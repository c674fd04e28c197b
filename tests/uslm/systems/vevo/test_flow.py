"""The walk from noise to frames: rows beside each other, seeds, guidance."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from uslm.systems.vevo.flow import FlowRow, FlowSteps, flow_frames
from uslm.systems.vevo.flow_matching import FlowMatching
from uslm_tokenizer.errors import UserError

HOW = FlowSteps(steps=3)


@pytest.fixture(scope="module")
def model() -> FlowMatching:
    torch.manual_seed(0)
    model = FlowMatching(FlowMatching.tiny_config()).eval()
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.1)
    return model


def row(num_prompt: int, num_frames: int, seed: int = 0) -> FlowRow:
    draw = torch.Generator().manual_seed(seed)
    return FlowRow(
        content=torch.randint(32, (num_prompt + num_frames,), generator=draw),
        prompt=torch.randn(num_prompt, 8, generator=draw),
    )


ROWS = [row(4, 9, 1), row(0, 14, 2), row(7, 3, 3)]


def make(model: FlowMatching, which: list[int], how: FlowSteps = HOW) -> list[torch.Tensor]:
    generators = [torch.Generator().manual_seed(10 + i) for i in which]
    return flow_frames(model, [ROWS[i] for i in which], how, generators=generators)


@pytest.mark.parametrize("guidance", [0.0, 1.5])
def test_a_row_of_a_batch_equals_the_row_alone(model: FlowMatching, guidance: float) -> None:
    how = replace(HOW, guidance=guidance)
    for i, frames in enumerate(make(model, [0, 1, 2], how)):
        assert frames.shape == (ROWS[i].num_frames, 8)
        torch.testing.assert_close(make(model, [i], how)[0], frames, atol=1e-5, rtol=1e-5)


def test_as_pretrained_rows_depend_on_each_other(model: FlowMatching) -> None:
    how = replace(HOW, guidance=4.0, whole_batch=True)
    together = make(model, [0, 1, 2], how)
    assert not torch.allclose(make(model, [0], how)[0], together[0], atol=1e-4)


def test_the_same_generator_gives_the_same_frames(model: FlowMatching) -> None:
    assert torch.equal(make(model, [0])[0], make(model, [0])[0])
    [other] = flow_frames(model, ROWS[:1], HOW, generators=[torch.Generator().manual_seed(99)])
    assert not torch.allclose(make(model, [0])[0], other)


def test_the_prompt_is_heard(model: FlowMatching) -> None:
    other = replace(ROWS[0], prompt=-ROWS[0].prompt)
    generators = [torch.Generator().manual_seed(10)]
    assert not torch.allclose(
        make(model, [0])[0], flow_frames(model, [other], HOW, generators=generators)[0]
    )


def test_no_steps_and_no_frames_are_refused(model: FlowMatching) -> None:
    with pytest.raises(UserError, match="steps must be 1 or more, but is 0"):
        FlowSteps(steps=0)
    empty = FlowRow(content=torch.zeros(3, dtype=torch.long), prompt=torch.zeros(3, 8))
    with pytest.raises(UserError, match="more units than its prompt has frames"):
        flow_frames(model, [empty], HOW, generators=[torch.Generator()])


def test_a_model_without_a_null_condition_is_not_guided(model: FlowMatching) -> None:
    alone = FlowMatching(replace(model.config, drop_rate=0.0)).eval()
    generators = [torch.Generator().manual_seed(10)]
    with pytest.raises(UserError, match="guidance must be 0 for a model without a null condition"):
        flow_frames(alone, ROWS[:1], HOW, generators=generators)
    [frames] = flow_frames(alone, ROWS[:1], replace(HOW, guidance=0.0), generators=generators)
    assert len(frames) == ROWS[0].num_frames
