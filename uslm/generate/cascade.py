"""A cascade: stages that each read some kinds of token and write one more.

    enhance    noisy units -> clean units;   noisy units, clean units, noisy codes -> clean codes
    speak      text -> units;                prompt's codes, units -> codes
    answer     speaker's vector, text, units -> codes
    convert                                  prompt's codes, units -> codes

A task is a table of stages; what is given decides where it begins. Stages are shared: what differs
between two tasks is data.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Shaped
from torch import Tensor

from uslm.generate.sampling import Sampling
from uslm.generate.spans import write_spans
from uslm.models.span_lm import SpanLM
from uslm.models.spans import Span
from uslm_tokenizer.errors import ConfigError, UserError


@dataclass(frozen=True, kw_only=True)
class Stage:
    """One step of a task."""

    model: SpanLM
    """What reads and writes."""
    reads: tuple[str, ...]
    """Kinds of token, in the order of their spans."""
    writes: str
    """The kind that it writes."""
    lasts_as: str = ""
    """The kind that takes as long as what is written; empty: the model ends it."""
    optional: tuple[str, ...] = ()
    """Kinds that it also does without."""
    max_seconds: float = 30.0
    """Longest span where the model ends it, seconds, unless whoever runs it says otherwise."""

    def __post_init__(self) -> None:
        for name in (*self.reads, self.writes):
            self.model.kind(name)
        if self.model.kind(self.writes).dim:
            raise ConfigError(f"{self.writes} must be tokens to be written, but are vectors")
        timeless = [
            name for name in (self.writes, self.lasts_as) if name and not self.model.kind(name).rate
        ]
        if timeless:
            raise ConfigError(f"{timeless[0]} must have a rate, so that its length can be told")
        if self.lasts_as and self.lasts_as not in self.reads:
            raise ConfigError(f"lasts_as must be one of {self.reads}, but is {self.lasts_as!r}")

    def num_tokens(self, given: Mapping[str, Tensor]) -> int:
        """Tokens to write at most."""
        rate = self.model.kind(self.writes).rate
        if not self.lasts_as:
            return max(1, round(self.max_seconds * rate))
        return round(len(given[self.lasts_as]) * rate / self.model.kind(self.lasts_as).rate)

    def row(self, given: Mapping[str, Tensor]) -> list[Span]:
        """The spans that it reads. UserError where one is missing that it cannot do without."""
        missing = [name for name in self.reads if name not in given and name not in self.optional]
        if missing:
            raise UserError(
                f"the stage that writes {self.writes!r} reads {missing[0]!r}, but is given "
                f"{sorted(given) or 'nothing'}"
            )
        return [
            (Span.of_vectors if self.model.kind(name).dim else Span)(name, given[name])
            for name in self.reads
            if name in given
        ]


def run_stages(
    stages: Sequence[Stage],
    given: Mapping[str, Shaped[Tensor, "..."]],
    *,
    sampling: Sampling,
    generator: torch.Generator,
    limits: Mapping[str, tuple[int, int]] | None = None,
) -> dict[str, Shaped[Tensor, "..."]]:
    """All that was given and written. A stage whose outcome is given is passed over.

    `limits` are the fewest and the most tokens of a kind that the model ends itself.
    """
    known = dict(given)
    for stage in stages:
        if stage.writes in known:
            continue
        row = stage.row(known)
        least, most = 0, stage.num_tokens(known)
        if not stage.lasts_as and limits is not None:
            least, most = limits.get(stage.writes, (least, most))
        [known[stage.writes]] = write_spans(
            stage.model, [row], stage.writes, [most],
            sampling=sampling, generators=[generator], may_end=not stage.lasts_as, least=least,
        )  # fmt: skip
    return known


def check_rates(stages: Sequence[Stage]) -> None:
    """ConfigError where two stages have kinds of one name and of another size or rate."""
    seen: dict[str, tuple[int, float]] = {}
    for stage in stages:
        for name in (*stage.reads, stage.writes):
            kind = stage.model.kind(name)
            found = (kind.size, kind.rate)
            if seen.setdefault(name, found) != found:
                raise ConfigError(
                    f"{name} must be alike in all stages, but has {seen[name][0]} tokens and "
                    f"{seen[name][1]:g} Hz in one, {found[0]} and {found[1]:g} Hz in another"
                )
