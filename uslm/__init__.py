"""USLM: unified speech language models; speak a text in the voice of a short recording."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from uslm_tokenizer.addresses import load_address

if TYPE_CHECKING:
    from uslm.answering import SpeechAnswerer
    from uslm.continuation import SpeechContinuer
    from uslm.conversion import VoiceConverter
    from uslm.enhancement import SpeechEnhancer
    from uslm.imitation import VoiceImitation
    from uslm.output.speech import Speech
    from uslm.output.subtitles import to_srt, to_vtt
    from uslm.output.watermark import Perth, detect
    from uslm.singing import MakeAVoice
    from uslm.text.score import Score
    from uslm.tts import ZeroShotTTS
    from uslm.voices.prompt import VoicePrompt
    from uslm.voices.store import VoiceStore

__version__ = "0.1.0"
__all__ = [
    "MakeAVoice",
    "Perth",
    "Score",
    "Speech",
    "SpeechAnswerer",
    "SpeechContinuer",
    "SpeechEnhancer",
    "VoiceConverter",
    "VoiceImitation",
    "VoicePrompt",
    "VoiceStore",
    "ZeroShotTTS",
    "__version__",
    "detect",
    "to_srt",
    "to_vtt",
]

# Where each public name lives. They are imported on first use, so that `import uslm` costs
# nothing: PyTorch alone takes over a second to import.
_HOMES = {
    "MakeAVoice": "uslm.singing:MakeAVoice",
    "Perth": "uslm.output.watermark:Perth",
    "Score": "uslm.text.score:Score",
    "Speech": "uslm.output.speech:Speech",
    "SpeechAnswerer": "uslm.answering:SpeechAnswerer",
    "SpeechContinuer": "uslm.continuation:SpeechContinuer",
    "SpeechEnhancer": "uslm.enhancement:SpeechEnhancer",
    "VoiceConverter": "uslm.conversion:VoiceConverter",
    "VoiceImitation": "uslm.imitation:VoiceImitation",
    "VoicePrompt": "uslm.voices.prompt:VoicePrompt",
    "VoiceStore": "uslm.voices.store:VoiceStore",
    "ZeroShotTTS": "uslm.tts:ZeroShotTTS",
    "detect": "uslm.output.watermark:detect",
    "to_srt": "uslm.output.subtitles:to_srt",
    "to_vtt": "uslm.output.subtitles:to_vtt",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return load_address(_HOMES[name])


def __dir__() -> list[str]:
    return sorted(__all__)
