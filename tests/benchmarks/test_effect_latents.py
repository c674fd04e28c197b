"""Effects of models of latents run, and where a mechanism is spoiled nothing shows."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest


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
