"""What the tests of the package share: a model that babbles, and a voice for it."""

from __future__ import annotations

import pytest

from uslm.systems.two_stage.bundle import Bundle
from uslm.systems.two_stage.tiny import tiny_bundle, tiny_voice
from uslm.tts import ZeroShotTTS
from uslm.voices.prompt import VoicePrompt


@pytest.fixture(scope="session")
def bundle() -> Bundle:
    """All parts with random weights. Read only."""
    return tiny_bundle()


@pytest.fixture(scope="session")
def tts(bundle: Bundle) -> ZeroShotTTS:
    """The babbler."""
    return ZeroShotTTS(bundle)


@pytest.fixture(scope="session")
def voice(bundle: Bundle) -> VoicePrompt:
    """A voice of random codes."""
    return tiny_voice(bundle)
