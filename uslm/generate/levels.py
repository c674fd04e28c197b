"""Stage 2 at work: fill the acoustic levels of a batch of rows, lowest level first."""

from collections.abc import Sequence

import torch
from jaxtyping import Int
from torch import Tensor

from uslm.generate.sampling import draw
from uslm.models.base import AcousticModel, AcousticRow


@torch.no_grad()
def fill_levels(
    model: AcousticModel,
    rows: Sequence[AcousticRow],
    *,
    temperature: float = 0.0,
    generators: Sequence[torch.Generator] | None = None,
) -> list[Int[Tensor, "k _"]]:
    """All levels of each row's target frames; level 0 must be there, the others are overwritten.

    Temperature 0 takes the likeliest code; otherwise row i draws from generator i.
    """
    assert temperature == 0 or (generators is not None and len(generators) == len(rows))
    batch = model.batch(rows)
    level = 1
    for group in model.level_groups:
        num_known = torch.full((len(rows),), level, device=batch.codes.device)
        hidden = model(batch, num_known)
        for i in range(len(rows)):
            target = batch.is_target[i]
            for filled in range(level, level + group):
                logits = model.logits(hidden[i, target], filled)
                generator = generators[i] if generators is not None else None
                batch.codes[i, filled, target] = draw(logits, temperature, generator)
        level += group
    return [batch.codes[i][:, batch.is_target[i]] for i in range(len(rows))]
