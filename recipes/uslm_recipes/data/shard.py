"""A share of the work on one corpus, for many machines: which one, of how many."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from uslm_tokenizer.errors import UserError

Item = TypeVar("Item")


@dataclass(frozen=True, kw_only=True)
class Shard:
    """Number `index` of `count` shares of nearly the same size."""

    index: int
    """From 0, as the task ids of an array job."""
    count: int
    """How many there are."""

    def __post_init__(self) -> None:
        if self.count < 1 or not 0 <= self.index < self.count:
            raise UserError(
                f"a shard must be from 0/{self.count} to below its count, but is {self}"
            )

    @classmethod
    def parse(cls, text: str) -> Shard:
        """`3/8`: the fourth of eight."""
        found = re.fullmatch(r"(\d{1,6})/(\d{1,6})", text)
        if found is None:
            raise UserError(f"a shard must be like 3/8, the fourth of eight, but is {text!r}")
        return cls(index=int(found[1]), count=int(found[2]))

    def __str__(self) -> str:
        return f"{self.index}/{self.count}"

    def has(self, number: int) -> bool:
        """Whether this one of things that are numbered from 0 is in its share."""
        return number % self.count == self.index

    def of(self, items: Sequence[Item]) -> list[Item]:
        """Its share: every `count`th, as those that lie together cost about the same."""
        return list(items[self.index :: self.count])

    def place(self, whole: Path) -> Path:
        """The folder for it beside the place of the whole."""
        return whole.with_name(f"{whole.name}.shard-{self.index}-of-{self.count}")


WHOLE = Shard(index=0, count=1)
"""The share of one who does all."""


def shards(count: int) -> list[Shard]:
    """All of them."""
    return [Shard(index=index, count=count) for index in range(count)]
