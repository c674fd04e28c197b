"""Other utterances of the same speaker, from which prompts are taken."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from uslm_recipes.data.corpus import Corpus


class SameSpeakerSampler:
    """Utterances by speaker."""

    def __init__(self, corpus: Corpus, indices: NDArray[np.int64]) -> None:
        self._speakers = corpus.speakers
        self._by_speaker: dict[str, list[int]] = {}
        for index in map(int, indices):
            self._by_speaker.setdefault(self._speakers[index], []).append(index)

    def draw(self, index: int, random: np.random.Generator) -> int:
        """An utterance of the speaker of `index`; it may be the same."""
        same_speaker = self._by_speaker[self._speakers[index]]
        return same_speaker[int(random.integers(len(same_speaker)))]
