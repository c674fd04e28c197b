"""Flow matching at work: noise becomes speech in a few steps, guided away from the usual."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from uslm.generate.flow import RectifiedFlow, sample, uniform
from uslm.generate.guidance import guide
from uslm.systems.vevo.flow_matching import FlowMatching
from uslm_tokenizer.errors import UserError
from uslm_tokenizer.nn.padding import pad_right


@dataclass(frozen=True, kw_only=True)
class FlowSteps:
    """Settings of the integration from noise to speech; the defaults are those of Vevo."""

    steps: int = 32
    """Euler steps, each with the direction at its middle time."""
    guidance: float = 1.0
    """How far the direction is driven away from that without condition (Ho & Salimans 2022);
    0 saves half of the work."""
    rescale: float = 0.75
    """How much of the guided direction's growth is taken back (Lin et al. 2024)."""
    whole_batch: bool = False
    """Whether the growth is measured over all rows together, as the published code does. A row
    then depends on those beside it; only for comparison with that code."""

    def __post_init__(self) -> None:
        if self.steps < 1:
            raise UserError(f"steps must be 1 or more, but is {self.steps}")
        if not self.guidance >= 0:
            raise UserError(f"guidance must be 0 or more, but is {self.guidance}")
        if not 0 <= self.rescale <= 1:
            raise UserError(f"rescale must be in [0, 1], but is {self.rescale}")


@dataclass(frozen=True, kw_only=True, eq=False)
class FlowRow:
    """One utterance to be made."""

    content: Int[Tensor, " n"] | Float[Tensor, "n e"]
    """Units (or features) of the prompt, then of what is to be said; one for each frame."""
    prompt: Float[Tensor, "p c"]
    """Frames of the prompt."""

    @property
    def num_frames(self) -> int:
        """Frames to be made."""
        return len(self.content) - len(self.prompt)


@torch.no_grad()
def flow_frames(
    model: FlowMatching,
    rows: Sequence[FlowRow],
    how: FlowSteps,
    *,
    generators: Sequence[torch.Generator] | None = None,
    noise: Sequence[Float[Tensor, "_ c"]] | None = None,
) -> list[Float[Tensor, "_ c"]]:
    """The frames of each row after its prompt.

    They begin as the `noise`, or as what row i draws from generator i, and do not depend on the
    rows beside it, but for rounding where rows of unequal length are padded.
    """
    if how.guidance > 0 and model.config.drop_rate == 0:
        raise UserError(
            f"guidance must be 0 for a model without a null condition (drop_rate 0), but is "
            f"{how.guidance:g}"
        )
    for row in rows:
        if row.num_frames < 1:
            raise UserError(
                f"a row must have more units than its prompt has frames, but has "
                f"{len(row.content)} and {len(row.prompt)}"
            )
    if noise is None:
        assert generators is not None and len(generators) == len(rows)
        noise = [
            torch.randn(
                row.num_frames, model.config.frame_dim, generator=generator, device=generator.device
            )
            for row, generator in zip(rows, generators, strict=True)
        ]
    prompts = [row.prompt.to(model.device, model.dtype) for row in rows]
    content, mask = _padded([row.content.to(model.device) for row in rows])
    condition = model.condition(content)
    lengths = [row.num_frames for row in rows]

    def direction(
        x: Float[Tensor, "b t c"], places: Float[Tensor, "b t"]
    ) -> Float[Tensor, "b t c"]:
        made, time = [row[:n] for row, n in zip(x, lengths, strict=True)], places[:, 0]
        frames, _ = _padded([torch.cat(pair) for pair in zip(prompts, made, strict=True)])
        flow = model(frames, time, condition, mask)
        flows = [
            flow[i, len(prompt) : len(prompt) + n]
            for i, (prompt, n) in enumerate(zip(prompts, lengths, strict=True))
        ]
        if how.guidance > 0:
            alone, alone_mask = _padded(made)
            free = model(alone, time, None, alone_mask)
            flows = guide(
                flows, [free[i, :n] for i, n in enumerate(lengths)],
                guidance=how.guidance, rescale=how.rescale, whole_batch=how.whole_batch,
            )  # fmt: skip
        return pad_right(flows)[0]

    start, _ = pad_right([each.to(model.device, model.dtype) for each in noise])
    path = RectifiedFlow()
    made = sample(direction, start, path, uniform(path, how.steps), solver="euler_mid_place")
    return [frames[:n] for frames, n in zip(made, lengths, strict=True)]


def _padded(rows: Sequence[Tensor]) -> tuple[Tensor, Bool[Tensor, "b t"] | None]:
    """Rows filled up at the right; no mask where all are of one length."""
    padded, mask = pad_right(rows)
    return padded, None if bool(mask.all()) else mask
