"""Train stage 2, the acoustic transformer: units and a voice's codes -> all levels.

    python -m uslm_recipes.train_nar --config mini --out runs/nar \\
        --set corpus=data/corpus --set tokens=runs/tokens --max-minutes 20

Any speech trains it, with text or without. The prompt is a piece of another utterance of the
speaker, or of the same one; a row may begin inside the utterance with frames that are known, as
when speech is made block by block.
"""

from dataclasses import dataclass, field

import numpy as np
import torch
from jaxtyping import Float, Int
from numpy.typing import NDArray
from torch import Tensor

from uslm.models.base import AcousticBatch, AcousticRow
from uslm.models.nar import AcousticLM, AcousticLMConfig
from uslm_recipes.data.corpus import Corpus
from uslm_recipes.data.tokens import TokenCorpus
from uslm_recipes.loop import LoopConfig


@dataclass(frozen=True, kw_only=True)
class NARRecipe:
    """Everything that decides a run of this recipe."""

    model: AcousticLMConfig = field(default_factory=AcousticLMConfig)
    """The transformer to train."""
    loop: LoopConfig = field(default_factory=LoopConfig)
    """Length, learning rate and the like."""
    corpus: tuple[str, ...] = ("data/corpus",)
    """Corpus folders, as uslm-prepare makes them."""
    tokens: tuple[str, ...] = ("runs/tokens",)
    """Token folders, as encode makes them; one for each corpus."""
    seconds_per_batch: float = 200.0
    """Seconds of target speech in a batch."""
    min_prompt_frames: int = 50
    """Shortest prompt."""
    max_prompt_frames: int = 225
    """Longest prompt."""
    max_target_frames: int = 400
    """Longest piece of an utterance in a row."""
    known_share: float = 0.4
    """Share of rows whose first frames are known."""
    text_dropout: float = 0.4
    """Share of rows with text that are shown without it."""
    ahead_weight: float = 0.3
    """Weight of the levels behind the next one."""
    label_smoothing: float = 0.05
    """Probability mass that the target code gives to the others."""


class AcousticRows:
    """Rows with prompts; what a row shows is drawn."""

    def __init__(self, corpus: Corpus, tokens: TokenCorpus, indices: NDArray[np.int64]) -> None:
        self.corpus, self.tokens = corpus, tokens
        self.by_speaker: dict[str, list[int]] = {}
        for index in map(int, indices):
            self.by_speaker.setdefault(corpus.speakers[index], []).append(index)

    def row(self, index: int, recipe: NARRecipe, random: np.random.Generator) -> AcousticRow:
        """Prompt, target, text and known frames of one utterance."""
        mates = self.by_speaker[self.corpus.speakers[index]]
        mate = mates[int(random.integers(len(mates)))]
        codes = self.tokens.codes(index)
        num_prompt = int(random.integers(recipe.min_prompt_frames, recipe.max_prompt_frames + 1))
        start = 0
        if mate == index:  # the same utterance: its beginning is the prompt
            start = min(num_prompt, codes.shape[1] // 2)
            prompt = codes[:, :start]
        else:
            prompt = _piece(self.tokens.codes(mate), num_prompt, random)[1]
        offset, target = _piece(codes[:, start:], recipe.max_target_frames, random)
        known = 0
        if random.random() < recipe.known_share:
            known = int(random.integers(0, max(1, min(100, target.shape[1] - 10))))
        text = torch.from_numpy(self.corpus.text_ids[index])
        hidden = len(text) == 0 or random.random() < recipe.text_dropout
        return AcousticRow(
            prompt=prompt,
            codes=target,
            num_context=known,
            start=start + offset,
            text_ids=None if hidden else text,
        )


def _piece(
    codes: Int[Tensor, "k t"], length: int, random: np.random.Generator
) -> tuple[int, Int[Tensor, "k p"]]:
    """A random stretch of at most `length` frames, and where it begins."""
    start = int(random.integers(0, max(1, codes.shape[1] - length + 1)))
    return start, codes[:, start : start + length]


def draw_levels(
    rows: int, num_codebooks: int, random: np.random.Generator
) -> Int[Tensor, " b"]:
    """Levels that each row shows, 1 or more: low ones more often, all others lean on them."""
    weights = 1.0 / np.arange(1, num_codebooks)
    drawn = random.choice(np.arange(1, num_codebooks), size=rows, p=weights / weights.sum())
    return torch.from_numpy(drawn)


def loss_of(
    model: AcousticLM, batch: AcousticBatch, num_known: Int[Tensor, " b"], recipe: NARRecipe
) -> tuple[Float[Tensor, ""], dict[str, Tensor]]:
    """The next level's cross-entropy, and, less, that of the levels behind it."""
    losses = model.loss(batch, num_known, smoothing=recipe.label_smoothing)
    total = torch.stack(list(losses.following.values())).mean()
    if losses.ahead:
        total = total + recipe.ahead_weight * torch.stack(list(losses.ahead.values())).mean()
    return total, {f"level_{level}": value for level, value in losses.following.items()}
