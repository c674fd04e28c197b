"""Subwords of a `tokenizer.json`, the format of the package tokenizers: how LMs read text."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from uslm_tokenizer.errors import ConfigError, EnvironmentProblem, MissingResource

VOCAB_FILE = "tokenizer.json"
"""Its name in the folder of a model."""
SPACE = "\u2581"
"""What stands for a space at the beginning of a subword."""


class SubwordVocab:
    """Subwords of a `tokenizer.json`, as MiniCPM's is."""

    reads: Literal["phonemes", "text"] = "text"

    def __init__(self, tokenizer: Any) -> None:
        """`tokenizer` is one of the package tokenizers."""
        self._tokenizer = tokenizer
        self._words = {word for word in tokenizer.get_vocab() if len(word) > 1 and _chinese(word)}

    @classmethod
    def load(cls, path: str | Path) -> "SubwordVocab":
        """From a file."""
        path = Path(path)
        if not path.is_file():
            raise MissingResource(f"there are no subwords {str(path)!r}")
        try:
            from tokenizers import Tokenizer
        except ImportError as problem:
            raise EnvironmentProblem(
                "subwords need the package tokenizers: pip install tokenizers"
            ) from problem
        try:
            return cls(Tokenizer.from_file(str(path)))
        except Exception as problem:  # the package raises nothing narrower
            raise ConfigError(f"{path} holds no subwords: {problem}") from problem

    @property
    def size(self) -> int:
        """Number of ids."""
        return int(self._tokenizer.get_vocab_size())

    def encode(self, text: str) -> list[int]:
        """Ids of a text; a Chinese word of several characters as its characters."""
        found = self._tokenizer.encode(text, add_special_tokens=False)
        ids: list[int] = []
        for subword, place in zip(found.tokens, found.ids, strict=True):
            word = subword.replace(SPACE, "")
            if word in self._words:
                single = [self._tokenizer.token_to_id(sign) for sign in word]
                ids += [place] if None in single else single
            else:
                ids.append(place)
        return ids

    def decode(self, ids: Sequence[int]) -> str:
        """The text of ids."""
        return str(self._tokenizer.decode(list(ids)))

    def unknown(self, text: str) -> tuple[str, ...]:
        """Nothing: what has no subword is spelt in bytes."""
        return ()


def _chinese(word: str) -> bool:
    return all("\u4e00" <= sign <= "\u9fff" for sign in word)
