"""SpeechTokenizer's losses: least where they should be, and over the common length."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from uslm_tokenizer.objectives import distillation, waveform
from uslm_tokenizer.objectives.waveform import Rules

RULES: Rules = "hifi_gan"


def noise(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def test_equal_sounds_have_no_distance_whatever_follows_the_shorter() -> None:
    mel, sound = waveform.speech_tokenizer_mel_loss(16_000), 0.1 * noise(2, 1, 4800)
    assert mel(sound, sound) == 0
    assert waveform.sample_loss(torch.cat([sound, noise(2, 1, 7)], dim=-1), sound) == 0
    other = 0.1 * noise(2, 1, 4800, seed=1)
    each = mel.distances(sound, other)
    torch.testing.assert_close(mel(sound, other), 45 * each[0] + each[1] + each[2] + each[3])


def test_distillation_compares_the_course_over_time() -> None:
    teacher = noise(2, 20, 6)
    least = -torch.nn.functional.logsigmoid(torch.tensor(1.0))
    scaled = teacher * noise(1, 1, 6, seed=1).abs()  # another size of each dimension: no matter
    torch.testing.assert_close(distillation.distillation_loss(scaled, teacher[:, :19]), least)
    assert distillation.distillation_loss(noise(2, 20, 6, seed=2), teacher) > least + 0.1
    # By frames, sizes do matter.
    equal = distillation.frame_distillation_loss(teacher, teacher[:, :19], 1.0)
    torch.testing.assert_close(equal, least)
    assert distillation.frame_distillation_loss(scaled, teacher, 1.0) > least + 0.1


def test_the_adversarial_game() -> None:
    ones, zeros = [torch.ones(2, 1, 7)] * 3, [torch.zeros(2, 1, 5)] * 3
    assert waveform.discriminator_loss(ones, zeros, RULES) == 0
    assert waveform.discriminator_loss(zeros, ones, RULES) == 6
    assert waveform.adversarial_loss(ones, RULES) == 0
    assert waveform.adversarial_loss(zeros, RULES) == 3
    features = [[noise(2, 3, 4), noise(2, 3, 5)], [noise(2, 3, 6)]]
    further = [[layer + 0.5 for layer in layers] for layers in features]
    assert waveform.feature_matching_loss(features, features, RULES) == 0
    torch.testing.assert_close(
        waveform.feature_matching_loss(features, further, RULES), torch.tensor(3.0)
    )


def test_the_adversarial_game_by_encodecs_rules() -> None:
    """Hinge losses: who is on the right side by 1 or more has nothing to learn; means of scales."""
    high, low = [torch.full((2, 1, 7), 1.5)] * 3, [torch.full((2, 1, 5), -1.5)] * 3
    assert waveform.adversarial_loss(high) == 0
    assert waveform.adversarial_loss(low) == 2.5
    assert waveform.discriminator_loss(high, low) == 0
    assert waveform.discriminator_loss(low, high) == 5
    score = torch.zeros(2, 1, 7, requires_grad=True)
    waveform.adversarial_loss([score]).backward()
    assert score.grad is not None and bool((score.grad < 0).all())  # towards higher scores


@pytest.mark.parametrize("name", ["mel", "waveform", "distillation"])
def test_the_generator_learns_from_each(name: str) -> None:
    sound = (0.1 * noise(1, 1, 2400)).requires_grad_()
    other = 0.1 * noise(1, 1, 2400, seed=1)
    features = sound.reshape(1, 100, 24), other.reshape(1, 100, 24)
    loss = {
        "mel": lambda: waveform.speech_tokenizer_mel_loss(16_000)(sound, other),
        "waveform": lambda: waveform.sample_loss(sound, other),
        "distillation": lambda: distillation.distillation_loss(*features),
    }[name]()
    loss.backward()
    assert sound.grad is not None and bool(sound.grad.isfinite().all() and sound.grad.any())
