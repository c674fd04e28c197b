"""Cascades: what a task begins with, what each stage reads, and how long it writes."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from uslm.generate import cascade
from uslm.generate.cascade import Stage, check_rates, run_stages
from uslm.generate.sampling import Sampling
from uslm.models.span_lm import SpanLM, SpanLMConfig, TokenKind
from uslm_tokenizer.errors import ConfigError, UserError

KINDS = (
    TokenKind(name="text", size=20),
    TokenKind(name="units", size=32, rate=50.0),
    TokenKind(name="voice", size=16, rate=100.0),
    TokenKind(name="codes", size=16, rate=100.0),
)


class PlainLM(SpanLM):
    """The model that systems give a name."""

    model_type = "plain_span_lm"


def model(kinds: tuple[TokenKind, ...] = KINDS) -> SpanLM:
    torch.manual_seed(0)
    return PlainLM(SpanLMConfig(kinds=kinds, dim=32, num_heads=2, num_layers=2)).eval()


def speaking(read: SpanLM, speak: SpanLM) -> list[Stage]:
    """Text to units, as long as the model likes; units to codes, in a voice that may be missing."""
    return [
        Stage(model=read, reads=("text",), writes="units", max_seconds=0.2),
        Stage(
            model=speak, reads=("voice", "units"), writes="codes", lasts_as="units",
            optional=("voice",),
        ),
    ]  # fmt: skip


def run(stages: list[Stage], given: dict[str, Tensor], seed: int = 0) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return run_stages(stages, given, sampling=Sampling(), generator=generator)


TEXT, UNITS, VOICE = torch.arange(5), torch.arange(9) % 7, torch.arange(12) % 5


def test_a_task_begins_with_what_is_given() -> None:
    """From the text all is written; from units, as a conversion has them, the codes alone."""
    stages = speaking(model(), model())
    spoken = run(stages, {"text": TEXT, "voice": VOICE}, seed=3)
    assert 0 < len(spoken["units"]) <= 10 and len(spoken["codes"]) == 2 * len(spoken["units"])
    converted = run(stages, {"units": UNITS, "voice": VOICE})
    assert torch.equal(converted["units"], UNITS) and len(converted["codes"]) == 18
    alone = run(stages[1:], {"units": spoken["units"], "voice": VOICE})
    assert alone.keys() == {"units", "voice", "codes"}


def test_each_stage_reads_its_kinds_in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[tuple[list[str], str, int, bool]] = []

    def seen(model: SpanLM, rows: Any, kind: str, counts: Any, **given: Any) -> list[Tensor]:
        read.append(([s.kind for s in rows[0]], kind, counts[0], given["may_end"]))
        return [torch.zeros(counts[0], dtype=torch.long)]

    monkeypatch.setattr(cascade, "write_spans", seen)
    stages = speaking(model(), model())
    run(stages, {"voice": VOICE, "text": TEXT})
    assert read == [
        (["text"], "units", 10, True),
        (["voice", "units"], "codes", 20, False),
    ]
    read.clear()
    run(stages, {"units": UNITS})
    assert read == [(["units"], "codes", 18, False)], "it does without a voice"


def test_what_is_missing_is_named() -> None:
    stages = speaking(model(), model())
    with pytest.raises(UserError, match=r"writes 'units' reads 'text', but is given \['voice'\]"):
        run(stages, {"voice": VOICE})
    with pytest.raises(UserError, match="no kind of token 'tones'"):
        Stage(model=model(), reads=("tones",), writes="codes")
    with pytest.raises(ConfigError, match="text must have a rate"):
        Stage(model=model(), reads=("units",), writes="text")
    with pytest.raises(ConfigError, match=r"lasts_as must be one of \('units',\), but is 'voice'"):
        Stage(model=model(), reads=("units",), writes="codes", lasts_as="voice")


def test_stages_that_count_otherwise_do_not_go_together() -> None:
    slow = (*KINDS[:1], TokenKind(name="units", size=32, rate=25.0), *KINDS[2:])
    check_rates(speaking(model(), model()))
    with pytest.raises(ConfigError, match=r"units must be alike.*32 tokens and 50 Hz.*and 25 Hz"):
        check_rates(speaking(model(), model(slow)))
