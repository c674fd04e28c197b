"""Verification: the model's own recogniser reads back the phonemes of what was spoken."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from jaxtyping import Float, Int
from torch import Tensor

from uslm.voices.phoneme_error_rate import phoneme_error_rate
from uslm_tokenizer.base import AudioTokenizer
from uslm_tokenizer.errors import ConfigError, UserError


@dataclass(frozen=True, kw_only=True)
class VerifyConfig:
    """Limits beyond which a segment is regenerated."""

    max_error_rate: float = 0.3
    """Phoneme error rate beyond which a segment counts as badly spoken."""
    retries: int = 2
    """Draws beyond the first, at most."""

    def __post_init__(self) -> None:
        if not self.max_error_rate >= 0:
            raise ConfigError(f"max_error_rate must be 0 or more, but is {self.max_error_rate}")
        if self.retries < 0:
            raise UserError(f"retries must be 0 or more, but is {self.retries}")


@runtime_checkable
class Recognizer(Protocol):
    """A tokenizer of units that can read phonemes back from them."""

    def encode(self, waveform: Float[Tensor, "b 1 n"]) -> Int[Tensor, "b 1 t"]: ...

    def phoneme_logits(self, units: Int[Tensor, "b t"]) -> Float[Tensor, "b t v"]: ...

    def recognize(self, units: Int[Tensor, " t"]) -> list[int]: ...


def find_recognizer(tokenizer: AudioTokenizer) -> Recognizer | None:
    """The recogniser inside a tokenizer, if it has one."""
    phoneme_recognizer = getattr(tokenizer, "units", None)
    return phoneme_recognizer if isinstance(phoneme_recognizer, Recognizer) else None


def recognizer(tokenizer: AudioTokenizer) -> Recognizer:
    """The recogniser inside a tokenizer. Raises UserError if it has none."""
    phoneme_recognizer = find_recognizer(tokenizer)
    if phoneme_recognizer is None:
        raise UserError(
            f"a {type(tokenizer).__name__} cannot recognise phonemes; "
            "give the transcript of the prompt, and do not ask for verification"
        )
    return phoneme_recognizer


def recognize_phonemes(tokenizer: AudioTokenizer, waveform: Float[Tensor, "1 n"]) -> list[int]:
    """The phoneme ids recognised in a waveform of the tokenizer's rate."""
    if not waveform.shape[-1]:
        return []
    phoneme_recognizer = recognizer(tokenizer)
    units = phoneme_recognizer.encode(waveform[None].to(tokenizer.device))
    return phoneme_recognizer.recognize(units[0, 0])


@dataclass(frozen=True, kw_only=True)
class VerificationResult:
    """Result for one segment; results order from best to worst by `score`."""

    error_rate: float
    """Phoneme error rate."""
    stop_reason: str
    """Why stage 1 stopped."""

    @property
    def score(self) -> float:
        """The error rate; a segment that had to be stopped is worse than any that ended."""
        return self.error_rate + (0.0 if self.stop_reason == "end" else 1.0)

    def passes(self, config: VerifyConfig) -> bool:
        """Whether the segment may stay."""
        return self.score <= config.max_error_rate


def verify(
    tokenizer: AudioTokenizer,
    waveform: Float[Tensor, "1 n"],
    phoneme_ids: Sequence[int],
    stop_reason: str,
) -> VerificationResult:
    """Verify a segment that should say these phonemes."""
    recognized = recognize_phonemes(tokenizer, waveform)
    return VerificationResult(
        error_rate=phoneme_error_rate(phoneme_ids, recognized), stop_reason=stop_reason
    )
