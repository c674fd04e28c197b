"""The model behind the page: loaded once, when it is first needed, and shared by all visitors."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from uslm.pipeline.conversion import VoiceConverter
    from uslm.pipeline.speaker import SpeakerSettings
    from uslm.pipeline.tts import ZeroShotTTS


class Engine:
    """Hands out one model; threads that ask while it is loading wait for it."""

    def __init__(self, model: str = "default", *, device: str = "cpu") -> None:
        self.model = model
        """Its name, folder or Hub repository."""
        self.device = device
        """Where it runs, as PyTorch calls it."""
        self._lock = threading.Lock()
        self._tts: ZeroShotTTS | None = None

    @property
    def is_loaded(self) -> bool:
        """Whether the next call answers at once."""
        return self._tts is not None

    def tts(self) -> ZeroShotTTS:
        """The model that speaks."""
        from uslm.pipeline.tts import ZeroShotTTS

        with self._lock:
            if self._tts is None:
                self._tts = ZeroShotTTS.from_pretrained(self.model, device=self.device)
            return self._tts

    def converter(self) -> VoiceConverter:
        """The same model, converting."""
        from uslm.pipeline.conversion import VoiceConverter
        from uslm.pipeline.loading import as_converter

        tts = self.tts()
        return VoiceConverter(as_converter(tts.speaker), tts.frontend)

    def settings(self) -> SpeakerSettings:
        """What the model says of itself; reads no weights. MissingResource where there is none."""
        from uslm.pipeline.loading import read_settings

        return read_settings(self.model)

    def card(self) -> str:
        """The model card, in Markdown, without its YAML header; empty where there is none."""
        from uslm.pipeline.loading import resolve_speaker

        path = resolve_speaker(self.model) / "README.md"
        text = path.read_text("utf-8") if path.is_file() else ""
        if text.startswith("---\n"):
            _, _, text = text[4:].partition("\n---\n")
        return text.strip()
