"""Effects of quantizers and of what they are taught: shown, and not where they are spoiled."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest


def test_distillation_puts_content_first_and_neither_cut_nor_shuffled_does(
    shown: Callable[..., Any],
) -> None:
    assert shown("distillation", scale=0.5) is True
    assert shown("distillation", "labels shuffled", scale=0.25) is False
    assert shown("distillation", "gradient cut", scale=0.05) is False
    assert shown("distillation_voice", "gradient cut", scale=0.05) is False


def test_masked_channels_even_out_and_unmasked_ones_do_not(shown: Callable[..., Any]) -> None:
    assert shown("mcrvq", scale=0.1) is True
    assert shown("mcrvq", "nothing masked", scale=0.1) is False


def test_codebooks_of_one_size_let_by_the_same(shown: Callable[..., Any]) -> None:
    assert shown("bottleneck_content", scale=0.2) is True
    for broken in ("all of one size", "labels shuffled"):
        assert shown("bottleneck_content", broken, scale=0.2) is False
    assert shown("bottleneck_voice", "all of one size", scale=0.2) is False


def test_masked_codes_follow_what_is_said_and_not_what_others_say(
    shown: Callable[..., Any],
) -> None:
    assert shown("masked_infill", scale=0.3) is True
    assert shown("masked_infill", "conditions of other speech", scale=0.1) is False


def test_a_split_quantizer_differs_and_levels_above_do_not(effects: Any) -> None:
    """So short a training shows nothing either way; but only the whole mechanism changes errors."""
    setting = effects.Setting(quick=True, scale=0.02, num_train=12, num_test=6)
    effect, gains = effects.find_effects()["split_rvq"], []
    for broken in (None, "levels above"):
        outcome = effects.run_effect(effect, replace(setting, broken=broken), [0])
        gains.append(outcome.gain.value)
    assert outcome.shows is False
    assert gains[0] != 0 and gains[1] == pytest.approx(0, abs=1e-7)


def test_a_distilled_codec_has_its_content_in_the_first_level(effects: Any) -> None:
    """Known order inside one codec: the first level tells more of the phonemes than all above it,
    where a teacher shaped it; SLMTokBench's own control."""
    from distillation import _train
    from effect_codec import encode_frames, frames_of, phoneme_teacher

    from uslm.evaluation.suites.alignment import align_text
    from uslm.evaluation.suites.encoded import CodebookRange
    from uslm.evaluation.suites.probe import ProbeConfig

    setting = effects.Setting(quick=True, num_train=36, num_test=18)
    frames = frames_of(setting.speech)
    targets = phoneme_teacher(frames, 0, 60)
    codec = _train("distilled", frames, list(targets), [], 0, 80, False)
    encoded = encode_frames(codec, frames, 3)
    config = ProbeConfig(dim=32, steps=160, batch_size=12, learning_rate=0.02)
    first, above = (
        align_text(encoded.of(CodebookRange(start=a, stop=b)), config, seed=0)
        for a, b in ((0, 1), (1, 3))
    )
    bounds = [sum(each.information) / sum(each.phonemes) for each in (first, above)]
    assert bounds[0] > bounds[1] + 0.2 and sum(first.errors) < sum(above.errors)
