"""MaskGCT's models together, and how they are used."""

from dataclasses import dataclass, field

from uslm.generate.masked import Unmasking
from uslm.generate.sampling import Sampling
from uslm.systems.base import PretrainedSettings
from uslm.systems.maskgct.duration import DurationRule
from uslm.systems.maskgct.model import MaskGCTSemanticToAcoustic, MaskGCTTextToSemantic
from uslm.systems.model_parts import Parts, check_equal
from uslm_tokenizer.codecs.maskgct.model import MaskGCTCodec

CODECS = ("semantic", "acoustic")
STAGES = ("t2s", "s2a_first", "s2a_rest")
UNITS = "units"
"""What a voice keeps beside its codes."""


@dataclass(frozen=True, kw_only=True)
class MaskGCTSettings(PretrainedSettings):
    """Settings of MaskGCT: the published values."""

    name: str = "maskgct"
    """What the model is called."""
    languages: tuple[str, ...] = ("en", "fr", "de")
    """Of those it was trained on, the ones that its front end reads here."""
    sampling: Sampling = field(
        default_factory=lambda: Sampling(temperature=0.9, top_k=164, top_p=1.0)
    )
    """How units are drawn: at the first step, from the likeliest 2 % of 8,192."""
    semantic: Unmasking = field(default_factory=Unmasking)
    """How units are filled in."""
    acoustic: Unmasking = field(default_factory=lambda: Unmasking(temperature=1.5))
    """How codes are filled in, whichever the codebook."""
    acoustic_steps: tuple[int, ...] = (25, 10, 1)
    """Steps of each codebook of codes; the last number is that of all codebooks above."""
    duration: DurationRule = field(default_factory=DurationRule)
    """How long speech is."""


class MaskGCTStages:
    """The models that speak. Raises ConfigError unless they speak the same units and codes."""

    def __init__(self, parts: Parts) -> None:
        self.codec = parts.get("acoustic", MaskGCTCodec)
        self.t2s = parts.get("t2s", MaskGCTTextToSemantic)
        self.first = parts.get("s2a_first", MaskGCTSemanticToAcoustic)
        self.rest = parts.get("s2a_rest", MaskGCTSemanticToAcoustic)
        for name, model in {"s2a_first": self.first, "s2a_rest": self.rest}.items():
            check_equal(name, model.config.num_units, self.num_units, "units")
            check_equal(name, model.codebook_size, self.codec.codebook_size, "codes")
        check_equal("s2a_first", self.first.first_codebook, 0, "codebooks below its own")
        below = self.first.num_codebooks
        check_equal("s2a_rest", self.rest.first_codebook, below, "codebooks below its own")
        check_equal("s2a_rest", self.rest.num_codebooks, self.codec.num_codebooks, "codebooks")

    @property
    def num_units(self) -> int:
        """Number of different units."""
        return self.t2s.codebook_size
