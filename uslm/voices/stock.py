"""Stock voices: made voices that come with the package; what is known without loading one."""

import difflib
import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from uslm.voices.names import SUFFIX
from uslm_tokenizer.config import from_dict
from uslm_tokenizer.errors import MissingResource

FOLDER = Path(__file__).parents[1] / "assets" / "voices"
CATALOGUE = "voices.json"
DEFAULT_STOCK_VOICE = "ada"
"""Who speaks where nobody is named."""
CONSENT = "Nobody's voice: generated speech of blended voices; no person has to agree."


@dataclass(frozen=True, kw_only=True)
class StockVoice:
    """A stock voice, as far as it is known without reading it."""

    name: str
    """What it is asked for by."""
    description: str
    """How it sounds, in a few words."""
    transcript: str
    """What is said in its recording."""
    licence: str
    """Of the recording, and so of the voice."""
    speaker: str
    """Which speaker of the generated corpus it is."""
    blend: dict[str, float]
    """Weight of each of Kokoro's voices in it."""
    split: str
    """Whether the default model was trained on that speaker: `train`, or else `test`."""

    @property
    def path(self) -> Path:
        """The voice file, made with the default model."""
        return FOLDER / f"{self.name}{SUFFIX}"

    @property
    def recording(self) -> Path:
        """Recording that it was made of, and is made of again for a model of another tokenizer."""
        return FOLDER / f"{self.name}.ogg"


@cache
def stock_voices() -> dict[str, StockVoice]:
    """All of them by name; the default one first."""
    rows = json.loads((FOLDER / CATALOGUE).read_text("utf-8"))
    voices = [from_dict(StockVoice, row, where=CATALOGUE) for row in rows]
    return {voice.name: voice for voice in voices}


def stock_voice(name: str) -> StockVoice:
    """One of them. MissingResource if there is none of that name."""
    voices = stock_voices()
    if name not in voices:
        near = difflib.get_close_matches(name, voices, n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(voices)}"
        raise MissingResource(f"there is no stock voice {name!r}; {hint}")
    return voices[name]


def stock_name(path: str | Path) -> str | None:
    """Name of the stock voice that a file is; None if it is none."""
    path = Path(path)
    return path.stem if path.parent == FOLDER and path.stem in stock_voices() else None
