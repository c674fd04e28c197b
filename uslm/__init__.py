"""USLM: unified speech language models; speak a text in the voice of a short recording."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from uslm.conversion import VoiceConverter
    from uslm.tts import ZeroShotTTS

__version__ = "0.1.0"
__all__ = ["VoiceConverter", "ZeroShotTTS", "__version__"]

# Where each public name lives. They are imported on first use, so that `import uslm` costs
# nothing: PyTorch alone takes over a second to import.
_HOMES = {
    "VoiceConverter": "uslm.conversion",
    "ZeroShotTTS": "uslm.tts",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
