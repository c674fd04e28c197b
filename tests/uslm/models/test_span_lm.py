"""A model of spans: what it reads, where tokens stand in time, and the cache."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from uslm.generate.sampling import Sampling
from uslm.generate.spans import write_spans
from uslm.models.span_lm import SpanLM, SpanLMConfig, TokenKind
from uslm.models.spans import Span
from uslm.systems.registry import MODELS, model_class
from uslm_tokenizer.errors import ConfigError, UserError

SPAN_LMS = [name for name in MODELS if issubclass(model_class(name), SpanLM)]
CLOSE = {"atol": 1e-4, "rtol": 1e-4}


class PlainLM(SpanLM):
    """The model that systems give a name."""

    model_type = "plain_span_lm"


def ids(count: int, below: int, seed: int = 0) -> Tensor:
    return torch.randint(below, (count,), generator=torch.Generator().manual_seed(seed))


def span(kind: TokenKind, count: int, seed: int) -> Span:
    """Tokens of a kind, those of several tables in turn; or vectors."""
    if kind.dim:
        draw = torch.Generator().manual_seed(seed)
        return Span.of_vectors(kind.name, torch.randn(count, kind.dim, generator=draw))
    first = torch.tensor([kind.at(place).start for place in range(count)], dtype=torch.long)
    return Span(kind.name, ids(count, kind.size // kind.tables, seed) + first)


def changed(kind: TokenKind, tokens: Tensor) -> Tensor:
    """Every token another of its table."""
    each = kind.size // kind.tables
    return tokens - tokens % each + (tokens + 1) % each


@pytest.fixture(params=["plain", *SPAN_LMS])
def model(request: pytest.FixtureRequest) -> Any:
    torch.manual_seed(0)
    found: Any = PlainLM if request.param == "plain" else model_class(request.param)
    return found(found.tiny_config()).eval()


def rows_of(model: SpanLM, length: int = 6) -> list[list[Span]]:
    """Rows of unequal length: all kinds but the last, then the last one."""
    *kinds, last = model.config.kinds
    return [
        [
            *(span(k, 3 + i + 2 * n, seed=7 * i + n) for n, k in enumerate(kinds)),
            span(last, length, seed=50 + i),
        ]
        for i in range(3)
    ]


def whole(model: SpanLM, rows: list[list[Span]]) -> Tensor:
    """Scores of every token of the last spans and of what follows them, in one pass."""
    batch = model.batch(rows)
    with torch.no_grad():
        logits = model.to_logits(model(batch.tokens, batch.positions, batch.vectors))
    last = model.config.kinds[-1]
    first = model.config.offset(len(model.config.kinds) - 1)
    chosen = [*range(first, first + last.size), model.config.end_id]
    return torch.stack([logits[i][batch.targets[i] >= 0] for i in range(len(rows))])[..., chosen]


def step_by_step(model: SpanLM, rows: list[list[Span]]) -> Tensor:
    kind, said = rows[0][-1].kind, torch.stack([row[-1].ids for row in rows])
    cache = model.new_cache(len(rows), 128)
    scores = [model.begin([row[:-1] for row in rows], kind, cache)]
    scores += [model.step(tokens, kind, cache) for tokens in said.T]
    return torch.stack(scores, dim=1)


def test_steps_with_a_cache_equal_one_pass_and_a_row_of_a_batch_the_row_alone(model: Any) -> None:
    rows = rows_of(model)
    once = whole(model, rows)
    assert once.shape[1] == len(rows[0][-1].ids) + 1
    torch.testing.assert_close(step_by_step(model, rows), once, **CLOSE)
    for row, together in zip(rows, once, strict=True):
        torch.testing.assert_close(step_by_step(model, [row])[0], together, **CLOSE)


def test_every_span_that_is_read_matters_and_nothing_that_follows(model: Any) -> None:
    rows = rows_of(model)[:1]
    before = whole(model, rows)
    for place, each in enumerate(rows[0][:-1]):
        other = [*rows[0]]
        other[place] = Span(each.kind, changed(model.kind(each.kind), each.ids))
        if each.vectors is not None:
            other[place] = Span.of_vectors(each.kind, each.vectors.flip(1))
        assert not torch.allclose(whole(model, [other])[:, 0], before[:, 0], **CLOSE)
    last = rows[0][-1]
    said = last.ids.clone()
    said[4] = changed(model.kind(last.kind), last.ids)[4]
    after = whole(model, [[*rows[0][:-1], Span(last.kind, said)]])
    torch.testing.assert_close(after[:, :5], before[:, :5])
    assert not torch.allclose(after[:, 5], before[:, 5], **CLOSE)


def test_only_the_last_span_and_its_end_are_learnt(model: Any) -> None:
    rows = rows_of(model)
    batch = model.batch(rows)
    last = model.config.offset(len(model.config.kinds) - 1)
    for row, targets in zip(rows, batch.targets, strict=True):
        learnt = targets[targets >= 0]
        assert learnt.tolist() == [*(row[-1].ids + last).tolist(), model.config.end_id]


def test_tokens_of_one_moment_stand_at_one_place() -> None:
    """Units of 50 Hz beside codes of 100 Hz; text counts by itself, whatever comes before."""
    model = PlainLM(SpanLM.tiny_config())
    spans = [Span("text", ids(5, 20)), Span("units", ids(3, 32)), Span("codes", ids(6, 16))]
    [positions] = model.batch([spans]).positions
    assert positions[:6].tolist() == [-1, 0, 1, 2, 3, 4]
    assert positions[6:10].tolist() == [-1, 0, 2, 4]
    assert positions[10:].tolist() == [-1, 0, 1, 2, 3, 4, 5]


def test_a_row_is_written_the_same_whatever_is_beside_it(model: Any) -> None:
    rows = [row[:-1] for row in rows_of(model)]
    kind, counts = model.config.kinds[-1].name, [4, 9, 0]
    sampling = Sampling(temperature=1.0, top_k=0, top_p=1.0)

    def written(chosen: list[int], may_end: bool = False) -> list[list[int]]:
        found = write_spans(
            model, [rows[i] for i in chosen], kind, [counts[i] for i in chosen], sampling=sampling,
            generators=[torch.Generator().manual_seed(i) for i in chosen], may_end=may_end,
        )  # fmt: skip
        return [row.tolist() for row in found]

    together = written([0, 1, 2])
    assert [len(row) for row in together] == counts
    assert [written([i])[0] for i in range(3)] == together
    assert written([1])[0] != written([0])[0]


def test_a_span_ends_where_the_model_ends_it() -> None:
    """Scores of the end that are certain: nothing is written if it may, all of it if not."""
    torch.manual_seed(0)
    model = PlainLM(SpanLM.tiny_config()).eval()
    begin, step = model.begin, model.step

    def ending(scores: Tensor) -> Tensor:
        scores[:, -1] = 1e4
        return scores

    model.begin = lambda *given: ending(begin(*given))  # type: ignore[method-assign]
    model.step = lambda *given: ending(step(*given))  # type: ignore[method-assign]
    lengths = [
        len(
            write_spans(
                model, [[Span("text", ids(4, 20))]], "units", [7], sampling=Sampling(),
                generators=[torch.Generator().manual_seed(0)], may_end=may_end,
            )[0]
        )
        for may_end in (True, False)
    ]  # fmt: skip
    assert lengths == [0, 7]


def test_what_the_model_has_not_is_refused_by_name() -> None:
    model = PlainLM(SpanLM.tiny_config())
    with pytest.raises(UserError, match=r"no kind of token 'tones'.*\['text', 'units', 'codes'\]"):
        model.batch([[Span("tones", ids(3, 4))]])
    with pytest.raises(UserError, match=r"units must lie in \[0, 32\), but reach from 5 to 40"):
        model.batch([[Span("units", torch.tensor([5, 40]))]])
    with pytest.raises(ConfigError, match="names of their own"):
        SpanLMConfig(kinds=(TokenKind(name="a", size=2), TokenKind(name="a", size=3)))
    with pytest.raises(ConfigError, match="a size of 1 or more"):
        TokenKind(name="a", size=0)
    with pytest.raises(ConfigError, match="vectors must have a dim of 1 or more and size 1"):
        TokenKind(name="a", size=3, dim=4)


def test_vectors_are_read_each_at_its_own_channels() -> None:
    kinds = (
        TokenKind(name="voice", size=1, dim=3),
        TokenKind(name="units", size=4, rate=50.0),
        TokenKind(name="room", size=1, dim=2),
    )
    model = PlainLM(SpanLMConfig(kinds=kinds, dim=16, num_heads=2, num_layers=1, dropout=0.0))
    voice, room = torch.tensor([[1.0, 2.0, 3.0]]), torch.tensor([[4.0, 5.0], [6.0, 7.0]])
    row = [Span.of_vectors("voice", voice), Span.of_vectors("room", room), Span("units", ids(2, 4))]
    batch = model.batch([row])
    wanted = torch.zeros(8, 5)
    wanted[1, :3], wanted[3:5, 3:] = voice[0], room
    assert torch.equal(batch.vectors[0], wanted)
    for wrong, message in (
        (Span("voice", torch.zeros(1).long()), "voice must come with 1 vectors of 3, but came wi"),
        (Span.of_vectors("voice", room), r"with 2 vectors of 3, but came with \[2, 2\]"),
        (Span.of_vectors("units", room), "units must come without vectors, but came with"),
    ):
        with pytest.raises(UserError, match=message):
            model.batch([[wrong]])


def test_four_rows_are_learnt_by_heart(model: Any) -> None:
    model.train()
    batch = model.batch(rows_of(model))
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    before = float(model.loss(batch).detach())
    for _ in range(60):
        optimizer.zero_grad()
        model.loss(batch).backward()
        optimizer.step()
    assert float(model.loss(batch).detach()) < 0.3 * before


def test_tables_take_turns_whatever_the_scores() -> None:
    """Codes of three codebooks: each is read and written in its own place only."""
    torch.manual_seed(0)
    kind = TokenKind(name="codes", size=12, rate=30.0, tables=3)
    model = PlainLM(SpanLMConfig(kinds=(kind,), dim=32, num_heads=2, num_layers=1)).eval()
    [found] = write_spans(
        model, [[]], "codes", [60], sampling=Sampling(temperature=5.0, top_k=0, top_p=1.0),
        generators=[torch.Generator().manual_seed(0)],
    )  # fmt: skip
    assert torch.equal(found // 4, torch.arange(60) % 3)
    assert len(found.unique()) == 12
    model.batch([[Span("codes", found)]])
    with pytest.raises(UserError, match="codes must be of 3 tables in turn"):
        model.batch([[Span("codes", found[1:])]])
    with pytest.raises(ConfigError, match=r"the 12 tokens of codes .* but tables is 5"):
        TokenKind(name="codes", size=12, tables=5)


def test_a_span_does_not_end_before_its_least() -> None:
    """Scores of the end that are certain, after the first token."""
    torch.manual_seed(0)
    model = PlainLM(SpanLM.tiny_config()).eval()
    model.step = lambda *given: torch.eye(33)[32:] * 1e4  # type: ignore[method-assign]
    [found] = write_spans(
        model, [[Span("text", ids(4, 20))]], "units", [9], sampling=Sampling(),
        generators=[torch.Generator().manual_seed(0)], may_end=True, least=4,
    )  # fmt: skip
    assert len(found) == 4
