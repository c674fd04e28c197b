"""States of a frozen language model for every frame of a corpus, computed once and mapped.

DM-Codec (Ahasan et al. 2024) lays the tokens of a transcript out one a frame from the first frame
on, whenever they are said; its reviewers asked for an alignment. Here a word's state stands in the
frames in which the word is said; the two other layouts are the controls.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor

from uslm.voices.length import AlignedWord
from uslm_recipes.data.corpus import Corpus
from uslm_recipes.data.word_times import load_aligner, words_of
from uslm_recipes.train.teachers.features import TeacherFeatures
from uslm_tokenizer.errors import ConfigError
from uslm_tokenizer.objectives.word_states import WordStates
from uslm_tokenizer.ssl.front_ends import HOP_LENGTH

MEASURED = 1000
"""Utterances from which mean and deviation of the states are taken."""


@dataclass(frozen=True, kw_only=True)
class LanguageTeacherConfig:
    """The language model whose states a codec learns, and where they are put."""

    name: str = ""
    """A transformers folder or a model of the Hub: BERT, or any other that reads text."""
    layers: tuple[int, ...] = ()
    """Its layers whose mean is the state, counted from 1; none: all of them."""
    alignment: Literal["words", "padded", "shuffled"] = "words"
    """words: a word's state where it is said. padded: DM-Codec's, a token a frame from the first
    on, then nothing. shuffled: as words, but each word's frames get another word's state."""
    recognizer: str = ""
    """A trained codec that recognises phonemes, as the default model's does: it finds the words of
    utterances whose corpus does not tell the phonemes' durations."""


def language_features(
    corpus: Corpus, folder: Path, config: LanguageTeacherConfig, *, device: torch.device
) -> TeacherFeatures:
    """Open the features in `folder`; compute them first if they are not there, or are others'.

    Each dimension has a mean of zero and a variance of one over the words, and is zero where
    nothing is said: there the loss, a cosine over time, asks for nothing.
    """
    wanted = {"corpora": [each["sha"] for each in corpus.headers], **asdict(config)}
    wanted["layers"] = list(config.layers)
    header = folder / "teacher.json"
    if header.is_file() and json.loads(header.read_text("utf-8")) == wanted:
        return TeacherFeatures(folder)
    folder.mkdir(parents=True, exist_ok=True)
    header.unlink(missing_ok=True)
    model = WordStates.load(config.name, config.layers).to(device)
    aligner = load_aligner(config.recognizer) if config.recognizer else None

    def place(index: int) -> Placed:
        row = corpus.utterances[index]
        if config.alignment == "padded":
            return _padded(model, row.text)
        words = words_of(corpus, index, aligner)
        states = model.words([word for word, _, _ in words]) if words else torch.zeros(0)
        if config.alignment == "shuffled":
            states = states[_other_order(len(words), index)]
        return states, _frames(words, corpus.sample_rate)

    some = np.random.default_rng(0).permutation(len(corpus))[:MEASURED].tolist()
    states = [each for each in (place(index)[0] for index in some) if len(each)]
    if not states:
        raise ConfigError("language_cosine needs a corpus with texts, but none has any")
    mean = torch.cat(states).mean(0)
    scale = torch.cat(states).std(0, unbiased=False).clamp(min=1e-4)
    starts = np.concatenate([[0], np.cumsum(corpus.num_samples // HOP_LENGTH)]).astype(np.int64)
    features = np.lib.format.open_memmap(
        folder / "features.npy", mode="w+", dtype=np.float16, shape=(int(starts[-1]), model.dim)
    )
    for index in range(len(corpus)):
        segment = features[starts[index] : starts[index + 1]]
        for state, (first, last) in zip(*place(index), strict=True):
            segment[first:last] = ((state - mean) / scale).numpy()
    features.flush()
    np.save(folder / "starts.npy", starts)
    header.write_text(json.dumps(wanted), "utf-8")
    return TeacherFeatures(folder)


Placed = tuple[Float[Tensor, "..."], list[tuple[int, int]]]
"""States, and the frames from and to which each stands."""


def _padded(model: WordStates, text: str) -> Placed:
    if not text.strip():
        return torch.zeros(0), []
    states = model.tokens(text)
    return states, [(frame, frame + 1) for frame in range(len(states))]


def _frames(words: Sequence[AlignedWord], sample_rate: int) -> list[tuple[int, int]]:
    """A frame is of the word that sounds in its middle; a short word has one at least."""
    rate, found = sample_rate / HOP_LENGTH, []
    for _, begin, end in words:
        first = round(begin * rate)
        found.append((first, max(first + 1, round(end * rate))))
    return found


def _other_order(count: int, seed: int) -> NDArray[np.int64]:
    """A circle in random order: of two words or more none keeps its own."""
    order = np.random.default_rng(seed).permutation(count)
    moved = np.empty(count, dtype=np.int64)
    moved[order] = np.roll(order, 1)
    return moved
