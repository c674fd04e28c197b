"""Format of a corpus folder.

audio.s16           samples of all utterances end to end: int16, little-endian, mono;
                    or shard-*.tar with shards.npy, as corpus_audio.py says
utterances.jsonl    one line an utterance: where its samples are, who speaks, what is said
corpus.json         format, sample rate, counts, and the hash that tokens are tied to
rejected.jsonl      recordings that were left out, and why
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

FORMAT = 1
AUDIO_FILE = "audio.s16"
UTTERANCES_FILE = "utterances.jsonl"
HEADER_FILE = "corpus.json"
REJECTED_FILE = "rejected.jsonl"
SHARDS_FILE = "shards.npy"
REMOVED_FILE = "audio.removed"
FULL_SCALE = 32_768


@dataclass(frozen=True, kw_only=True)
class TextIds:
    """The vocabulary that the text ids of a corpus are of."""

    vocab: str = "phonemes"
    """Tells it from others."""
    size: int = 53
    """Ids are below it."""

    def __str__(self) -> str:
        return self.vocab


PHONEMES = TextIds()
"""Unless a header names another one."""


def shard_name(number: int) -> str:
    """The name of a shard."""
    return f"shard-{number:06d}.tar"


def are_labels(value: object) -> bool:
    """Whether these are names of classes by kind."""
    return isinstance(value, dict) and all(
        isinstance(each, str) and each for pair in value.items() for each in pair
    )


@dataclass(frozen=True, kw_only=True)
class Utterance:
    """One line of utterances.jsonl."""

    id: str
    source: str
    """Name of the collection that the recording comes from."""
    audio: str
    """Path of the recording when the corpus was made; only for the reader."""
    speaker: str
    language: str
    text: str
    phonemes: str
    """Or the normalised text, in a corpus whose text ids are subwords of it."""
    text_ids: tuple[int, ...]
    """Ids of `phonemes`; empty where there is no text or no front end for the language."""
    split: str
    start_sample: int
    num_samples: int
    durations: tuple[float, ...] | None = None
    """Seconds of the silence before, of each text id, and of the silence after."""
    labels: Mapping[str, str] = field(default_factory=dict)
    """Known classes by kind, such as `gender`, `emotion` or `command`."""

    def to_json(self) -> str:
        """The line without its end."""
        data = asdict(self)
        if self.durations is None:
            del data["durations"]
        if not self.labels:
            del data["labels"]
        return json.dumps(data, ensure_ascii=False)

    @classmethod
    def from_json(cls, line: str) -> Utterance:
        """The utterance that a line describes."""
        return cls.from_data(json.loads(line))

    @classmethod
    def from_data(cls, data: dict[str, Any]) -> Utterance:
        """The utterance whose fields these are."""
        data["text_ids"] = tuple(data["text_ids"])
        if data.get("durations") is not None:
            data["durations"] = tuple(data["durations"])
        row = cls(**data)
        for key in ("start_sample", "num_samples"):
            if type(data[key]) is not int or not 0 <= data[key] < 2**62:
                raise ValueError(f"{key} cannot be {data[key]!r}")
        if not all(type(each) is int and 0 <= each < 2**31 for each in row.text_ids):
            raise ValueError("text_ids must be whole numbers")
        if not are_labels(row.labels):
            raise ValueError(f"labels cannot be {data['labels']!r}")
        return row
