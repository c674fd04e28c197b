"""VoxCPM speaking: patch after patch until the stop head ends it, or it has to be ended."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from uslm.generate.flow import RectifiedFlow, Solver, mirrored, sample, sway
from uslm.generate.guidance import zero_star
from uslm.systems.voxcpm.model import VoxCPM
from uslm.systems.voxcpm.stacks import go_on
from uslm_tokenizer.errors import UserError

PATH = RectifiedFlow()


@dataclass(frozen=True, kw_only=True)
class PatchSteps:
    """Settings of the way from noise to a patch; the defaults are those of VoxCPM."""

    steps: int = 10
    """Steps."""
    guidance: float = 2.0
    """How far the direction is driven from that without condition; 1: not at all."""
    sway: float = 1.0
    """How long it dwells on the noise, counted from the data; 0: steps of one length."""
    still_share: float = 0.04
    """Of the steps: the first of them in which nothing moves, as nothing is known of noise."""
    solver: Solver = "euler"
    """Euler, or with half steps."""
    temperature: float = 1.0
    """Deviation of the noise."""

    def __post_init__(self) -> None:
        if self.steps < 1:
            raise UserError(f"steps must be 1 or more, but is {self.steps}")
        if self.still_share and self.still_steps >= self.steps:
            raise UserError(
                f"steps must be above {self.still_steps}, the first in which nothing moves, but "
                f"is {self.steps}"
            )

    @property
    def still_steps(self) -> int:
        """First steps in which nothing moves: one at least, unless there are to be none."""
        return max(1, int((self.steps + 1) * self.still_share)) if self.still_share else 0

    @property
    def schedule(self) -> tuple[float, ...]:
        """Places that a patch passes."""
        return mirrored(PATH, sway(self.steps, self.sway))


@dataclass(frozen=True, kw_only=True)
class Limits:
    """Limits of the length of speech, in patches."""

    min_patches: int = 4
    """It does not end before."""
    max_patches: int = 2000
    """It is cut there."""
    loop_length: int = 12
    """It is cut where its last so many patches repeat the so many before them, ..."""
    loop_tolerance: float = 0.05
    """... up to so much of their deviation."""


@dataclass
class Spoken:
    """Patches that were made of a text."""

    patches: Float[Tensor, "n p c"]
    stop_reason: str
    """`end` (the model ended), `length` (cut at max_patches), `loop`."""


@dataclass
class VoxState:
    """A row between two patches."""

    lm_cache: Any
    residual_cache: Any
    semantic: Float[Tensor, "1 d"]
    residual: Float[Tensor, "1 d"]
    previous: Float[Tensor, "1 p c"]


@torch.no_grad()
def begin(
    model: VoxCPM, text: Int[Tensor, " s"], prompt: Float[Tensor, "n p c"] | None = None
) -> VoxState:
    """Read a text, and the patches that its beginning was spoken as."""
    size, dim = model.config.patch_size, model.config.latent_dim
    if prompt is None:
        prompt = torch.zeros(0, size, dim)
    model.check_patches(prompt)
    ids = torch.cat([text.cpu().long(), torch.tensor([model.config.start_id])]).to(model.device)
    if int(ids.max()) >= model.text_vocab_size:
        raise UserError(
            f"text ids must be below {model.text_vocab_size}, but reach {int(ids.max())}"
        )
    x = model.embed_text(ids[None])
    speech = torch.zeros_like(x)
    if len(prompt):
        vectors = model.embed_patches(prompt.to(model.device))[None]
        x, speech = torch.cat([x, vectors], dim=1), torch.cat([speech, vectors], dim=1)
    raw, lm_cache = go_on(model.lm, x, None)
    semantic = torch.cat([raw[:, : len(ids)], model.bottleneck(raw[:, len(ids) :])], dim=1)
    residual, residual_cache = go_on(model.residual_lm, semantic + speech, None)
    previous = prompt[-1:] if len(prompt) else prompt.new_zeros(1, size, dim)
    return VoxState(
        lm_cache, residual_cache, semantic[:, -1], residual[:, -1],
        previous.to(model.device, model.dtype),
    )  # fmt: skip


@torch.no_grad()
def next_patch(
    model: VoxCPM, state: VoxState, how: PatchSteps, generator: torch.Generator
) -> Float[Tensor, "1 p c"]:
    """A patch by flow from noise; UserError where guidance is asked of a model without."""
    guided = how.guidance != 1
    condition = model.condition(state.semantic, state.residual)
    schedule = how.schedule
    moves_from = schedule[how.still_steps] - 1e-6  # places come in single precision

    def direction(
        x: Float[Tensor, "b t c"], places: Float[Tensor, "b t"]
    ) -> Float[Tensor, "b t c"]:
        place = places[:, 0]
        if float(place[0]) < moves_from:
            return torch.zeros_like(x)
        given: Tensor = model.decoder(x, place, condition, state.previous)
        if not guided:
            return given
        free = None  # a model that always had a condition knows nothing of none
        if model.config.drop_rate > 0:
            free = model.decoder(x, place, torch.zeros_like(condition), state.previous)
        return zero_star(given, free, scale=how.guidance)

    noise = how.temperature * torch.randn(
        state.previous.shape, generator=generator, device=generator.device
    )
    start: Tensor = noise.to(state.previous)
    return sample(direction, start, PATH, schedule, solver=how.solver)


@torch.no_grad()
def take(model: VoxCPM, state: VoxState, patch: Float[Tensor, "1 p c"]) -> None:
    """Read a patch that was made, into the state."""
    vectors = model.embed_patches(patch)[None]
    raw, state.lm_cache = go_on(model.lm, vectors, state.lm_cache)
    semantic = model.bottleneck(raw)
    residual, state.residual_cache = go_on(
        model.residual_lm, semantic + vectors, state.residual_cache
    )
    state.semantic, state.residual = semantic[:, 0], residual[:, 0]
    state.previous = patch


def is_last(model: VoxCPM, state: VoxState) -> bool:
    """Whether the patch that is made from this state ends speech."""
    return bool(model.to_stop(state.semantic)[0].argmax() == 1)


@dataclass
class Draw:
    """Patches that are being made of a text."""

    patches: list[Float[Tensor, "p c"]]
    """All so far; a repetition is taken out of them."""
    stop_reason: str | None = None
    """As of `Spoken`; None while there is more to come."""


def draw(
    model: VoxCPM,
    text: Int[Tensor, " s"],
    prompt: Float[Tensor, "n p c"] | None,
    how: PatchSteps,
    limits: Limits,
    generator: torch.Generator,
    before: Sequence[Float[Tensor, "p c"]] = (),
) -> Iterator[Draw]:
    """The draw, the same object after each patch; it goes on from patches said `before`."""
    drawn = Draw(list(before))
    known = prompt
    if before:
        said = torch.stack(drawn.patches)
        known = said if prompt is None else torch.cat([prompt, said])
    made = drawn.patches
    for patch, ends in patches(model, begin(model, text, known), how, generator):
        made.append(patch[0].float().cpu())
        if ends and len(made) >= limits.min_patches:
            drawn.stop_reason = "end"
        elif repeats(made, limits):
            del made[-limits.loop_length :]
            drawn.stop_reason = "loop"
        elif len(made) >= limits.max_patches:
            drawn.stop_reason = "length"
        yield drawn
        if drawn.stop_reason is not None:
            return


def speak(
    model: VoxCPM,
    text: Int[Tensor, " s"],
    prompt: Float[Tensor, "n p c"] | None,
    how: PatchSteps,
    limits: Limits,
    generator: torch.Generator,
) -> Spoken:
    """All patches of a text after its prompt."""
    for drawn in draw(model, text, prompt, how, limits, generator):  # noqa: B007
        pass
    assert drawn.stop_reason is not None
    return Spoken(torch.stack(drawn.patches), drawn.stop_reason)


def patches(
    model: VoxCPM, state: VoxState, how: PatchSteps, generator: torch.Generator
) -> Iterator[tuple[Float[Tensor, "1 p c"], bool]]:
    """Patch after patch without end, and whether the model would end there."""
    while True:
        patch, ends = next_patch(model, state, how, generator), is_last(model, state)
        yield patch, ends
        take(model, state, patch)


def repeats(made: list[Float[Tensor, "p c"]], limits: Limits) -> bool:
    """Whether the end repeats what was just before it."""
    n = limits.loop_length
    if len(made) < 2 * n:
        return False
    before, last = torch.stack(made[-2 * n : -n]), torch.stack(made[-n:])
    spread = torch.stack(made).std().clamp(min=1e-6)
    return bool((last - before).square().mean().sqrt() < limits.loop_tolerance * spread)
