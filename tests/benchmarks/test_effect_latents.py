"""Effects of models of latents run, and where a mechanism is spoiled nothing shows."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any

import pytest
import torch


@pytest.mark.parametrize(
    ("name", "broken"),
    [
        ("voxcpm_drift", "no arm has one"),
        ("voxcpm_content", "labels shuffled"),
        ("voxcpm_voice", "labels shuffled"),
        ("melody_schedule", "all of one length"),
        ("vevo_pace", "prompts of a third"),
        ("vevo_pitch", "prompts of a third"),
        ("vevo_style_content", "all of other speech"),
        ("vevo_speech_pace", "prompts of a third"),
        ("vevo_speech_pitch", "prompts of a third"),
        ("vevo_speech_content", "all of other speech"),
    ],
)
def test_a_spoiled_mechanism_shows_nothing(
    shown: Callable[..., Any], name: str, broken: str
) -> None:
    scales = {"voxcpm": 0.01, "vevo": 0.1, "vevo_speech": 0.02}
    scale = scales.get(name.rpartition("_")[0], scales.get(name.partition("_")[0], 0.05))
    assert shown(name, broken, scale=scale) is not True


def test_unspoiled_the_pitch_of_a_reference_shows(shown: Callable[..., Any]) -> None:
    assert shown("vevo_pitch", scale=0.1) is True


def test_the_pitch_of_units_is_that_of_their_voiced_frames(effects: Any) -> None:
    found = import_module("effect_manner").Conversions(
        by_arm={},
        f0_of_unit=torch.tensor([80.0, 90.0, 1.0]),
        voiced=torch.tensor([1.0, 0.5, 0.0]),
        content=None,
        style=None,
    )
    assert found.pitch(torch.tensor([0, 1, 2, 2])) == pytest.approx((80 + 0.5 * 90) / 1.5)


def test_a_source_is_said_in_the_manner_of_other_speakers(effects: Any) -> None:
    module, none = import_module("effect_manner"), torch.zeros(0)
    rows = [
        module.Heard(content=none, style=none, f0=none, pace=1.0, ends=none, speaker=speaker)
        for speaker in "aabbc"
    ]
    assert [module._another(rows, 1, nth).speaker for nth in range(3)] == ["b", "c", "b"]
    assert [module._another(rows, 4, nth).speaker for nth in range(3)] == ["a", "b", "a"]
