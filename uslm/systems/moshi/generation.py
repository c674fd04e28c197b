"""Moshi at work, step by step: some streams are given, the others are drawn.

What is drawn and what is given decides what it does: with nothing but the user's codes given it
converses, with the text given it reads aloud, with its own codes given it transcribes.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import torch
from jaxtyping import Float, Int
from torch import Tensor

from uslm.generate.sampling import Sampling, sample
from uslm.systems.moshi.model import MoshiLM
from uslm.systems.moshi.text_stream import WordFeeder
from uslm_tokenizer.errors import UserError
from uslm_tokenizer.nn.attention import KVCache
from uslm_tokenizer.sequence.grid import TokenGrid, build_grid, delay, undelay

DRAWN = -1
"""In place of a given token: it is to be drawn."""
SPARE_STEPS = 512
"""Steps that a cache takes beyond the context before it is moved."""


@dataclass(frozen=True, kw_only=True)
class MoshiSampling:
    """Settings of how tokens are drawn; those published."""

    text: Sampling = field(default_factory=lambda: Sampling(temperature=0.7, top_k=25, top_p=1.0))
    """Of the text."""
    codes: Sampling = field(default_factory=lambda: Sampling(temperature=0.8, top_k=250, top_p=1.0))
    """Of the codes."""


@dataclass
class MoshiState:
    """A stream of steps: all that the next one needs."""

    cache: KVCache
    last: Int[Tensor, "b k"]
    """The tokens of the step before, of the delayed grid."""
    steps: int = 0
    """Steps taken."""


def start(model: MoshiLM, batch_size: int = 1) -> MoshiState:
    """Before the first step."""
    context = model.config.context
    cache = model.transformer.new_cache(batch_size, context + min(context, SPARE_STEPS), context)
    return MoshiState(cache, model.initial(batch_size))


@torch.no_grad()
def next_step(
    model: MoshiLM,
    state: MoshiState,
    given: Int[Tensor, "b k"],
    generators: Sequence[torch.Generator],
    sampling: MoshiSampling,
    *,
    write: Callable[[Int[Tensor, " b"]], Int[Tensor, " b"]] | None = None,
) -> Int[Tensor, "b k"]:
    """One step of the delayed grid: what is DRAWN in `given` is drawn, row i by generator i.

    `write` turns the text that was drawn into what is written. The user's codes must be given.
    """
    positions = torch.full((len(given), 1), float(state.steps), device=given.device)
    x = model.embed(state.last[..., None])
    hidden = model.transformer.extend(x, positions, state.cache)[:, 0]
    column = given.clone()
    _draw_into(column, 0, model.to_text(hidden), sampling.text, generators)
    if write is not None:
        column[:, 0] = write(column[:, 0])
    if model.depth is not None:
        _draw_codes(model, hidden, column, sampling.codes, generators)
    assert int(column.min()) >= 0, "the user's codes must be given"
    state.last, state.steps = column, state.steps + 1
    return column


def _draw_codes(
    model: MoshiLM,
    hidden: Float[Tensor, "b d"],
    column: Int[Tensor, "b k"],
    sampling: Sampling,
    generators: Sequence[torch.Generator],
) -> None:
    """Fill in the own codes of a column whose text is known."""
    assert model.depth is not None
    own = column[:, 1 : 1 + model.config.num_codebooks]
    if not bool((own == DRAWN).any()):
        return
    cache, last = model.depth.new_cache(len(column)), column[:, 0]
    for k in range(model.config.num_codebooks):
        logits = model.depth.step(hidden, last, cache)
        _draw_into(own, k, logits, sampling, generators)
        last = own[:, k]


def _draw_into(
    column: Int[Tensor, "b k"],
    k: int,
    logits: Float[Tensor, "b v"],
    sampling: Sampling,
    generators: Sequence[torch.Generator],
) -> None:
    wanted = column[:, k] == DRAWN
    if bool(wanted.any()):
        drawn = sample(logits.float(), sampling, generators)
        column[:, k] = torch.where(wanted, drawn, column[:, k])


@torch.no_grad()
def complete(
    model: MoshiLM,
    given: Sequence[Int[Tensor, "k _"]],
    generators: Sequence[torch.Generator],
    sampling: MoshiSampling | None = None,
    *,
    write: Callable[[Int[Tensor, " b"]], Int[Tensor, " b"]] | None = None,
) -> list[Int[Tensor, "k t"]]:
    """Rows of frames with everything filled in that is DRAWN in them.

    Raises UserError unless all rows are of one length, that of the user's codes.
    """
    lengths = {row.shape[1] for row in given}
    if len(lengths) != 1:
        raise UserError(f"rows must have as many frames each, but have {sorted(lengths)}")
    streams, own = model.config.streams, model.config.num_codebooks
    if any(bool((row[1 + own :] == DRAWN).any()) for row in given):
        raise UserError("the user's codes must be given, but some are to be drawn")
    # Frames are put into a grid with their holes marked, and the delay moves both.
    holes = torch.stack([row.cpu() for row in given]) == DRAWN
    rows = [row.cpu().clamp(min=0) for row in given]
    plain = build_grid(rows, streams)
    marked = delay(TokenGrid(plain.tokens, holes.float()), streams)
    columns = torch.where(marked.weights > 0, DRAWN, marked.tokens).to(model.device)
    state = start(model, len(given))
    made = [
        next_step(
            model, state, columns[..., t], generators, sampling or MoshiSampling(), write=write
        )
        for t in range(columns.shape[2])
    ]
    tokens = torch.stack(made, dim=2)
    return list(undelay(TokenGrid(tokens, torch.zeros_like(tokens).float()), streams).tokens)


def transcribe(
    model: MoshiLM,
    codes: Int[Tensor, "k t"],
    generator: torch.Generator,
    sampling: MoshiSampling | None = None,
) -> Int[Tensor, " t"]:
    """The text stream of a recording, given as all codes that the model knows: its own, then the
    user's. Text after the audio (`text_delay`) knows what it writes."""
    if len(codes) != len(model.config.streams) - 1:
        raise UserError(
            f"codes must have {len(model.config.streams) - 1} rows, own and user's, "
            f"but have {len(codes)}"
        )
    text = codes.new_full((1, codes.shape[1]), DRAWN)
    return complete(model, [torch.cat([text, codes])], [generator], sampling)[0][0]


def read_aloud(
    model: MoshiLM,
    words: Sequence[Sequence[int]],
    generator: torch.Generator,
    sampling: MoshiSampling | None = None,
    *,
    user: Int[Tensor, "u n"] | None = None,
    max_frames: int = 1000,
    final_frames: int = 12,
) -> Int[Tensor, "k t"]:
    """Text and own codes of words given as text tokens; `user` is what the other speaker says
    meanwhile, its last frame for ever after. The model decides when each word begins.

    Speech ends `final_frames` after the last word, or is cut at `max_frames`.
    """
    config = model.config
    if config.num_codebooks == 0:
        raise UserError("num_codebooks of a model that reads aloud must be above 0, but is 0")
    if config.num_user_codebooks and (user is None or user.shape[1] == 0):
        raise UserError(
            f"user must be given, {config.num_user_codebooks} codes of a frame or more: this model "
            "is given another speaker"
        )
    feeder = WordFeeder([tuple(w) for w in words], config.pad_id, config.end_pad_id)
    streams, initial = config.streams, model.initial(1)
    state, columns, end = start(model), list[Tensor](), max_frames

    def write(drawn: Int[Tensor, " b"]) -> Int[Tensor, " b"]:
        return torch.full_like(drawn, feeder.feed(int(drawn)))

    while len(columns) < end + config.max_delay:
        t = len(columns)
        column = initial.clone()
        for k, stream in enumerate(streams):
            frame = t - stream.delay
            if not 0 <= frame < end:
                continue
            column[0, k] = DRAWN
            if user is not None and k > config.num_codebooks:
                column[0, k] = user[k - 1 - config.num_codebooks, min(frame, user.shape[1] - 1)]
        feeds = int(column[0, 0]) == DRAWN
        columns.append(
            next_step(
                model, state, column, [generator], sampling or MoshiSampling(),
                write=write if feeds else None,
            )
        )  # fmt: skip
        if feeder.is_over:
            end = min(end, len(columns) + final_frames)
    grid = torch.stack(columns, dim=2)
    frames = undelay(TokenGrid(grid, torch.zeros_like(grid).float()), streams).tokens[0]
    return frames[: 1 + config.num_codebooks]
