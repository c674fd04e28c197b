"""DNSMOS (Reddy et al. 2021, 2022): networks' guesses of what listeners would say, 1 to 5.

P.835 rates the whole, the speech and the background; P.808 the whole, by another network.
Only the ONNX models come from the package `speechmos`; its own code needs librosa.
"""

from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from uslm_tokenizer.errors import EnvironmentProblem, MissingResource
from uslm_tokenizer.nn.spectral import mel_filters

SAMPLE_RATE = 16_000
WINDOW_SECONDS = 9.01
"""What the model was made for; shorter speech is repeated."""
WINDOW_SAMPLES = int(WINDOW_SECONDS * SAMPLE_RATE)
MAX_WINDOWS = 8
# From the model's outputs to opinion scores: speechmos, dnsmos.py, get_polyfit_val.
OVERALL = (-0.06766283, 1.11546468, 0.04602535)
SIGNAL = (-0.08397278, 1.22083953, 0.0052439)
BACKGROUND = (-0.13166888, 1.60915514, -0.39604546)
P808_N_FFT, P808_HOP, P808_MELS = 321, 160, 120
P808_RANGE = 80.0
"""Decibels below the loudest mel band at which its spectrogram ends."""


class Dnsmos:
    """A waveform of 16 kHz -> `dnsmos` (overall), `dnsmos_signal`, `dnsmos_background` by P.835,
    and `dnsmos_p808`."""

    def __init__(self, p835: Any, p808: Any) -> None:
        """ONNX sessions of sig_bak_ovr.onnx and model_v8.onnx."""
        self._p835, self._p808 = p835, p808

    @classmethod
    def from_package(cls) -> "Dnsmos":
        """With the model of the installed package."""
        try:
            onnxruntime: Any = import_module("onnxruntime")
        except ImportError as problem:
            raise EnvironmentProblem(
                "DNSMOS needs onnxruntime: pip install onnxruntime"
            ) from problem
        spec = find_spec("speechmos")
        if spec is None or not spec.submodule_search_locations:
            raise EnvironmentProblem("DNSMOS needs speechmos: pip install speechmos")
        folder = Path(spec.submodule_search_locations[0]) / "dnsmos_models"
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = torch.get_num_threads()
        sessions = []
        for name in ("sig_bak_ovr.onnx", "model_v8.onnx"):
            if not (folder / name).is_file():
                raise MissingResource(f"there is no DNSMOS model {str(folder / name)!r}")
            sessions.append(
                onnxruntime.InferenceSession(folder / name, options, ["CPUExecutionProvider"])
            )
        return cls(*sessions)

    def __call__(self, waveform: Float[Tensor, " n"]) -> dict[str, float]:
        """Means over windows of 9 s, a second apart."""
        speech = waveform.detach().cpu().float().clamp(-1, 1)
        if not len(speech):
            raise ValueError("waveform must not be empty")
        while len(speech) < WINDOW_SAMPLES:
            speech = torch.cat([speech, speech])
        count = int(len(speech) // SAMPLE_RATE - WINDOW_SECONDS) + 1  # as speechmos counts
        windows = speech.unfold(0, WINDOW_SAMPLES, SAMPLE_RATE)[:count]
        if count > MAX_WINDOWS:
            windows = windows[torch.linspace(0, count - 1, MAX_WINDOWS).long()]
        outputs = [self._p835.run(None, {"input_1": w[None].numpy()})[0][0] for w in windows]
        signal, background, overall = torch.tensor(np.stack(outputs)).double().T
        return {
            "dnsmos": _score(OVERALL, overall),
            "dnsmos_signal": _score(SIGNAL, signal),
            "dnsmos_background": _score(BACKGROUND, background),
            "dnsmos_p808": float(np.mean([self._p808_score(window) for window in windows])),
        }

    def _p808_score(self, window: Float[Tensor, " n"]) -> float:
        features = p808_features(window)[None].numpy()
        return float(self._p808.run(None, {"input_1": features})[0][0][0])


def p808_features(window: Float[Tensor, " n"]) -> Float[Tensor, "t mels"]:
    """Log-mel power of a window of 9 s, scaled as the network of P.808 was trained with it."""
    spectrum = torch.stft(
        window[:-P808_HOP], P808_N_FFT, P808_HOP, window=torch.hann_window(P808_N_FFT),
        pad_mode="constant", return_complex=True,
    )  # fmt: skip
    num_bins = P808_N_FFT // 2 + 1
    filters = mel_filters(
        num_bins, P808_MELS, SAMPLE_RATE, equal_area=True, slaney=True,
        last_bin=(num_bins - 1) * SAMPLE_RATE / P808_N_FFT,
    )  # fmt: skip
    power = (filters @ spectrum.abs().square()).clamp(min=1e-10)
    decibels = 10 * (power / power.max()).log10()
    return (decibels.clamp(min=-P808_RANGE) + 40).T / 40


def _score(coefficients: tuple[float, float, float], x: Float[Tensor, " windows"]) -> float:
    a, b, c = coefficients
    return float((a * x * x + b * x + c).mean())
