"""When speech stops, and that rows do not see each other."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest
import torch
from jaxtyping import Float, Int
from torch import Tensor

from uslm.generate.autoregressive import StopRule, UnitRow, speak_units
from uslm.generate.sampling import Sampling
from uslm.models.base import SemanticModel
from uslm.systems.registry import MODELS, model_class
from uslm_tokenizer.nn.attention import KVCache

SIZE = 8
GREEDY = Sampling(temperature=0.0)
SEMANTIC = [name for name in MODELS if issubclass(model_class(name), SemanticModel)]


class Scripted(SemanticModel):
    """Wants to say `script(step)`, then any other unit in order, and to end if `SIZE` is said."""

    config_class = int
    codebook_size, separator_id = SIZE, 0

    def __init__(self, script: Callable[[int], int]) -> None:
        super().__init__(0)
        self.script, self.steps = script, 0

    def new_cache(self, batch_size: int, capacity: int) -> KVCache:
        self.capacity = capacity
        none = torch.zeros(1, 2, batch_size, 1, 0, 1)
        return KVCache(none, torch.zeros(batch_size, 0, dtype=torch.bool))

    def prefill(
        self,
        text_ids: Sequence[Int[Tensor, " _"]],
        prompt_units: Sequence[Int[Tensor, " _"]],
        cache: KVCache,
    ) -> Float[Tensor, "b v"]:
        return self._logits(len(text_ids))

    def step(self, units: Int[Tensor, " b"], cache: KVCache) -> Float[Tensor, "b v"]:
        assert bool((units < SIZE).all())
        self.steps += 1
        return self._logits(len(units))

    def _logits(self, rows: int) -> Float[Tensor, "b v"]:
        logits = -torch.arange(SIZE + 1.0).expand(rows, -1).clone()
        logits[:, self.script(self.steps)] = 5.0
        return logits

    def batch(self, *rows: object, **known: object) -> None:
        raise NotImplementedError

    def loss(self, batch: None) -> Float[Tensor, ""]:
        raise NotImplementedError

    @classmethod
    def tiny_config(cls) -> int:
        return 0


def speak(script: Callable[[int], int], stop: StopRule) -> UnitRow:
    model = Scripted(script)
    spoken = speak_units(
        model,
        [torch.zeros(3, dtype=torch.long)],
        [torch.zeros(0, dtype=torch.long)],
        [stop],
        sampling=GREEDY,
        generators=[torch.Generator()],
    )
    [row] = list(spoken)[-1]
    assert model.steps < model.capacity
    return row


def test_the_end_mark_ends_and_is_not_a_unit() -> None:
    row = speak(lambda step: SIZE if step == 5 else step, StopRule(min_frames=2, max_frames=50))
    assert (row.units, row.stop_reason) == ([0, 1, 2, 3, 4], "end")


def test_it_cannot_end_before_the_minimum() -> None:
    row = speak(lambda step: SIZE, StopRule(min_frames=4, max_frames=50))
    assert (len(row.units), row.stop_reason) == (4, "end")


def test_it_must_end_at_the_maximum() -> None:
    row = speak(lambda step: step % SIZE, StopRule(min_frames=0, max_frames=17))
    assert (len(row.units), row.stop_reason) == (17, "length")


def test_one_unit_is_not_repeated_for_ever() -> None:
    row = speak(lambda step: 3, StopRule(min_frames=0, max_frames=30, max_run=6))
    runs = "".join(map(str, row.units))
    assert "3" * 6 in runs
    assert "3" * 7 not in runs


def test_a_loop_is_cut_and_said_once() -> None:
    row = speak(lambda step: step % 5, StopRule(min_frames=0, max_frames=300, loop_length=10))
    assert (row.units, row.stop_reason) == ([0, 1, 2, 3, 4] * 2, "loop")


def test_nothing_may_be_said_at_all() -> None:
    row = speak(lambda step: SIZE, StopRule(min_frames=0, max_frames=5))
    assert (row.units, row.stop_reason) == ([], "end")
    assert row.tensor().shape == (0,)


@pytest.mark.parametrize("name", SEMANTIC)
def test_a_row_says_the_same_alone_and_among_others(name: str) -> None:
    found = model_class(name)
    model: Any = found(found.tiny_config()).eval()
    texts = [torch.arange(1, 1 + n) for n in (4, 11, 7)]
    prompts = [torch.arange(n) for n in (0, 6, 13)]
    stops = [StopRule(min_frames=n, max_frames=2 * n) for n in (12, 5, 20)]

    def said(rows: list[int]) -> list[UnitRow]:
        pick = [[column[row] for row in rows] for column in (texts, prompts, stops)]
        generators = [torch.Generator().manual_seed(row) for row in rows]
        spoken = speak_units(model, *pick, sampling=Sampling(), generators=generators)
        return list(spoken)[-1]

    together = said([0, 1, 2])
    for row in range(3):
        [alone] = said([row])
        assert (alone.units, alone.stop_reason) == (together[row].units, together[row].stop_reason)
