"""Going on from a prompt of speech and text, token after token."""

from collections.abc import Sequence
from typing import Literal

import torch
from jaxtyping import Int
from torch import Tensor

from uslm.generate.sampling import Sampling, sample
from uslm.models.spans import Span
from uslm.models.speech_lm import SpeechLM


@torch.no_grad()
def go_on(
    model: SpeechLM,
    prompt: Sequence[Span],
    kind: Literal["speech", "text"],
    *,
    max_tokens: int,
    sampling: Sampling,
    generator: torch.Generator,
    min_tokens: int = 0,
) -> Int[Tensor, " t"]:
    """Units, or text ids, that follow; those of fewer than `max_tokens` where the model ends
    before, as it may after `min_tokens`, and of merged units more than one a token."""
    first = 0 if kind == "speech" else model.num_speech_tokens
    size = model.num_speech_tokens if kind == "speech" else model.text_vocab_size
    allowed = torch.tensor([*range(first, first + size), model.end_id], device=model.device)
    state, logits = model.begin(prompt, kind)
    said: list[int] = []
    while len(said) < max_tokens:
        window = sampling.repetition_window
        recent = [said[-window:] if window else []]
        scores = logits.index_select(0, allowed)[None]
        if len(said) < min_tokens:
            scores[:, size] = -torch.inf
        chosen = int(sample(scores, sampling, [generator], recent)[0])
        if chosen == size:
            break
        said.append(chosen)
        if len(said) < max_tokens:
            logits = model.step(first + chosen, state)
    tokens = torch.tensor(said, dtype=torch.long)
    return model.spell(tokens) if kind == "speech" else tokens
