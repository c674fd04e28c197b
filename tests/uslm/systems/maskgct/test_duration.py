"""The length of speech follows the prompt's pace, as far as that can be."""

import pytest

from uslm.systems.maskgct.duration import DurationRule
from uslm_tokenizer.errors import ConfigError


def test_the_pace_is_the_prompts() -> None:
    # 3.01 s of prompt at 50 frames per second, 31 phonemes; 40 to speak: 150.5 * 40 / 31 = 194.19
    assert DurationRule().num_frames(40, 31, 3.01 * 50) == 194


@pytest.mark.parametrize(
    ("prompt_phones", "prompt_frames", "expected"),
    [(0, 150.0, 45), (1, 150.0, 150), (150, 150.0, 20)],
    ids=["no phonemes", "hardly any", "far too many"],
)
def test_a_pace_that_cannot_be_is_not_believed(
    prompt_phones: int, prompt_frames: float, expected: int
) -> None:
    assert DurationRule().num_frames(10, prompt_phones, prompt_frames) == expected


def test_there_is_always_a_frame() -> None:
    assert DurationRule(least=0.1).num_frames(1, 100, 10.0) == 1


def test_limits_must_be_in_order() -> None:
    with pytest.raises(ConfigError, match="must hold"):
        DurationRule(least=5.0)
