"""Spans at work: a model reads some, and writes one more for each row, token after token."""

from collections.abc import Sequence

import torch
from jaxtyping import Int
from torch import Tensor

from uslm.generate.sampling import Sampling, sample
from uslm.models.span_lm import SpanLM
from uslm.models.spans import Span


@torch.no_grad()
def write_spans(
    model: SpanLM,
    rows: Sequence[Sequence[Span]],
    kind: str,
    counts: Sequence[int],
    *,
    sampling: Sampling,
    generators: Sequence[torch.Generator],
    may_end: bool = False,
    least: int = 0,
) -> list[Int[Tensor, " t"]]:
    """Tokens of a kind that follow each row, `counts[i]` of row i; with `may_end`, fewer where the
    model ends before, but not before it has written the `least`.

    Row i draws from `generators[i]` only, so what it gets does not depend on the rows beside it.
    """
    longest = max((sum(len(span.ids) + 1 for span in row) for row in rows), default=0)
    most = max(counts, default=0)
    written: list[list[int]] = [[] for _ in rows]
    if not most:
        return [torch.zeros(0, dtype=torch.long) for _ in rows]
    written_kind = model.kind(kind)
    size = written_kind.size
    cache = model.new_cache(len(rows), longest + 1 + most)
    logits = model.begin(rows, kind, cache)
    going = [count > 0 for count in counts]
    for place in range(most):
        if not may_end or place < least:
            logits[:, size] = -torch.inf
        allowed = written_kind.at(place)
        logits[:, : allowed.start] = logits[:, allowed.stop : size] = -torch.inf
        window = sampling.repetition_window
        recent = [row[-window:] if window else [] for row in written]
        chosen = sample(logits, sampling, generators, recent)
        for i, token in enumerate(chosen.tolist()):
            going[i] = going[i] and token != size
            if going[i]:
                written[i].append(token)
                going[i] = len(written[i]) < counts[i]
        if not any(going):
            break
        # A row that is over is fed any token; nobody reads what comes of it.
        logits = model.step(chosen.clamp(max=size - 1), kind, cache)
    return [torch.tensor(row, dtype=torch.long) for row in written]
