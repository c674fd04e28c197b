"""Text or phonemes <-> ids: the table of phonemes our models know, and SentencePiece subwords."""

# ruff: noqa: RUF001 (this file is about characters that look alike)

from __future__ import annotations

import hashlib
import io
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Literal, Protocol, runtime_checkable

from uslm.text.clean import character_name
from uslm_tokenizer.errors import EnvironmentProblem, MissingResource, TextError

PHONEME_SYMBOLS = " !,.:;?abdefhijklmnopstuvwzæðŋɐɑɔəɚɛɜɡɪɹɾʃʊʌʒʔˈˌː\u0329θᵻ"
"""The symbol at place i has the id i + 1; id 0 is the CTC blank and the padding. Models are trained
on these ids: the order never changes."""

# Sounds and signs of other origin -> the nearest of ours. An empty text: silent, nothing is lost.
LOOKALIKES = {
    "g": "ɡ", "r": "ɹ", "ɻ": "ɹ", "ɽ": "ɾ", "ɺ": "ɾ", "ʁ": "ɹ", "ʀ": "ɹ", "ɫ": "l", "ɬ": "l",
    "ɭ": "l", "ʎ": "lj", "ʟ": "l", "c": "k", "q": "k", "x": "k", "ç": "h", "χ": "h", "ħ": "h",
    "ɦ": "h", "ɣ": "ɡ", "ɢ": "ɡ", "ɟ": "ɡ", "β": "b", "ɓ": "b", "ɗ": "d", "ɖ": "d", "ʈ": "t",
    "ɸ": "f", "ʋ": "v", "ⱱ": "v", "ʍ": "w", "ɰ": "w", "ɥ": "w", "ɱ": "m", "ɲ": "nj", "ɳ": "n",
    "ɴ": "ŋ", "ɕ": "ʃ", "ʂ": "ʃ", "ʑ": "ʒ", "ʐ": "ʒ", "ʝ": "j", "ʕ": "ʔ", "ʤ": "dʒ", "ʧ": "tʃ",
    "ʣ": "dz", "ʦ": "ts", "ɝ": "ɜː", "ɘ": "ə", "ɵ": "ə", "ɞ": "ɜ", "ø": "ɜ", "œ": "ɜ", "ɶ": "æ",
    "ɒ": "ɑ", "ɤ": "ʌ", "ɯ": "u", "ʉ": "u", "y": "i", "ʏ": "ɪ", "ɨ": "ᵻ", "ᵊ": "ə", "ᵿ": "ʊ",
    "ʲ": "j", "ʷ": "w", "ˑ": "ː", "\u0303": "n", "'": "", "ʰ": "", "ˤ": "", "ˠ": "", "\u0361": "",
    "\u032a": "", "\u031a": "", "\u0325": "", "\u0330": "", "\u0324": "", "\u031e": "", "-": "",
    "\u0308": "", "\u0306": "", "\u032f": "", "_": "", "^": "", "‖": "", "|": "", "~": "n",
    "…": ".", "。": ".", "！": "!", "？": "?", "，": ",", "、": ",", "；": ";", "：": ":", "؟": "?",
    "،": ",", "؛": ";", "।": ".", "—": ",", "–": ",", "(": ",", ")": ",", "[": ",", "]": ",",
    "{": ",", "}": ",", '"': "", "“": "", "”": "", "„": "", "«": "", "»": "", "¿": "", "¡": "",
    "‹": "", "›": "", "’": "", "‘": "", "\n": " ", "\t": " ", "↗": "", "↘": "", "ꜜ": "", "ꜛ": "",
    **{tone: "" for tone in "0123456789˥˦˧˨˩"},
}  # fmt: skip
SPACING = tuple(
    (re.compile(pattern), replacement)
    for pattern, replacement in (
        (r" +", " "),
        (r" (?=[!,.:;?])", ""),
        (r",+(?=[!.:;?])", ""),
        (r"([!.:;?,]),+", r"\1"),
        (r",(?=[^ !,.:;?])", ", "),
        (r"^[ ,]+| +$", ""),
    )
)


@runtime_checkable
class TextVocab(Protocol):
    """Symbols that a language model reads in place of text."""

    reads: Literal["phonemes", "text"]
    """What `encode` expects: phonemes, or normalised text."""

    @property
    def size(self) -> int:
        """Number of ids; each id is below it. 0 is padding."""
        ...

    def encode(self, text: str) -> list[int]: ...

    def decode(self, ids: Sequence[int]) -> str: ...

    def unknown(self, text: str) -> tuple[str, ...]:
        """Symbols that `encode` would leave out, each named once."""
        ...


class PhonemeVocab:
    """The 52 symbols of espeak's American English; sounds of other languages become the nearest."""

    reads: Literal["phonemes", "text"] = "phonemes"

    def __init__(self) -> None:
        self._ids = {symbol: place + 1 for place, symbol in enumerate(PHONEME_SYMBOLS)}

    @property
    def size(self) -> int:
        return len(PHONEME_SYMBOLS) + 1

    def canonical(self, phonemes: str) -> str:
        """The same phonemes in our symbols only, with no loose spaces or doubled commas."""
        known = [char if char in self._ids else LOOKALIKES.get(char, "") for char in phonemes]
        text = "".join(known)
        for pattern, replacement in SPACING:
            text = pattern.sub(replacement, text)
        return text

    def encode(self, text: str) -> list[int]:
        return [self._ids[char] for char in self.canonical(text)]

    def decode(self, ids: Sequence[int]) -> str:
        """The phonemes of ids; 0 is passed over."""
        for place in ids:
            if not 0 <= place < self.size:
                raise ValueError(f"phoneme ids must be 0..{self.size - 1}, but one is {place}")
        return "".join(PHONEME_SYMBOLS[place - 1] for place in ids if place)

    def unknown(self, text: str) -> tuple[str, ...]:
        foreign = dict.fromkeys(
            char for char in text if char not in self._ids and char not in LOOKALIKES
        )
        return tuple(character_name(char) for char in foreign)


class SentencePieceVocab:
    """Segments of normalised text, learned from sentences: no phonemizer, any language."""

    reads: Literal["phonemes", "text"] = "text"

    def __init__(self, model: bytes) -> None:
        """From the bytes of a `.model` file; see `load` and `train`."""
        sentencepiece = _import_sentencepiece()
        self._model = model
        self._processor: Any = sentencepiece.SentencePieceProcessor()
        try:
            self._processor.LoadFromSerializedProto(model)
        except RuntimeError as error:
            raise TextError(f"this is not a SentencePiece model: {error}") from error

    @classmethod
    def load(cls, path: str | Path) -> SentencePieceVocab:
        path = Path(path)
        if not path.is_file():
            raise MissingResource(f"SentencePiece model {path} must be a file, but is not there")
        try:
            return cls(path.read_bytes())
        except TextError as error:
            raise TextError(f"{path}: {error}") from error

    @classmethod
    def train(cls, sentences: Iterable[str], *, size: int = 1000) -> SentencePieceVocab:
        """Learn at most `size` subwords, one for each byte among them, so that nothing is
        unknown."""
        sentencepiece = _import_sentencepiece()
        model = io.BytesIO()
        try:
            sentencepiece.SentencePieceTrainer.train(
                sentence_iterator=iter(sentences),
                model_writer=model,
                vocab_size=size,
                pad_id=0,
                unk_id=1,
                bos_id=-1,
                eos_id=-1,
                byte_fallback=True,
                character_coverage=0.9995,
                hard_vocab_limit=False,
                num_threads=1,
                minloglevel=2,
            )
        except RuntimeError as error:
            raise TextError(f"SentencePiece could not learn {size} subwords: {error}") from error
        return cls(model.getvalue())

    def save(self, path: str | Path) -> None:
        """Write the `.model` file, whole or not at all."""
        from uslm_tokenizer.whole_files import write_atomically

        write_atomically(Path(path), lambda part: part.write_bytes(self._model))

    @property
    def size(self) -> int:
        return int(self._processor.GetPieceSize())

    @property
    def hash(self) -> str:
        """Tells these subwords from any others."""
        return hashlib.sha256(self._model).hexdigest()[:16]

    def encode(self, text: str) -> list[int]:
        return list(self._processor.EncodeAsIds(text))

    def decode(self, ids: Sequence[int]) -> str:
        return str(self._processor.DecodeIds([place for place in ids if place]))

    def unknown(self, text: str) -> tuple[str, ...]:
        unknown_id = self._processor.unk_id()
        subwords = self._processor.EncodeAsPieces(text)
        ids = self._processor.EncodeAsIds(text)
        pairs = zip(subwords, ids, strict=True)
        return tuple(dict.fromkeys(subword for subword, place in pairs if place == unknown_id))


def _import_sentencepiece() -> Any:
    try:
        import sentencepiece
    except ImportError as error:
        raise EnvironmentProblem(
            f"SentencePieceVocab needs sentencepiece ({error}): pip install 'sentencepiece>=0.2'"
        ) from error
    return sentencepiece
