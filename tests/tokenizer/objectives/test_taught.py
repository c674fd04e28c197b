"""Objectives beside the reconstruction: by hand, and where their gradients go."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import nn

from uslm_tokenizer.base import CodecPass
from uslm_tokenizer.codecs.speech_tokenizer.model import SpeechTokenizer
from uslm_tokenizer.codecs.waveform_codec.model import WaveformCodec
from uslm_tokenizer.errors import ConfigError
from uslm_tokenizer.objectives.hifigan_discriminators import (
    Discriminators,
    PeriodDiscriminator,
    ScaleDiscriminator,
)
from uslm_tokenizer.objectives.taught import (
    LanguageCosine,
    Objective,
    PseudoLabel,
    Restoration,
    TaughtCodec,
    TeacherCosine,
)
from uslm_tokenizer.quantize.base import Quantized

COSINE = TeacherCosine(kind="teacher_cosine", weight=3.0)
LANGUAGE = LanguageCosine(kind="language_cosine", weight=2.0)
LABEL = PseudoLabel(kind="pseudo_label", weight=2.0, num_labels=2)


class Still(WaveformCodec):
    """A codec whose passes are given."""

    given: CodecPass

    def forward(self, waveform: Any, generator: Any = None) -> CodecPass:
        return self.given


def taught(
    *objectives: Objective,
    levels: tuple[torch.Tensor, ...],
    language_dim: int | None = None,
    **extra: Any,
) -> TaughtCodec:
    """Its teacher has the features 0 and 10 of one dimension; its heads say what a level says."""
    codec = Still(WaveformCodec.tiny_config())
    zero = torch.tensor(0.0)
    codes = torch.zeros(1, len(levels), levels[0].shape[2], dtype=torch.long)
    quantized = Quantized(torch.stack(levels).sum(0), codes, zero, zero, zero, levels)
    codec.given = CodecPass(torch.zeros(1, 1, 640), quantized)
    for name, value in extra.items():
        setattr(codec.given, name, value)
    teacher = torch.tensor([[0.0]] * 5 + [[10.0]] * 5)
    draw = torch.Generator().manual_seed(0)
    made = TaughtCodec(codec, objectives, teacher, language_dim=language_dim, generator=draw)
    for head in made.heads.values():
        assert isinstance(head, nn.Linear)
        nn.init.eye_(head.weight)
        nn.init.zeros_(head.bias)
    return made


def one_hot(channel: int, frames: list[float]) -> torch.Tensor:
    level = torch.zeros(1, 12, len(frames))
    level[0, channel] = torch.tensor(frames)
    return level


def test_a_level_follows_its_teacher_over_time() -> None:
    first, second = one_hot(0, [3.0, 4.0]), one_hot(0, [-4.0, 3.0])
    teacher = torch.tensor([[[6.0], [8.0]]])
    for level, cosine in ((0, 1.0), (1, 0.0)):
        objective = replace(COSINE, level=level)
        made = taught(objective, levels=(first, second))
        with torch.no_grad():
            _, parts, total = made(torch.zeros(1, 1, 640), teacher, None)
        wanted = math.log(1 + math.exp(-cosine))
        assert float(parts["teacher_cosine"]) == pytest.approx(wanted, rel=1e-5)
        assert float(total) == pytest.approx(3.0 * wanted, rel=1e-5)


def test_a_language_model_is_followed_and_not_the_other_teacher() -> None:
    """Over time: the level runs (3, 4), the words' states (-4, 3), the speech encoder (6, 8)."""
    made = taught(LANGUAGE, levels=(one_hot(0, [3.0, 4.0]),), language_dim=1)
    told, other = torch.tensor([[[-4.0], [3.0]]]), torch.tensor([[[6.0], [8.0]]])
    with torch.no_grad():
        _, parts, total = made(torch.zeros(1, 1, 640), other, None, language=told)
    assert float(parts["language_cosine"]) == pytest.approx(math.log(2), rel=1e-5)
    assert float(total) == pytest.approx(2 * math.log(2), rel=1e-5)


def test_frames_in_which_nothing_is_said_ask_for_nothing() -> None:
    codec = WaveformCodec(WaveformCodec.tiny_config()).train()
    made = TaughtCodec(codec, [LANGUAGE], language_dim=3)
    _, _, total = made(torch.randn(1, 1, 3200), None, language=torch.zeros(1, 10, 3))
    total.backward()
    assert all(p.grad is None or not p.grad.any() for p in codec.encoder.parameters())


def test_a_level_tells_the_cluster_of_each_frame() -> None:
    made = taught(LABEL, levels=(one_hot(0, [2.0, 0.0]),))
    teacher = torch.tensor([[[1.0], [9.0]]])
    labels = made.labels(0, teacher)[0]
    assert labels[0] != labels[1]  # 1 is near 0, 9 near 10
    with torch.no_grad():
        _, parts, total = made(torch.zeros(1, 1, 640), teacher, None)
    # The head says (2, 0), then (0, 0): frame 0 may be of label 0 or 1, frame 1 costs log 2.
    frame = math.log(1 + math.exp(-2.0)) + (2.0 if labels[0] == 1 else 0.0)
    assert float(parts["pseudo_label"]) == pytest.approx((frame + math.log(2)) / 2, rel=1e-5)
    assert float(total) == pytest.approx(frame + math.log(2), rel=1e-5)


def test_the_branch_gets_its_features_back() -> None:
    features, restored = torch.tensor([[[1.0, 2.0]]]), torch.tensor([[[3.0, 2.0]]])
    objective = Restoration(kind="restoration", weight=5.0)
    made = taught(objective, levels=(one_hot(0, [1.0]),), features=features, restored=restored)
    with torch.no_grad():
        _, parts, total = made(torch.zeros(1, 1, 640), None, None)
    assert float(parts["restoration"]) == pytest.approx(2.0)
    assert float(total) == pytest.approx(10.0)


@pytest.mark.parametrize("objective", [COSINE, LABEL, Restoration(kind="restoration")])
def test_what_is_taught_reaches_the_encoder(objective: Objective) -> None:
    codec = WaveformCodec(WaveformCodec.tiny_config()).train()
    made = TaughtCodec(codec, [objective], torch.randn(20, 5), generator=torch.Generator())
    _, _, total = made(0.1 * torch.randn(2, 1, 3200), torch.randn(2, 10, 5), None)
    total.backward()
    gradients = [p.grad for p in codec.encoder.parameters()]
    assert all(g is not None for g in gradients) and sum(float(g.abs().sum()) for g in gradients)  # type: ignore[union-attr, misc]
    frozen: Any = codec.branch
    assert all(p.grad is None for p in frozen.encoder.parameters())


def test_speech_tokenizer_keeps_its_own_projection() -> None:
    codec = SpeechTokenizer(SpeechTokenizer.tiny_config()).train()
    made = TaughtCodec(codec, [COSINE], torch.randn(9, 8))
    assert not made.heads
    _, _, total = made(0.1 * torch.randn(1, 1, 400), torch.randn(1, 10, 8), None)
    total.backward()
    assert codec.to_semantic.weight.grad is not None  # type: ignore[union-attr]


def test_objectives_that_lack_something_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"semantic_dim must be the teacher's width, 5, but is 8"):
        TaughtCodec(SpeechTokenizer(SpeechTokenizer.tiny_config()), [COSINE], torch.randn(9, 5))
    plain = WaveformCodec(replace(WaveformCodec.tiny_config(), semantic=None))
    with pytest.raises(ConfigError, match="needs a codec with a semantic branch"):
        TaughtCodec(plain, [Restoration(kind="restoration")])
    with pytest.raises(ConfigError, match="language_cosine needs a language model"):
        TaughtCodec(plain, [LANGUAGE])
    with pytest.raises(ConfigError, match="teacher_cosine needs a teacher"):
        TaughtCodec(plain, [COSINE])
    made = TaughtCodec(plain, [replace(COSINE, level=3)], torch.randn(9, 5))
    with pytest.raises(ConfigError, match="level must be below 3, but is 3"):
        made(0.1 * torch.randn(1, 1, 640), torch.randn(1, 2, 5), None)


# ---- discriminators


def test_a_period_sees_its_own_column_only() -> None:
    judge = PeriodDiscriminator(3, 4)
    waveform = torch.randn(1, 1, 300, requires_grad=True)
    [score], [maps] = judge(waveform)
    assert score.shape[-1] == 3 and len(maps) == 6
    score[..., 1].sum().backward()
    assert waveform.grad is not None
    columns = waveform.grad.view(-1, 3).abs().sum(0)
    assert float(columns[1]) > 0 and float(columns[0]) == float(columns[2]) == 0


def test_scales_halve_the_rate_and_all_are_heard() -> None:
    judges = Discriminators(
        [PeriodDiscriminator(2, 4), *(ScaleDiscriminator(s, 4) for s in (1, 2))]
    )
    scores, maps = judges(torch.randn(2, 1, 640))
    assert len(scores) == len(maps) == 3
    assert scores[1].shape[-1] == 640 / 64 and scores[2].shape[-1] <= scores[1].shape[-1] / 2 + 1
