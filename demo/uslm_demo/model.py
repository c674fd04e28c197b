"""The model behind the page: loaded once, when it is first needed, and shared by all visitors."""

from __future__ import annotations

import re
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from uslm.conversion import VoiceConverter
    from uslm.serving.engine import Engine
    from uslm.synthesis.protocols import FrontEnd, Imitate, SynthesizerSettings
    from uslm.tts import ZeroShotTTS

NUM_SLOTS = 4
"""Texts that are spoken at a time, and segments of one text."""
MAX_SECONDS = 3600.0
"""A text that is not spoken after so long is given up."""


class Model:
    """Hands out one model; threads that ask while it is loading wait for it."""

    def __init__(
        self, name: str = "default", *, device: str = "cpu", threads: int | None = None,
        any_language: bool = False,
    ) -> None:  # fmt: skip
        self.name = name
        """Its name, folder or Hub repository."""
        self.device = device
        """Where it runs, as PyTorch calls it, or `auto`."""
        self.threads = threads
        """CPU threads; None: as many as there are idle cores when it is loaded."""
        self.any_language = any_language
        """Whether texts are spoken that are in no language of the model's."""
        self._lock = threading.Lock()
        self._tts: ZeroShotTTS | None = None
        self._engine: Engine | None = None
        self._frontend: FrontEnd | None = None

    @property
    def is_loaded(self) -> bool:
        """Whether the next call answers at once."""
        return self._tts is not None

    def tts(self) -> ZeroShotTTS:
        """The model, for all but speaking: making voices, listening, looking at codes."""
        from uslm.models.threads import set_threads
        from uslm.tts import ZeroShotTTS

        with self._lock:
            if self._tts is None:
                set_threads(self.threads)
                self._tts = ZeroShotTTS.from_pretrained(self.name, device=self.device)
            return self._tts

    def engine(self) -> Engine:
        """Engine that speaks, for all visitors side by side."""
        from uslm.serving.engine import Engine, EngineConfig

        tts = self.tts()
        with self._lock:
            if self._engine is None:
                config = EngineConfig(num_slots=NUM_SLOTS, max_seconds=MAX_SECONDS)
                self._engine = Engine(tts.synthesizer, config, frontend=tts.frontend)
            return self._engine

    def converter(self) -> VoiceConverter:
        """The same model, converting. UserError if it only speaks."""
        from uslm.conversion import VoiceConverter
        from uslm.systems.loading import as_converter

        tts = self.tts()
        return VoiceConverter(as_converter(tts.synthesizer), tts.frontend)

    def settings(self) -> SynthesizerSettings:
        """Settings of the model; reads no weights. MissingResource where there is none."""
        from uslm.systems.loading import read_settings

        return read_settings(self.name)

    def imitates(self) -> tuple[Imitate, ...]:
        """Aspects of a voice that it can imitate; none if it only speaks. Reads no weights."""
        from uslm.systems.loading import read_imitates

        return read_imitates(self.name)

    def frontend(self) -> FrontEnd:
        """Front end of texts; reads no weights."""
        from uslm.systems.loading import read_frontend

        with self._lock:
            if self._frontend is None:
                self._frontend = read_frontend(self.name)
            return self._frontend

    def card(self) -> str:
        """The model card, in Markdown, without its YAML header; empty where there is none."""
        from uslm.systems.loading import resolve_synthesizer

        path = resolve_synthesizer(self.name) / "README.md"
        text = path.read_text("utf-8") if path.is_file() else ""
        if text.startswith("---\n"):
            _, _, text = text[4:].partition("\n---\n")
        return text.strip()

    def summary(self) -> str:
        """A line on what it can and cannot, in Markdown: its languages, and what its card says in
        bold."""
        from uslm.text.language import language_name

        settings = self.settings()
        languages = settings.languages or (settings.language,)
        spoken = ", ".join(language_name(each) for each in languages)
        said = re.search(r"^\*\*(.+?)\*\*", self.card(), re.MULTILINE)
        return f"Speaks {spoken}." + (f" {said[1]}" if said else "")

    def close(self) -> None:
        """Let go of those who are still spoken for. The page is over."""
        with self._lock:
            engine, self._engine = self._engine, None
        if engine is not None:
            engine.close()
