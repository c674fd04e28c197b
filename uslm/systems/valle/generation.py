"""VALL-E at work the published way: when stage 1 stops, and what stage 2 is given."""

from jaxtyping import Int
from torch import Tensor

from uslm.generate.autoregressive import StopRule
from uslm.models.base import AcousticRow
from uslm.systems.valle.model import ValleConfig

FRAMES_PER_SYMBOL = 16
"""The published code stops beyond so many units for each text id."""
NEVER = 2**31


def pretrained_stop(config: ValleConfig, num_symbols: int) -> StopRule:
    """The rule of the published code: as soon as nothing is likelier than the end, or the speech
    is far too long; it guards against neither loops nor silence.

    Speech may also be empty, which the published code calls a syntax error.
    """
    # It counts the BOS token as a unit, and looks only before it appends the next one.
    longest = FRAMES_PER_SYMBOL * num_symbols + (not config.ar.prepend_bos)
    return StopRule(
        min_frames=0, max_frames=longest, max_run=NEVER, loop_length=NEVER, end_if_likeliest=True
    )


def pretrained_row(
    config: ValleConfig,
    text_ids: Int[Tensor, " s"],
    num_prompt_ids: int,
    prompt: Int[Tensor, "k p"],
    units: Int[Tensor, " t"],
) -> AcousticRow:
    """The row that stage 2 is to fill. `text_ids` are those of prompt and speech, read as one;
    `num_prompt_ids` counts those of the prompt when it is read alone, with both its marks."""
    if config.nar.prefix_mode in (2, 4):
        text_ids = _without_prompt(text_ids, num_prompt_ids)
    codes = prompt.new_zeros(len(prompt), len(units))
    codes[0] = units
    return AcousticRow(prompt=prompt, codes=codes, text_ids=text_ids)


def _without_prompt(text_ids: Int[Tensor, " s"], num_prompt_ids: int) -> Int[Tensor, " _"]:
    """The BOS token and what follows the prompt; the prompt's EOS token is not in `text_ids`."""
    kept = [*range(1), *range(max(1, num_prompt_ids - 1), len(text_ids))]
    return text_ids[kept]
