"""Badly spoken segments are regenerated, and the best attempt is kept."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from uslm.output.joiner import JoinConfig
from uslm.systems.two_stage import parts as parts_module
from uslm.systems.two_stage.bundle import Bundle
from uslm.systems.two_stage.tiny import TINY, tiny_bundle
from uslm.tts import ZeroShotTTS
from uslm.voices.prompt import VoicePrompt
from uslm.voices.verification import (
    VerificationResult,
    VerifyConfig,
    recognize_phonemes,
    recognizer,
    verify,
)
from uslm_tokenizer.errors import ConfigError, UserError

TEXT = "Hello you."


@pytest.fixture(scope="module")
def tts() -> ZeroShotTTS:
    """Speaks without trimming, so that samples can be found again."""
    return ZeroShotTTS(tiny_bundle(replace(TINY, join=JoinConfig(trim_silence=False))))


def script(
    monkeypatch: pytest.MonkeyPatch, verifications: list[VerificationResult]
) -> list[torch.Tensor]:
    """Let the recogniser give these results in turn; returns the list of what it is given."""
    received: list[torch.Tensor] = []

    def verify(tokenizer: object, waveform: torch.Tensor, *rest: object) -> VerificationResult:
        received.append(waveform)
        return verifications[len(received) - 1]

    monkeypatch.setattr(parts_module, "verify", verify)
    return received


def verification(error_rate: float, stop_reason: str = "end") -> VerificationResult:
    return VerificationResult(error_rate=error_rate, stop_reason=stop_reason)


@pytest.mark.parametrize(
    ("verifications", "kept"),
    [
        ([verification(0.1)], 0),
        ([verification(0.9), verification(0.2)], 1),
        ([verification(0.9), verification(0.5), verification(0.7)], 1),
        ([verification(0.8), verification(0.8), verification(0.9)], 0),
        ([verification(0.1, "length"), verification(0.9), verification(0.5, "loop")], 1),
    ],
)
def test_the_best_of_the_attempts_is_kept(
    tts: ZeroShotTTS,
    voice: VoicePrompt,
    monkeypatch: pytest.MonkeyPatch,
    verifications: list[VerificationResult],
    kept: int,
) -> None:
    received = script(monkeypatch, verifications)
    speech = tts.generate(TEXT, voice, seed=1, verify=True, retries=2)
    [report] = speech.segments
    assert len(received) == report.attempts == len(verifications)
    assert report.phoneme_error_rate == verifications[kept].error_rate
    faded = slice(400, -400)
    assert torch.equal(speech.waveform[:, faded], received[kept][:, faded])


def test_attempts_differ_and_can_be_repeated(
    tts: ZeroShotTTS, voice: VoicePrompt, monkeypatch: pytest.MonkeyPatch
) -> None:
    received = script(monkeypatch, [verification(0.9)] * 3 * 2)
    for _ in range(2):
        tts.generate(TEXT, voice, seed=1, verify=True, retries=2)
    first, second, third = received[:3]
    assert not torch.equal(first[:, :5000], second[:, :5000])
    assert not torch.equal(second[:, :5000], third[:, :5000])
    assert all(map(torch.equal, received[:3], received[3:]))


def test_a_good_segment_is_what_it_would_be_unverified(
    tts: ZeroShotTTS, voice: VoicePrompt, monkeypatch: pytest.MonkeyPatch
) -> None:
    script(monkeypatch, [verification(0.0)])
    verified = tts.generate(TEXT, voice, seed=1, verify=True)
    assert torch.equal(verified.waveform, tts.generate(TEXT, voice, seed=1).waveform)


def test_a_stream_yields_only_what_was_verified(
    tts: ZeroShotTTS, voice: VoicePrompt, monkeypatch: pytest.MonkeyPatch
) -> None:
    received = script(monkeypatch, [verification(0.9), verification(0.0)])
    stream = tts.stream(TEXT, voice, seed=1, verify=True)
    next(chunk for chunk in stream if chunk.waveform.numel())
    assert len(received) == 2


def test_batches_are_verified_too(
    tts: ZeroShotTTS, voice: VoicePrompt, monkeypatch: pytest.MonkeyPatch
) -> None:
    script(monkeypatch, [verification(0.9), verification(0.0), verification(0.0)])
    batch = tts.generate_batch([TEXT, "Another one."], voice, [1, 2], verify=True)
    assert [speech.segments[0].attempts for speech in batch] == [2, 1]


def test_listening_compares_phonemes(bundle: Bundle) -> None:
    waveform = torch.randn(1, 16_000, generator=torch.Generator().manual_seed(0)) * 0.1
    received = recognize_phonemes(bundle.tokenizer, waveform)
    assert received
    assert verify(bundle.tokenizer, waveform, received, "end").error_rate == 0
    assert recognize_phonemes(bundle.tokenizer, torch.zeros(1, 0)) == []


def test_a_tokenizer_that_cannot_listen_is_named(bundle: Bundle) -> None:
    units = bundle.tokenizer.units
    assert recognizer(bundle.tokenizer) is units
    with pytest.raises(UserError, match="a UnitTokenizer cannot recognise phonemes"):
        recognizer(units)


def test_limits_are_checked() -> None:
    with pytest.raises(ConfigError):
        VerifyConfig(max_error_rate=-0.1)
    with pytest.raises(UserError):
        VerifyConfig(retries=-1)
