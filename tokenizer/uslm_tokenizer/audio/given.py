"""Recordings in the forms that callers have: files, bytes, arrays, tensors, rows of data sets."""

import os
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from uslm_tokenizer.audio.bytes import BinaryReader
from uslm_tokenizer.audio.read import Audio, AudioSource
from uslm_tokenizer.errors import AudioError

AudioInput = Any
"""What `given_audio` takes."""
MAX_CHANNELS = 8
FORMS = (
    "a path, bytes, an open file, (array, rate), (rate, array), an array or tensor with "
    "sample_rate=, or an audio column's dict"
)


def given_audio(given: AudioInput, sample_rate: int | None = None) -> Audio | AudioSource:
    """A waveform as `Audio`, or else what `read_audio` reads.

    `sample_rate` (Hz) belongs to a bare array or tensor, `[n]`, `[channels, n]` or `[n, channels]`,
    of floats in [-1, 1] or of integers at full scale. Pairs of array and rate come in either order;
    dicts are those of Hugging Face `datasets`, decoded or not, and its decoders are asked for all
    samples. Raises AudioError for anything else.
    """
    if isinstance(given, (np.ndarray, torch.Tensor)):
        if sample_rate is None:
            raise AudioError("an array needs its rate: sample_rate=16000, or (array, 16000)")
        return _audio(given, sample_rate)
    if sample_rate is not None:
        raise AudioError("sample_rate goes with an array or a tensor; files know theirs")
    if isinstance(given, (Audio, str, os.PathLike, bytes, BinaryReader)):
        return given
    if isinstance(given, Mapping):
        return _from_row(given)
    if isinstance(given, (tuple, list)) and len(given) == 2:
        first, second = given
        array, rate = (second, first) if _is_rate(first) else (first, second)
        if _is_rate(rate):
            return _audio(array, int(rate))
    if hasattr(given, "get_all_samples"):  # a torchcodec decoder, as `datasets` gives since 4.0
        samples = given.get_all_samples()
        return _audio(samples.data, int(samples.sample_rate))
    raise AudioError(f"audio must be {FORMS}, but is a {type(given).__name__}")


def _from_row(row: Mapping[str, Any]) -> Audio | AudioSource:
    if row.get("array") is not None and row.get("sampling_rate") is not None:
        return _audio(row["array"], int(row["sampling_rate"]))
    for name in ("bytes", "path"):  # a column that is not decoded
        if row.get(name) is not None:
            source: AudioSource = row[name]
            return source
    raise AudioError(
        f"an audio dict must hold array and sampling_rate, bytes or path, but holds {sorted(row)}"
    )


def _is_rate(value: object) -> bool:
    return isinstance(value, (int, np.integer)) and not isinstance(value, bool)


def _audio(array: object, sample_rate: int) -> Audio:
    if isinstance(array, torch.Tensor):
        array = array.detach().cpu().numpy()
    try:
        samples = np.asarray(array)
    except ValueError as problem:
        raise AudioError(f"the samples make no array: {problem}") from problem
    return Audio(_mono(_floats(samples)), _checked_rate(sample_rate))


def _checked_rate(sample_rate: int) -> int:
    if not 4_000 <= sample_rate <= 768_000:
        raise AudioError(f"sample_rate must be from 4000 to 768000 Hz, but is {sample_rate}")
    return sample_rate


def _floats(samples: Any) -> Any:
    """In [-1, 1]; integers are taken at full scale, as files hold them."""
    kind = samples.dtype.kind
    if kind == "u" and samples.dtype.itemsize == 1:
        return (samples.astype(np.float32) - 128) / 128
    if kind == "i":
        return samples.astype(np.float32) / -float(np.iinfo(samples.dtype).min)
    if kind != "f":
        raise AudioError(f"samples must be floats or integers, but are {samples.dtype}")
    floats = samples.astype(np.float32)
    loudest = float(np.abs(floats).max(initial=0.0))
    if not np.isfinite(loudest):
        raise AudioError("samples must be finite, but some are not")
    if loudest > 8:  # what a little too loud a mix cannot be
        raise AudioError(
            f"floats must lie in [-1, 1], but reach {loudest:g}; hand integers over as integers"
        )
    return floats.clip(-1, 1)


def _mono(samples: Any) -> Float[Tensor, "1 n"]:
    """The mean of the channels; they are the shorter side."""
    if samples.ndim == 1:
        samples = samples[None]
    if samples.ndim != 2 or 0 in samples.shape or min(samples.shape) > MAX_CHANNELS:
        raise AudioError(
            "samples must be [n], [channels, n] or [n, channels], with at most "
            f"{MAX_CHANNELS} channels, but are {list(samples.shape)}"
        )
    channels = samples if samples.shape[0] <= samples.shape[1] else samples.T
    return torch.from_numpy(np.ascontiguousarray(channels.mean(axis=0, keepdims=True)))
