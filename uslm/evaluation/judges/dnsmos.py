"""DNSMOS P.835 (Reddy et al. 2022): a network's guess of what listeners would say, 1 to 5.

Only the ONNX model comes from the package `speechmos`; its own code needs librosa.
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

SAMPLE_RATE = 16_000
WINDOW_SECONDS = 9.01
"""What the model was made for; shorter speech is repeated."""
WINDOW_SAMPLES = int(WINDOW_SECONDS * SAMPLE_RATE)
MAX_WINDOWS = 8
# From the model's outputs to opinion scores: speechmos, dnsmos.py, get_polyfit_val.
OVERALL = (-0.06766283, 1.11546468, 0.04602535)
SIGNAL = (-0.08397278, 1.22083953, 0.0052439)
BACKGROUND = (-0.13166888, 1.60915514, -0.39604546)


class Dnsmos:
    """A waveform of 16 kHz -> `dnsmos` (overall), `dnsmos_signal` and `dnsmos_background`."""

    def __init__(self, session: Any) -> None:
        """An ONNX session of sig_bak_ovr.onnx."""
        self._session = session

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
        path = Path(spec.submodule_search_locations[0]) / "dnsmos_models" / "sig_bak_ovr.onnx"
        if not path.is_file():
            raise MissingResource(f"there is no DNSMOS model {str(path)!r}")
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = torch.get_num_threads()
        return cls(onnxruntime.InferenceSession(path, options, ["CPUExecutionProvider"]))

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
        outputs = [self._session.run(None, {"input_1": w[None].numpy()})[0][0] for w in windows]
        signal, background, overall = torch.tensor(np.stack(outputs)).double().T
        return {
            "dnsmos": _score(OVERALL, overall),
            "dnsmos_signal": _score(SIGNAL, signal),
            "dnsmos_background": _score(BACKGROUND, background),
        }


def _score(coefficients: tuple[float, float, float], x: Float[Tensor, " windows"]) -> float:
    a, b, c = coefficients
    return float((a * x * x + b * x + c).mean())
