"""What an effect is: a claim with its arms; and the rule by which a run shows it or does not."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import torch
from effect_speech import corpus_speech

from uslm.evaluation.metrics.bootstrap import Estimate
from uslm.evaluation.suites.made_speech import made_speech
from uslm.evaluation.suites.speech_set import SpeechSet

Shows = bool | Literal["no difference"]


@dataclass(frozen=True, kw_only=True)
class Setting:
    """What an effect is run on."""

    corpus: Path | None = None
    """A folder that uslm-prepare made, with phoneme durations; without one, made-up speech."""
    teacher: str | None = None
    """A speech encoder, for an effect that distils from one: a folder or a Hub model."""
    judge: str | None = None
    """A causal language model of text, for an effect that asks one: a folder, a GGUF file, or a Hub
    model."""
    quick: bool = False
    """Whether it has to end in minutes on two cores."""
    scale: float = 1.0
    """Share of the effect's own steps, for tests."""
    num_train: int = 600
    """Utterances to learn from."""
    num_test: int = 80
    """Utterances to measure with, of other speakers."""
    broken: str | None = None
    """One of the effect's `breaks`: the mechanism is spoiled on purpose, and nothing may show."""

    @cached_property
    def speech(self) -> SpeechSet:
        """Read when it is first asked for: some effects need none."""
        if self.corpus is None:
            return made_speech(num_train=self.num_train, num_test=self.num_test, num_phonemes=8)
        return corpus_speech(
            self.corpus,
            num_train=self.num_train,
            num_test=self.num_test,
            max_seconds=5.0 if self.quick else 10.0,
        )

    @property
    def source(self) -> str:
        """What the speech is, in words."""
        name = "made-up speech" if self.corpus is None else f"the corpus {self.corpus.name!r}"
        counts = len(self.speech.train), len(self.speech.test)
        return f"{name}, {counts[0]} utterances to learn from and {counts[1]} to measure with"

    def steps(self, quick: int, full: int) -> int:
        """Training steps, of which the effect names both numbers."""
        return max(1, round(self.scale * (quick if self.quick else full)))


@dataclass(frozen=True, kw_only=True)
class Measured:
    """One arm of one seed: totals and sizes of the test items, the same items in every arm."""

    totals: tuple[float, ...]
    sizes: tuple[float, ...]

    @property
    def rate(self) -> float:
        """The sum of the totals over that of the sizes."""
        return sum(self.totals) / sum(self.sizes)


Run = Callable[[Setting, int], Mapping[str, Measured]]
"""A setting and a seed -> every arm by its name."""


@dataclass(frozen=True, kw_only=True)
class Effect:
    """A claim that can be shown."""

    name: str
    claim: str
    paper: str
    arms: tuple[str, ...]
    """The arm that is claimed to be better, the one it is compared with, the control, others."""
    measure: str
    """What the numbers are, in words."""
    better: Literal["less", "more"]
    margin: float
    """The smallest gain that would matter; a run that rules it out shows the claim to be false."""
    breaks: tuple[str, ...]
    """Ways to spoil the mechanism on purpose: at least one."""
    run: Run
    uses_speech: bool = True
    """Whether it looks at `Setting.speech`."""
    quick_sizes: tuple[int, int] | None = None
    """Utterances to learn from and to measure with at `--quick`, if not those of run.py."""
    note: str = ""
    """What a reader of the page has to know of how it was measured, in whole sentences."""


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """Results of all seeds."""

    name: str
    arms: Mapping[str, Estimate]
    by_seed: Mapping[str, Sequence[float]]
    gain: Estimate
    """Of the first arm over the second, above zero where the claim is right."""
    control: Mapping[str, Any]
    """The arm whose mechanism is missing, and the gain of the first arm over it."""
    shows: Shows
    source: str
    broken: str | None

    def to_dict(self) -> dict[str, Any]:
        """JSON values."""
        return asdict(self)


def run_effect(effect: Effect, setting: Setting, seeds: Sequence[int]) -> Outcome:
    """Every seed, and the verdict.

    True: the interval of the gain is above zero, as is that of the gain over the control, and every
    seed agrees. False: one of these intervals is below the margin that would matter. Else the run
    cannot tell the arms apart: "no difference".
    """
    found = [effect.run(setting, seed) for seed in seeds]
    for each in found:
        assert set(each) == set(effect.arms), (sorted(each), effect.arms)
    by_arm = {arm: [each[arm] for each in found] for arm in effect.arms}
    sign = -1.0 if effect.better == "less" else 1.0
    claimed, baseline, control = (by_arm[arm] for arm in effect.arms[:3])
    gain = difference(claimed, baseline, sign)
    over_control = difference(claimed, control, sign)
    agree = all(sign * (a.rate - b.rate) > 0 for a, b in zip(claimed, baseline, strict=True))
    return Outcome(
        name=effect.name,
        arms={arm: together(each) for arm, each in by_arm.items()},
        by_seed={arm: [each.rate for each in rows] for arm, rows in by_arm.items()},
        gain=gain,
        control={"arm": effect.arms[2], "gain": asdict(over_control)},
        shows=verdict(gain, over_control, agree=agree, margin=effect.margin),
        source=setting.source if effect.uses_speech else "",
        broken=setting.broken,
    )


def verdict(gain: Estimate, over_control: Estimate, *, agree: bool, margin: float) -> Shows:
    """See `run_effect`."""
    if agree and gain.low > 0 and over_control.low > 0:
        return True
    if gain.high < margin or over_control.high < margin:
        return False
    return "no difference"


def together(rows: Sequence[Measured]) -> Estimate:
    """The rate over all seeds, with an interval over the test items."""
    return _bootstrap([rows], lambda rates: rates[0])


def difference(a: Sequence[Measured], b: Sequence[Measured], sign: float) -> Estimate:
    """Of two arms on the same test items, which are drawn together."""
    return _bootstrap([a, b], lambda rates: sign * (rates[0] - rates[1]))


def _bootstrap(
    arms: Sequence[Sequence[Measured]],
    statistic: Callable[[Sequence[torch.Tensor]], torch.Tensor],
    *,
    resamples: int = 2000,
) -> Estimate:
    draw = torch.Generator().manual_seed(0)
    totals = [torch.tensor([each.totals for each in rows]).double().sum(0) for rows in arms]
    sizes = [torch.tensor([each.sizes for each in rows]).double().sum(0) for rows in arms]
    n = len(totals[0])
    drawn = torch.randint(n, (resamples, n), generator=draw)
    pairs = list(zip(totals, sizes, strict=True))
    values = statistic([t[drawn].sum(1) / s[drawn].sum(1) for t, s in pairs])
    return Estimate(
        value=float(statistic([t.sum() / s.sum() for t, s in pairs])),
        low=float(values.quantile(0.025)),
        high=float(values.quantile(0.975)),
        count=n,
    )
