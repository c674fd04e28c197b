"""Measures of a codec: what is left of a recording, for a pair of waveforms of one length."""

import warnings
from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from uslm_tokenizer.audio.read import resample
from uslm_tokenizer.errors import EnvironmentProblem
from uslm_tokenizer.nn.spectral import mel_filters

Measure = Callable[[Float[Tensor, " n"], Float[Tensor, " n"], int], float | None]
"""The recording, what was decoded, and their rate -> a number; None where there is none."""

PESQ_RATE = 16_000
PESQ_FAILED = 1.0
"""What counts where PESQ finds no speech: its worst, as Codec-SUPERB (Wu et al. 2024) has it."""
MEL_WINDOWS = ((2048, 150), (512, 80))
"""Windows in samples and mel bands of the mel distance (Kumar et al. 2023), at 44.1 kHz or less."""
PITCH_FLOOR, PITCH_CEILING = 50.0, 1100.0
"""Hz."""
PITCH_STEP_SECONDS = 0.01
MIN_VOICED_FRAMES = 10
"""With less voice in common there is no correlation to speak of."""


def measure_pair(
    reference: Float[Tensor, " n"], decoded: Float[Tensor, " n"], sample_rate: int
) -> dict[str, float]:
    """All measures that are there and have something to say."""
    values = {
        name: measure(reference, decoded, sample_rate)
        for name, measure in available_measures().items()
    }
    return {name: value for name, value in values.items() if value is not None}


def available_measures() -> Mapping[str, Measure]:
    """All measures, without PESQ where it is not installed: it has to be compiled."""
    always: dict[str, Measure] = {
        "stoi": stoi,
        "si_sdr": si_sdr,
        "mel_distance": mel_distance,
        "f0_correlation": f0_correlation,
    }
    return {"pesq": pesq, **always} if has_pesq() else always


def has_pesq() -> bool:
    """Whether PESQ can be measured."""
    try:
        import_module("pesq")
    except ImportError:
        return False
    return True


def pesq(reference: Float[Tensor, " n"], decoded: Float[Tensor, " n"], sample_rate: int) -> float:
    """Wide-band PESQ (ITU-T P.862.2) by the package `pesq`, 1 to 4.6."""
    library = _library("pesq", "uslm[pesq]")
    if not bool(reference.any() and decoded.any()):  # it would divide by zero
        return PESQ_FAILED
    pair = [resample(waveform, sample_rate, PESQ_RATE).numpy() for waveform in (reference, decoded)]
    try:
        return float(library.pesq(PESQ_RATE, *pair, "wb"))
    except (library.NoUtterancesError, library.BufferTooShortError, ValueError):  # NaN inside
        return PESQ_FAILED


def stoi(
    reference: Float[Tensor, " n"], decoded: Float[Tensor, " n"], sample_rate: int
) -> float | None:
    """Short-time objective intelligibility (Taal et al. 2011) by `pystoi`, 0 to 1; None for less
    than some 0.4 s of sound."""
    library = _library("pystoi", "uslm[eval]")
    with warnings.catch_warnings():
        warnings.simplefilter("error", RuntimeWarning)
        try:
            value = float(library.stoi(reference.numpy(), decoded.numpy(), sample_rate))
        except RuntimeWarning:  # too little sound; the number that came with it means nothing
            return None
    return min(1.0, max(0.0, value))


def si_sdr(
    reference: Float[Tensor, " n"], decoded: Float[Tensor, " n"], sample_rate: int
) -> float | None:
    """Scale-invariant signal-to-distortion ratio (Le Roux et al. 2019), dB; None for silence."""
    wanted, made = (x.double() - x.double().mean() for x in (reference, decoded))
    if not bool(wanted.any()) or not bool(made.any()):
        return None
    target = wanted * (made @ wanted) / (wanted @ wanted)
    tiny = torch.finfo(torch.float64).tiny
    ratio = target.square().sum() / (made - target).square().sum().clamp(min=tiny)
    return float(10 * ratio.clamp(min=tiny).log10())


def mel_distance(
    reference: Float[Tensor, " n"], decoded: Float[Tensor, " n"], sample_rate: int
) -> float:
    """Mean distance of log10 mel spectrograms over two windows, plus that of the magnitudes
    themselves (descript-audio-codec's measure, Kumar et al. 2023)."""
    total = 0.0
    for window, bands in MEL_WINDOWS:
        wanted, made = (_mel(x, sample_rate, window, bands) for x in (reference, decoded))
        total += float((wanted - made).abs().mean())
        total += float((_log(wanted) - _log(made)).abs().mean())
    return total


def f0_correlation(
    reference: Float[Tensor, " n"], decoded: Float[Tensor, " n"], sample_rate: int
) -> float | None:
    """Pearson's correlation of the pitch in cents, where both are voiced; None with too little.

    The pitch is Praat's (autocorrelation, Boersma 1993), by `praat-parselmouth`.
    """
    library = _library("parselmouth", "uslm[eval]")
    first, second = (
        _pitch(library, waveform.double().numpy(), sample_rate) for waveform in (reference, decoded)
    )
    common = min(len(first), len(second))
    both = (first[:common] > 0) & (second[:common] > 0)
    if both.sum() < MIN_VOICED_FRAMES:
        return None
    one, other = (1200 * np.log2(pitch[:common][both] / 440) for pitch in (first, second))
    if np.ptp(one) == 0 or np.ptp(other) == 0:
        return None
    return float(np.corrcoef(one, other)[0, 1])


def median_pitch(waveform: Float[Tensor, " n"], sample_rate: int) -> float | None:
    """Median F0 of the voiced frames, Hz, by Praat; None where there are too few."""
    pitch = _pitch(_library("parselmouth", "uslm[eval]"), waveform.double().numpy(), sample_rate)
    voiced = pitch[pitch > 0]
    return float(np.median(voiced)) if len(voiced) >= MIN_VOICED_FRAMES else None


def _pitch(library: Any, samples: Any, sample_rate: int) -> Any:
    """Hz in each frame; 0 where there is no voice."""
    if len(samples) < 3 * sample_rate / PITCH_FLOOR:
        return np.zeros(0)
    sound = library.Sound(samples, sampling_frequency=sample_rate)
    pitch = sound.to_pitch_ac(
        time_step=PITCH_STEP_SECONDS, pitch_floor=PITCH_FLOOR, pitch_ceiling=PITCH_CEILING
    )
    return pitch.selected_array["frequency"]


def _mel(
    waveform: Float[Tensor, " n"], sample_rate: int, window: int, bands: int
) -> Float[Tensor, "m t"]:
    spectrum = torch.stft(
        waveform.float(), window, window // 4, window=torch.hann_window(window),
        pad_mode="constant", return_complex=True,
    )  # fmt: skip
    return mel_filters(window // 2 + 1, bands, sample_rate) @ spectrum.abs()


def _log(mel: Float[Tensor, "m t"]) -> Float[Tensor, "m t"]:
    return mel.square().clamp(min=1e-5).log10()


def _library(name: str, package: str) -> Any:
    try:
        return import_module(name)
    except ImportError as problem:
        raise EnvironmentProblem(f"this measure needs {name}: pip install '{package}'") from problem
