"""Budgets of the bench: how much speech, how large probes, which suites; those of a quick run."""

from dataclasses import dataclass, field

from uslm.evaluation.suites.compression import RATIOS
from uslm.evaluation.suites.probe import ProbeConfig
from uslm_tokenizer.errors import UserError

SUITES = ("alignment", "preservation", "stream", "probes", "robustness", "compression")


@dataclass(frozen=True, kw_only=True)
class BenchConfig:
    """Budgets of a run."""

    num_train: int = 1200
    """Utterances that probes learn from."""
    num_test: int = 150
    """Utterances that they are asked about."""
    max_seconds: float = 10.0
    """Longer recordings are left out, seconds."""
    num_decoded: int = 40
    """Test utterances that are decoded, altered and recognised."""
    probe: ProbeConfig = field(default_factory=lambda: ProbeConfig(steps=1500))
    """Size and steps of each probe."""
    seeds: tuple[int, ...] = (0, 1, 2)
    """Each probe is trained with each of these."""
    suites: tuple[str, ...] = SUITES
    """What is measured."""
    ratios: tuple[float, ...] = RATIOS
    """Kept shares of the tokens, of the suite `compression`."""
    shares: tuple[float, ...] = (0.25, 0.5, 1.0)
    """Shares of the training utterances, of the curve of learning."""
    each_codebook: bool = True
    """Whether the text alignment of every codebook by itself is measured, too."""
    compressed_labels: bool = True
    """Whether compressed tokens are asked for the speaker where they can be asked for phonemes."""
    vocoder_steps: int = 2000
    """Training steps of the vocoder that units without a decoder are resynthesised by."""
    controls: bool = True
    """Whether shuffled texts and permuted codebooks are measured, too."""

    def __post_init__(self) -> None:
        if unknown := [name for name in self.suites if name not in SUITES]:
            raise UserError(f"suites must be of {', '.join(SUITES)}, but {unknown[0]!r} is not")


QUICK = BenchConfig(
    num_train=100,
    num_test=32,
    max_seconds=4.5,
    num_decoded=8,
    probe=ProbeConfig(dim=64, steps=100, learning_rate=8e-3),
    ratios=(0.5, 0.125),
    shares=(0.25, 1.0),
    each_codebook=False,
    compressed_labels=False,
    vocoder_steps=150,
)
"""Ends in minutes on two cores."""
