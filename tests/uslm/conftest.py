"""What the tests of the package share: a model that babbles, and a voice for it."""

from __future__ import annotations

import pytest

from uslm.pipeline.bundle import Bundle
from uslm.pipeline.prompt import VoicePrompt
from uslm.pipeline.testing import tiny_bundle, tiny_voice
from uslm.pipeline.tts import ZeroShotTTS


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
