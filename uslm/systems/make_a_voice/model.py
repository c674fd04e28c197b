"""Make-A-Voice's language model and its tables of stages (Huang et al. 2023, arXiv 2305.19269).

    speak      text -> units;   prompt's codes, units               -> codes
    convert                     prompt's codes, units               -> codes
    sing       text -> units;   prompt's codes, units, pitch tokens -> codes

The stage that writes codes is one and the same in all three: a row of its training may lack the
pitch tokens. Codes are those of a codec's first codebooks, frame after frame.
"""

from typing import ClassVar, Literal

from uslm.generate.cascade import Stage, check_rates
from uslm.models.span_lm import SpanLM, SpanLMConfig, TokenKind
from uslm_tokenizer.errors import ConfigError

TEXT, UNITS, PITCH = "text", "units", "pitch"
PROMPT, CODES = "prompt codes", "codes"
Task = Literal["speak", "convert", "sing"]


class MakeAVoiceLM(SpanLM):
    """One of Make-A-Voice's two language models: which, its kinds say."""

    model_type: ClassVar[str] = "make_a_voice_lm"

    @classmethod
    def tiny_config(cls) -> SpanLMConfig:
        kinds = acoustic_kinds(
            num_units=32, unit_rate=50.0, num_pitches=256, num_codebooks=2, codebook_size=8,
            frame_rate=50.0,
        )  # fmt: skip
        return SpanLMConfig(kinds=kinds, dim=32, num_heads=2, num_layers=2, dropout=0.0)


def semantic_kinds(
    *, text_vocab_size: int, num_units: int, unit_rate: float
) -> tuple[TokenKind, ...]:
    """The kinds of the stage that reads text; the rate is in Hz."""
    return (
        TokenKind(name=TEXT, size=text_vocab_size),
        TokenKind(name=UNITS, size=num_units, rate=unit_rate),
    )


def acoustic_kinds(
    *,
    num_units: int,
    unit_rate: float,
    num_pitches: int,
    num_codebooks: int,
    codebook_size: int,
    frame_rate: float,
) -> tuple[TokenKind, ...]:
    """The kinds of the stage that writes codes; there is a pitch for each unit. ConfigError unless
    units and frames of codes go into each other."""
    units_per_frame(unit_rate, frame_rate)
    size, rate = num_codebooks * codebook_size, num_codebooks * frame_rate
    return (
        TokenKind(name=UNITS, size=num_units, rate=unit_rate),
        TokenKind(name=PITCH, size=num_pitches, rate=unit_rate),
        *(
            TokenKind(name=name, size=size, rate=rate, tables=num_codebooks)
            for name in (PROMPT, CODES)
        ),
    )


def units_per_frame(unit_rate: float, frame_rate: float) -> int:
    """Units that a frame of codes lasts; 1 where a unit lasts several frames. ConfigError unless
    one rate is a multiple of the other: no window would hold whole tokens of both."""
    faster, slower = max(unit_rate, frame_rate), min(unit_rate, frame_rate)
    times = round(faster / slower)
    if abs(times * slower - faster) > 1e-6 * faster:
        raise ConfigError(
            "the rates of units and codes must divide, but there are "
            f"{unit_rate:g} units and {frame_rate:g} frames of codes per second"
        )
    return times if unit_rate > frame_rate else 1


def tasks(semantic: MakeAVoiceLM, acoustic: MakeAVoiceLM) -> dict[Task, tuple[Stage, ...]]:
    """The stages of each task. ConfigError where they do not fit together."""
    read = Stage(model=semantic, reads=(TEXT,), writes=UNITS)
    speak = Stage(
        model=acoustic, reads=(PROMPT, UNITS), writes=CODES, lasts_as=UNITS, optional=(PROMPT,)
    )
    sing = Stage(
        model=acoustic, reads=(PROMPT, UNITS, PITCH), writes=CODES, lasts_as=UNITS,
        optional=(PROMPT,),
    )  # fmt: skip
    check_rates((read, speak))
    return {"speak": (read, speak), "convert": (speak,), "sing": (read, sing)}
