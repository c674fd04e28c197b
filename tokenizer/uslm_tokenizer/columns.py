"""Columns of Hugging Face `datasets`: audio to codes and codes to audio, with `Dataset.map`.

    coded = dataset.map(encode_column(codec), remove_columns="audio")
    decoded = coded.map(decode_column(codec), remove_columns="codes")

Nothing of `datasets` is imported: what `map` wants is a function from a row to a dict, and these
are such functions. A row is encoded alone, whatever stands beside it.
"""

from collections.abc import Callable, Mapping
from typing import Any

import torch

from uslm_tokenizer.audio.given import given_audio
from uslm_tokenizer.audio.read import Audio, read_audio
from uslm_tokenizer.base import AudioTokenizer
from uslm_tokenizer.errors import UserError

Row = Mapping[str, Any]


def encode_column(
    tokenizer: AudioTokenizer, audio: str = "audio", codes: str = "codes"
) -> Callable[[Row], dict[str, list[list[int]]]]:
    """A function for `Dataset.map`: the column `audio` of a row becomes `codes`, [k][t] integers.

    Audio is what an `Audio` column holds, decoded or not, or anything else that `create_voice`
    takes; it is mixed to mono, and resampled. UserError names the column that is not there.
    """

    def encode(row: Row) -> dict[str, list[list[int]]]:
        given = given_audio(_of(row, audio))
        recording = given if isinstance(given, Audio) else read_audio(given)
        waveform = recording.resampled(tokenizer.sample_rate).waveform
        found: list[list[int]] = tokenizer.encode_long(waveform).tolist()
        return {codes: found}

    return encode


def decode_column(
    tokenizer: AudioTokenizer, codes: str = "codes", audio: str = "audio"
) -> Callable[[Row], dict[str, dict[str, Any]]]:
    """The way back: `audio` is `{"array", "sampling_rate"}`, which `cast_column` makes an `Audio`
    column of. UserError if the codes are not this tokenizer's, or it cannot decode."""

    def decode(row: Row) -> dict[str, dict[str, Any]]:
        given = torch.as_tensor(_of(row, codes), dtype=torch.long, device=tokenizer.device)
        if given.ndim != 2:
            raise UserError(f"{codes} must be [k][t] integers, but are {list(given.shape)}")
        waveform = tokenizer.decode(given[None])[0, 0].float().cpu()
        return {audio: {"array": waveform.numpy(), "sampling_rate": tokenizer.sample_rate}}

    return decode


def _of(row: Row, column: str) -> Any:
    if column not in row:
        raise UserError(f"a row must have a column {column!r}, but has {sorted(row)}")
    return row[column]
