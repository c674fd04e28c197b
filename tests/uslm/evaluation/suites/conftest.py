"""Made-up speech and its tokens, shared by the tests of the bench."""

from __future__ import annotations

import pytest
import torch

from uslm.evaluation.suites.baseline import MelUnits, MelUnitsConfig
from uslm.evaluation.suites.encoded import EncodedSet, encode_set
from uslm.evaluation.suites.made_speech import made_speech
from uslm.evaluation.suites.probe import ProbeConfig
from uslm.evaluation.suites.speech_set import SAMPLE_RATE, SpeechSet


@pytest.fixture(scope="session")
def speech() -> SpeechSet:
    """Four speakers to learn from, two to be asked about."""
    return made_speech(num_train=36, num_test=12, num_phonemes=8)


@pytest.fixture(scope="session")
def units(speech: SpeechSet) -> MelUnits:
    """Two codebooks of k-means."""
    tokenizer = MelUnits(MelUnitsConfig(codebook_size=32, num_codebooks=2)).eval()
    waveforms = [each.waveform for each in speech.train]
    tokenizer.fit(waveforms, SAMPLE_RATE, generator=torch.Generator().manual_seed(0), iterations=8)
    return tokenizer


@pytest.fixture(scope="session")
def encoded(units: MelUnits, speech: SpeechSet) -> EncodedSet:
    """Everything through it."""
    return encode_set("mel", units, speech)


@pytest.fixture(scope="session")
def small() -> ProbeConfig:
    """Enough to learn made-up speech."""
    return ProbeConfig(dim=32, steps=80, batch_size=12, learning_rate=0.02)
